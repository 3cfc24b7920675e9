// Messages next to the content: files that cannot be read, and short notices at the corner of the page.

import { byId, h } from "../core/dom.js";
import { plural } from "../core/format.js";

/** @typedef {import("../api/types.js").FileProblem} FileProblem */

const MOST_NOTICES = 3;

/**
 * Which files could not be read. All other rows are shown.
 * @param {FileProblem[] | null | undefined} problems
 */
export function problemsNotice(problems) {
  if (!problems?.length) return null;
  const lost = problems.reduce((sum, p) => sum + (p.rows_lost ?? 0), 0);
  return h(
    "details",
    { class: "notice warn problems" },
    h(
      "summary",
      null,
      `${plural(problems.length, "file")} of this run cannot be read`,
      lost ? ` (${plural(lost, "row")} lost)` : "",
      ". Everything else is shown.",
    ),
    h(
      "ul",
      null,
      problems.map((p) =>
        h("li", null, h("code", null, p.file), " ", p.why, p.rows_lost ? `; ${plural(p.rows_lost, "row")} lost` : ""),
      ),
    ),
  );
}

/**
 * Show a short message at the corner of the page.
 * @param {string} text
 * @param {[label: string, act: () => unknown] | null} [action]
 * @param {number} [seconds]
 * @param {string} [topic] a message takes the place of one with the same topic
 */
export function notify(text, action = null, seconds = 8, topic = "") {
  const box = byId("notices");
  if (topic) box.querySelector(`[data-topic="${CSS.escape(topic)}"]`)?.remove();
  const press = () => {
    note.remove();
    action?.[1]();
  };
  const note = h(
    "div",
    { dataset: { topic } },
    h("span", { class: "grow" }, text),
    action && h("button", { onclick: press }, action[0]),
  );
  box.append(note);
  while (box.childElementCount > MOST_NOTICES) box.firstElementChild?.remove();
  setTimeout(() => note.remove(), seconds * 1000);
}

/**
 * Show why something failed, unless it ended because its view was left.
 * @param {unknown} problem
 */
export function notifyProblem(problem) {
  if (!(problem instanceof Error)) notify(String(problem));
  else if (problem.name !== "AbortError") notify(problem.message);
}
