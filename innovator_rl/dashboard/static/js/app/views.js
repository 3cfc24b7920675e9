// Which view belongs to which address, and which keys lead there. A view is loaded when it is first wanted.

import { go, link } from "../core/router.js";

/** @typedef {() => Promise<{ default: import("../views/types.js").ViewBuilder }>} Load */

/**
 * Views of a run by the part of the address after its name: the title of the tab, the key after "g", the module.
 * @type {Record<string, [title: string, key: string, load: Load]>}
 */
export const RUN_VIEWS = {
  "": ["Run", "r", () => import("../views/runs/detail.js")],
  rollouts: ["Rollouts", "l", () => import("../views/rollouts/page.js")],
  change: ["Change", "c", () => import("../views/tools/step-diff.js")],
  why: ["Why", "w", () => import("../views/tools/why.js")],
  health: ["Health", "h", () => import("../views/health/page.js")],
  rescore: ["Re-score", "e", () => import("../views/tools/rescore.js")],
  labels: ["Labels", "b", () => import("../views/tools/labels.js")],
  sql: ["SQL", "q", () => import("../views/tools/sql.js")],
};

/** @type {Record<string, Load>} views without a tab, which belong to the rollouts */
const INNER_VIEWS = {
  group: () => import("../views/rollouts/group.js"),
  response: () => import("../views/response/page.js"),
  prompt: () => import("../views/tools/prompt.js"),
};

/**
 * The tab and the module of an address; no module where there is no such page.
 * @param {string | null} run
 * @param {string[]} parts
 * @returns {{ tab: string, load: Load | null }}
 */
export function viewOf(run, parts) {
  if (!parts.length) return { tab: "", load: () => import("../views/runs/list.js") };
  if (parts[0] === "compare") return { tab: "", load: () => import("../views/runs/compare.js") };
  const name = parts[2] ?? "";
  if (run && Object.hasOwn(INNER_VIEWS, name)) return { tab: "rollouts", load: INNER_VIEWS[name] };
  return { tab: name, load: run && Object.hasOwn(RUN_VIEWS, name) ? RUN_VIEWS[name][2] : null };
}

/**
 * The address of a view of a run.
 * @param {string} run
 * @param {string} name
 */
export const viewLink = (run, name) => link(["runs", run, name].filter(Boolean));

/**
 * The keys that lead from any view to another.
 * @param {string | null} run
 * @returns {import("../components/keys.js").Key[]}
 */
export function goKeys(run) {
  return [
    ["/", "search the responses", () => search(run)],
    ["g g", "all runs", () => go("#/")],
    ...Object.entries(RUN_VIEWS).map(
      ([name, [title, key]]) =>
        /** @type {import("../components/keys.js").Key} */ ([`g ${key}`, title, () => run && go(viewLink(run, name))]),
    ),
  ];
}

/** @param {string | null} run */
function search(run) {
  const box = document.getElementById("search");
  if (box instanceof HTMLInputElement) {
    box.focus();
    box.select();
  } else if (run) go(link(["runs", run, "rollouts"], { focus: "search" }));
}
