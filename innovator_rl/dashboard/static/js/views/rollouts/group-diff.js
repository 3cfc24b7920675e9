// The difference between two responses of a group, word by word.

import { h, visible } from "../../core/dom.js";
import { num, percent, plural, withoutEnd } from "../../core/format.js";
import { responseLink } from "../../core/links.js";
import { go, withQuery } from "../../core/router.js";
import { difference } from "../../text/diff.js";

/** @typedef {import("../../api/types.js").GroupResponse} GroupResponse */

const KEEP_AROUND = 60;

/**
 * Two responses of a group, chosen in the query, and how they differ.
 * @param {string} run
 * @param {GroupResponse[]} responses at least one
 * @param {URLSearchParams} query
 */
export function comparison(run, responses, query) {
  const best = responses[0];
  const a = responses.find((r) => String(r.sample_index) === query.get("a")) ?? best;
  const b =
    responses.find((r) => String(r.sample_index) === query.get("b")) ??
    responses.findLast((r) => r.sample_index !== a.sample_index) ??
    best;
  const pick = (/** @type {string} */ name, /** @type {GroupResponse} */ chosen) =>
    h(
      "select",
      { "aria-label": `Response ${name}`, onchange: (event) => go(withQuery({ [name]: event.target.value })) },
      responses.map((r) =>
        h(
          "option",
          { value: r.sample_index, selected: r.sample_index === chosen.sample_index },
          `#${r.sample_index}  ${r.correct ? "✓" : "✗"}  ${num(r.reward)}`,
        ),
      ),
    );
  const found = difference(withoutEnd(a.response ?? ""), withoutEnd(b.response ?? ""));
  return h(
    "section",
    { class: "panel" },
    h(
      "header",
      null,
      h("span", { class: "del-key" }, "from"),
      pick("a", a),
      h("span", { class: "ins-key" }, "to"),
      pick("b", b),
      h("a", { href: responseLink(run, a) }, "open first"),
      h("a", { href: responseLink(run, b) }, "open second"),
      h(
        "span",
        { class: "dim" },
        `${percent(found.shared)} in common${found.rough ? "; so different that whole sentences were compared first" : ""}`,
      ),
    ),
    h(
      "div",
      { class: "body" },
      h(
        "div",
        { class: "diff" },
        found.runs.map((one, i) => piece(one, i === 0, i === found.runs.length - 1)),
      ),
    ),
  );
}

/**
 * One run of the difference. A long stretch in common is folded away, to be opened by a click.
 * @param {import("../../text/diff.js").Run} run
 * @param {boolean} first
 * @param {boolean} last
 * @returns {import("../../core/dom.js").Leaves}
 */
function piece([kind, text], first, last) {
  if (kind) return h(kind > 0 ? "ins" : "del", null, visible(text));
  if (text.length < 4 * KEEP_AROUND + 100) return visible(text);
  const head = first ? "" : text.slice(0, 2 * KEEP_AROUND);
  const tail = last ? "" : text.slice(-2 * KEEP_AROUND);
  const hidden = text.slice(head.length, text.length - tail.length);
  /** @type {HTMLButtonElement} */
  const fold = h(
    "button",
    { class: "fold", onclick: () => fold.replaceWith(visible(hidden)) },
    `${plural(hidden.length, "character")} in common`,
  );
  return [visible(head), fold, visible(tail)];
}
