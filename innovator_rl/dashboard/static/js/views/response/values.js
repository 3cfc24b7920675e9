// Values as what they are: molecules and code as written, formulas drawn, long text in a box of their own.

import { h, visible } from "../../core/dom.js";
import { codeBlock, markdown } from "../../text/markdown.js";
import { formula } from "../../text/tex.js";

/**
 * A short text in the line, a long one in a box of its own.
 * @param {string} text
 */
export const long = (text) =>
  text.length > 120 || text.includes("\n")
    ? h("pre", { class: "raw short", tabindex: "0" }, visible(text.slice(0, 20000)))
    : h("code", null, visible(text) || "empty");

/**
 * An answer as what it is: a molecule or code as written, a bare formula drawn, anything else as Markdown.
 * @param {string} answer
 */
export function reference(answer) {
  if (/^(?:\[[^\]\s]+\]\.?)+$/.test(answer)) return h("code", { class: "wrap" }, visible(answer));
  if (/\n[ \t]+\S/.test(answer)) return codeBlock(answer);
  if (/\\[a-zA-Z]/.test(answer) && !/[$]|\\\(|\\\[/.test(answer)) return formula(answer);
  return markdown(answer);
}
