// A response of several turns as a timeline: what the model wrote, what it called, and what came back, which is masked and
// not trained on.

import { h, visible } from "../../core/dom.js";
import { duration, humanize, num, plural } from "../../core/format.js";
import { codeBlock, markdown } from "../../text/markdown.js";

/** @typedef {import("../../api/types.js").Turn} Turn */

/** @type {Record<string, string>} */
const NAMES = {
  assistant: "Model",
  call: "Tool call",
  tool: "Tool result",
  ipython: "Tool result",
  user: "Environment",
};
const OPEN_CHARS = 1500;

/** @param {Turn[]} turns */
export function turnTimeline(turns) {
  return h(
    "ol",
    { class: "turns" },
    turns.map((turn, i) =>
      h(
        "li",
        { class: `turn ${turn.trained ? "" : "masked"} role-${NAMES[turn.role] ? turn.role : "other"}` },
        h(
          "details",
          { open: turn.role === "assistant" || turn.content.length < OPEN_CHARS },
          h(
            "summary",
            null,
            h("b", null, `${i + 1}. ${NAMES[turn.role] ?? humanize(turn.role)}`),
            turn.name && h("code", null, visible(turn.name)),
            !turn.trained && h("span", { class: "badge", title: "These tokens are masked" }, "not trained on"),
            h("span", { class: "dim" }, turn.tokens !== null && plural(turn.tokens, "token")),
            h("span", { class: "dim" }, turn.seconds !== null && duration(turn.seconds)),
          ),
          body(turn),
          turn.cut > 0 && h("p", { class: "dim" }, `${num(turn.cut)} more characters are in the raw text.`),
        ),
      ),
    ),
  );
}

/** @param {Turn} turn */
function body(turn) {
  if (turn.role === "call") return codeBlock(turn.content);
  return turn.trained
    ? h("div", { class: "prose" }, markdown(turn.content))
    : h("pre", { class: "raw short", tabindex: "0" }, visible(turn.content));
}
