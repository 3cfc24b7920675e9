// The inside of a Markdown paragraph: code, emphasis, links and formulas, in one pass from left to right. A mark without
// an end is remembered, so that hostile text cannot make this slow.

import { h, outsideLink, visible } from "../core/dom.js";
import { formula } from "./tex.js";

const SPECIAL = /[\\`*_$[!~<h]/g;
const DEEPEST = 6;
const ESCAPABLE = /[!-/:-@[-`{-~]/;

/** @typedef {"br" | "sub" | "sup" | "b" | "i" | "strong" | "em" | "u"} InlineTag */

class Inline {
  /**
   * @param {string} text
   * @param {number} depth how many marks are open around the text
   */
  constructor(text, depth) {
    this.text = text;
    this.depth = depth;
    this.at = 0;
    this.plain = "";
    /** @type {(Node | string)[]} */
    this.out = [];
    /** @type {Map<string, number>} from which place on a mark does not occur */
    this.missing = new Map();
  }

  flush() {
    if (this.plain) this.out.push(visible(this.plain));
    this.plain = "";
  }

  /**
   * @param {Node} node
   * @param {number} to where to go on
   */
  push(node, to) {
    this.flush();
    this.out.push(node);
    this.at = to;
    return true;
  }

  /**
   * Find where `mark` next occurs, or -1. Each missing mark is looked for once.
   * @param {string} mark
   * @param {number} from
   */
  find(mark, from) {
    if (from >= (this.missing.get(mark) ?? Infinity)) return -1;
    const found = this.text.indexOf(mark, from);
    if (found < 0) this.missing.set(mark, from);
    return found;
  }

  /**
   * @param {string} text
   * @returns {(Node | string)[]}
   */
  nested(text) {
    return this.depth >= DEEPEST ? [visible(text)] : new Inline(text, this.depth + 1).run();
  }

  run() {
    while (this.at < this.text.length) {
      SPECIAL.lastIndex = this.at;
      const next = SPECIAL.exec(this.text)?.index ?? this.text.length;
      this.plain += this.text.slice(this.at, next);
      this.at = next;
      if (next < this.text.length && !this.special(this.text[next])) {
        this.plain += this.text[next];
        this.at = next + 1;
      }
    }
    this.flush();
    return this.out;
  }

  /**
   * @param {string} c
   * @returns {boolean} whether the mark was understood
   */
  special(c) {
    if (c === "\\") return this.backslash();
    if (c === "`") return this.code();
    if (c === "$") return this.dollar();
    if (c === "*" || c === "_") return this.emphasis(c);
    if (c === "~") return this.paired("~~", "s");
    if (c === "[") return this.link(this.at, false);
    if (c === "!") return this.text[this.at + 1] === "[" && this.link(this.at + 1, true);
    if (c === "<") return this.tag();
    return this.address();
  }

  backslash() {
    const second = this.text[this.at + 1];
    if (second === "(" || second === "[") {
      const end = this.find(second === "(" ? "\\)" : "\\]", this.at + 2);
      if (end >= 0) return this.push(formula(this.text.slice(this.at + 2, end), second === "["), end + 2);
    }
    // these two are often written outside any formula
    const bare = /^\\(?:boxed|ce)(?=\{)/.exec(this.text.slice(this.at, this.at + 8));
    const close = bare ? balanced(this.text, this.at + bare[0].length) : -1;
    if (close >= 0 && this.text.slice(this.at, close + 1) !== "\\boxed{}")
      return this.push(formula(this.text.slice(this.at, close + 1)), close + 1);
    if (second === "\n") return this.push(h("br"), this.at + 2);
    if (second && ESCAPABLE.test(second) && !"()[]{}".includes(second)) {
      this.plain += second;
      this.at += 2;
      return true;
    }
    return false;
  }

  code() {
    const mark = /^`+/.exec(this.text.slice(this.at, this.at + 20))?.[0] ?? "`";
    const end = this.find(mark, this.at + mark.length);
    return (
      end >= 0 && this.push(h("code", null, visible(this.text.slice(this.at + mark.length, end))), end + mark.length)
    );
  }

  dollar() {
    const double = this.text[this.at + 1] === "$";
    const mark = double ? "$$" : "$";
    const end = this.find(mark, this.at + mark.length);
    if (end < 0) return false;
    const inner = this.text.slice(this.at + mark.length, end);
    // "$5 and $6" is money: a formula does not begin or end with a space, nor is it followed by a digit
    if (!inner.trim() || (!double && (/^\s|\s$|\n\s*\n/.test(inner) || /\d/.test(this.text[end + 1] ?? ""))))
      return false;
    return this.push(formula(inner, double), end + mark.length);
  }

  /** @param {string} c */
  emphasis(c) {
    const strong = this.text[this.at + 1] === c;
    const before = this.text[this.at - 1] ?? " ";
    if (c === "_" && /[\p{L}\p{N}_]/u.test(before)) return false;
    return this.paired(strong ? c + c : c, strong ? "strong" : "em");
  }

  /**
   * @param {string} mark
   * @param {"s" | "strong" | "em"} tag
   */
  paired(mark, tag) {
    const start = this.at + mark.length;
    if (!this.text.startsWith(mark, this.at) || /\s/.test(this.text[start] ?? " ")) return false;
    const end = this.find(mark, start + 1);
    if (end < 0 || /\s/.test(this.text[end - 1])) return false;
    if (mark === "_" && /[\p{L}\p{N}]/u.test(this.text[end + 1] ?? " ")) return false;
    return this.push(h(tag, null, ...this.nested(this.text.slice(start, end))), end + mark.length);
  }

  /**
   * @param {number} from
   * @param {boolean} image
   */
  link(from, image) {
    const middle = this.find("](", from);
    if (middle < 0 || middle - from > 500) return false;
    const end = this.find(")", middle);
    if (end < 0 || end - middle > 2000) return false;
    const url = this.text
      .slice(middle + 2, end)
      .trim()
      .split(/\s/)[0];
    const label = this.text.slice(from + 1, middle);
    // pictures are never loaded: the model must not make the reader's browser call anyone
    return this.push(outsideLink(url, image ? `[picture: ${visible(label)}]` : visible(label || url)), end + 1);
  }

  tag() {
    const found = /^<(\/?)(br|sub|sup|b|i|strong|em|u)\s*\/?>/i.exec(this.text.slice(this.at, this.at + 12));
    if (!found || found[1]) return false;
    const name = /** @type {InlineTag} */ (found[2].toLowerCase());
    const start = this.at + found[0].length;
    if (name === "br") return this.push(h("br"), start);
    const end = this.find(`</${found[2]}>`, start);
    return end >= 0 && this.push(h(name, null, ...this.nested(this.text.slice(start, end))), end + name.length + 3);
  }

  address() {
    if (/[\p{L}\p{N}]/u.test(this.text[this.at - 1] ?? " ")) return false;
    const found = /^https?:\/\/[^\s<>"'`)\]]{1,500}/.exec(this.text.slice(this.at, this.at + 520));
    return found !== null && this.push(outsideLink(found[0], visible(found[0])), this.at + found[0].length);
  }
}

/**
 * Find where the brace opened at `from` closes, or -1. Formulas are short.
 * @param {string} text
 * @param {number} from
 */
function balanced(text, from) {
  for (let at = from, open = 0; at < Math.min(text.length, from + 4000); at += 1) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === "{") open += 1;
    else if (text[at] === "}" && (open -= 1) === 0) return at;
  }
  return -1;
}

/**
 * The nodes and strings of one paragraph.
 * @param {string} text
 */
export function inline(text) {
  return new Inline(text, 0).run();
}
