// The answer that was extracted, the reference answer, and why the response was graded so.

import { h, visible } from "../../core/dom.js";
import { long, reference } from "./values.js";

/**
 * @param {import("../../api/types.js").ResponseInfo} data
 */
export function answerPanel({ score }) {
  return h(
    "section",
    { class: "panel result", "aria-label": "Answer and score" },
    h(
      "div",
      { class: "versus" },
      h("div", null, h("h2", null, "Answer"), value(score.extracted)),
      h("div", null, h("h2", null, "Reference"), value(score.gold)),
    ),
    (score.reason || score.reason_meaning) &&
      h(
        "p",
        { class: "line" },
        score.reason && h("code", null, visible(score.reason)),
        score.reason_meaning && h("span", { class: "dim" }, visible(score.reason_meaning)),
      ),
  );
}

/** @param {unknown} one */
function value(one) {
  if (one === null || one === undefined) return h("span", { class: "dim" }, "nothing");
  const text = typeof one === "string" ? one : JSON.stringify(one);
  return text.length > 120 || text.includes("\n") ? long(text) : h("div", { class: "prose" }, reference(text));
}
