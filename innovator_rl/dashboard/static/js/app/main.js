// The page: picks the view for the address, draws the head, listens for new data.

import { follow, runs } from "../api/client.js";
import { h, replace, s } from "../core/dom.js";
import { setPageKeys, setViewKeys, showHelp } from "../components/keys.js";
import { go, link, parse } from "../core/router.js";
import { empty, failed, loading, notify } from "../components/states.js";

// Views by the part of the address after the run's name. Each is loaded when it is first wanted.
const RUN_VIEWS = {
  "": ["Run", "r", () => import("../views/runs/detail.js")],
  rollouts: ["Rollouts", "l", () => import("../views/rollouts/page.js")],
  change: ["Change", "c", () => import("../views/tools/step-diff.js")],
  health: ["Health", "h", () => import("../views/health/page.js")],
  rescore: ["Re-score", "e", () => import("../views/tools/rescore.js")],
  labels: ["Labels", "b", () => import("../views/tools/labels.js")],
  sql: ["SQL", "q", () => import("../views/tools/sql.js")],
};
const INNER_VIEWS = { group: () => import("../views/rollouts/group.js"), response: () => import("../views/response/page.js") };

const top = document.getElementById("top");
const main = document.getElementById("main");
let shown = { controller: null, view: null };
let stop = () => {};
let following;

function themeButton() {
  const root = document.documentElement;
  const label = () => (root.dataset.theme === "dark" ? "Light" : "Dark");
  const flip = () => {
    const next = root.dataset.theme === "dark" ? "light" : "dark";
    root.dataset.theme = next;
    localStorage.setItem("theme", next);
    button.textContent = label();
    dispatchEvent(new CustomEvent("themechange"));
  };
  const button = h("button", { class: "plain", onclick: flip, title: "Switch between light and dark (t)" }, label());
  return { button, flip };
}

function drawTop(run, current) {
  const theme = themeButton();
  const logo = s(
    "svg",
    { viewBox: "0 0 32 32", "aria-hidden": "true" },
    s("path", { d: "M3 22h6v7H3zM13 14h6v15h-6zM23 4h6v25h-6z" }),
  );
  const tabs =
    run &&
    Object.entries(RUN_VIEWS).map(([path, [title]]) =>
      h(
        "a",
        { href: link(["runs", run, path].filter(Boolean)), "aria-current": path === current ? "page" : null },
        title,
      ),
    );
  replace(
    top,
    h(
      "div",
      { class: "bar" },
      h("a", { class: "brand", href: "#/" }, logo, "Innovator"),
      run && h("span", { class: "run-name", title: run }, run),
      run && h("nav", { class: "tabs", "aria-label": "Views of this run" }, tabs),
      h("span", { class: "grow" }),
      theme.button,
      h("button", { class: "plain", onclick: showHelp, "aria-label": "Keyboard help" }, h("kbd", null, "?")),
    ),
  );
  top.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  const at = (path) => () => run && go(link(["runs", run, path].filter(Boolean)));
  setPageKeys([
    ["?", "this help", showHelp],
    ["t", "light or dark", theme.flip],
    ["/", "search the responses", () => searchBox(run)],
    ["g g", "all runs", () => go("#/")],
    ...Object.entries(RUN_VIEWS).map(([path, [title, key]]) => [`g ${key}`, title, at(path)]),
  ]);
}

function searchBox(run) {
  const box = document.getElementById("search");
  if (box) (box.focus(), box.select());
  else if (run) go(link(["runs", run, "rollouts"], { focus: "search" }));
}

/** New data of a run, or of the list of runs: the view decides what to do with it. */
function listen(run) {
  if (following === run) return;
  stop();
  following = run;
  stop = follow(
    run,
    (news) => shown.view?.news?.(news),
    (up) =>
      up
        ? notify("The server answers again", null, 4, "link")
        : notify("The server does not answer. What is shown stays; new data will not appear.", null, 3600, "link"),
  );
}

async function render() {
  const { parts, query } = parse();
  shown.controller?.abort();
  const mine = { controller: new AbortController(), view: null };
  shown = mine;
  setViewKeys([]);
  main.setAttribute("aria-busy", "true");
  const run = parts[0] === "runs" ? parts[1] : null;
  const path = run ? (parts[2] ?? "") : "";
  const inner = INNER_VIEWS[path];
  drawTop(run, inner ? "rollouts" : path);
  listen(run);
  const load =
    !parts.length || parts[0] === "compare"
      ? () => import("../views/runs/list.js")
      : run
        ? (inner ?? RUN_VIEWS[path]?.[2])
        : null;
  if (!load) {
    document.title = "Not found";
    replace(
      main,
      h("h1", { class: "visually-hidden" }, "Not found"),
      empty("There is no such page", h("a", { href: "#/" }, "All runs")),
    );
    main.setAttribute("aria-busy", "false");
    return;
  }
  const slow = setTimeout(() => replace(main, loading()), 150);
  try {
    const module = await load();
    const view = await module.default({
      run,
      parts: parts.slice(run ? 3 : 0),
      query,
      signal: mine.controller.signal,
      compare: parts[0] === "compare",
    });
    clearTimeout(slow);
    if (shown !== mine) return;
    mine.view = view;
    document.title = view.title;
    const focused = document.activeElement?.id;
    replace(main, view.nodes);
    // a filter keeps the focus although the list was drawn anew
    if (focused && focused !== "main") document.getElementById(focused)?.focus({ preventScroll: true });
    setViewKeys(view.keys ?? []);
    view.shown?.();
    main.setAttribute("aria-busy", "false");
  } catch (problem) {
    clearTimeout(slow);
    if (shown !== mine || problem.name === "AbortError") return;
    document.title = "Error";
    replace(main, failed(problem, render));
    main.setAttribute("aria-busy", "false");
    if (!problem.status) console.error(problem);
  }
}

let place = parse().parts.join("/");
addEventListener("hashchange", () => {
  const before = place;
  place = parse().parts.join("/");
  render();
  if (before !== place) (scrollTo(0, 0), main.focus({ preventScroll: true }));
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
// One run and no address: straight to it would hide that there could be more, so the list comes first.
if (!location.hash) history.replaceState(null, "", "#/");
render();
