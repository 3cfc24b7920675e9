// Markdown as models write it, turned into DOM nodes: headings, lists, tables, code, quotes, formulas, reasoning blocks.
// This is a subset on purpose: no raw HTML, no pictures, links to http(s) only. Anything else is shown as written.

import { inline } from "./inline.js";
import { bounded, h, visible } from "../core/dom.js";
import { formula } from "./tex.js";

const DEEPEST = 6;
const LONGEST_FORMULA = 200;
const FENCE = /^\s{0,3}(```+|~~~+)\s*([\w+#.-]*)/;
const LATE_FENCE = /^(.*\S)\s+(```[\w+#.-]+)\s*$/;
const HEADING = /^\s{0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^\s{0,3}(?:(?:-\s*){3,}|(?:\*\s*){3,}|(?:_\s*){3,})$/;
const ITEM = /^(\s*)([-*+•]|\d{1,9}[.)])\s+(.*)$/;
const QUOTE = /^\s{0,3}>\s?/;
const TABLE_RULE = /^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;
/** @type {[RegExp, string | null][]} how a displayed formula begins and ends; null: as its environment does */
const DISPLAY = [
  [/^\s*\$\$/, "$$"],
  [/^\s*\\\[/, "\\]"],
  [/^\s*\\begin\{(align\*?|equation\*?|gather\*?|eqnarray\*?)\}/, null],
];

class Blocks {
  /**
   * @param {string[]} lines
   * @param {number} depth how many lists and quotes are open around the lines
   * @param {number | null} [first] number of the first line in the whole text; each block is marked with its line
   */
  constructor(lines, depth, first = null) {
    this.lines = lines;
    this.depth = depth;
    this.first = first;
    this.at = 0;
    /** @type {HTMLElement[]} */
    this.out = [];
  }

  run() {
    while (this.at < this.lines.length) {
      const [from, made] = [this.at, this.out.length];
      this.block(this.lines[this.at]);
      for (const node of this.out.slice(made)) this.mark(node, from);
    }
    return this.out;
  }

  /**
   * Note on a node with which line of the text it begins.
   * @param {HTMLElement} node
   * @param {number} at
   */
  mark(node, at) {
    if (this.first !== null) node.dataset.line = String(this.first + at);
  }

  /** @param {string} line */
  block(line) {
    const fence = FENCE.exec(line);
    const heading = HEADING.exec(line);
    const item = ITEM.exec(line);
    if (!line.trim()) this.at += 1;
    else if (fence) this.fence(fence);
    else if (heading) this.heading(heading);
    else if (RULE.test(line)) this.rule();
    else if (this.display(line)) return;
    else if (QUOTE.test(line)) this.quote();
    else if (item) this.list(item);
    else if (
      line.includes("|") &&
      TABLE_RULE.test(this.lines[this.at + 1] ?? "") &&
      this.lines[this.at + 1].includes("-")
    )
      this.table();
    else this.paragraph();
  }

  rule() {
    this.out.push(h("hr"));
    this.at += 1;
  }

  /**
   * @param {string[]} lines
   * @returns {HTMLElement[]}
   */
  nested(lines) {
    return this.depth >= DEEPEST ? [h("p", null, visible(lines.join("\n")))] : new Blocks(lines, this.depth + 1).run();
  }

  /** @param {RegExpExecArray} found */
  fence([, mark, language]) {
    const start = (this.at += 1);
    while (this.at < this.lines.length && !this.lines[this.at].trimStart().startsWith(mark)) this.at += 1;
    this.out.push(codeBlock(this.lines.slice(start, this.at).join("\n"), language));
    this.at += 1;
  }

  /** @param {RegExpExecArray} found */
  heading([, marks, text]) {
    // to a screen reader all of them lie below the panel's heading, however the model numbered them
    this.out.push(
      h("p", { class: `md-heading md-h${marks.length}`, role: "heading", "aria-level": 3 }, ...inline(text)),
    );
    this.at += 1;
  }

  /**
   * @param {string} line
   * @returns {boolean} whether a displayed formula begins here
   */
  display(line) {
    for (const [start, close] of DISPLAY) {
      const opening = start.exec(line);
      if (!opening) continue;
      const end = close ?? `\\end{${opening[1]}}`;
      let to = this.at;
      const rest = close ? line.slice(opening[0].length) : line;
      while (!(to === this.at ? rest : this.lines[to]).includes(end))
        if ((to += 1) >= this.lines.length || to - this.at > LONGEST_FORMULA) return false;
      const body = [rest, ...this.lines.slice(this.at + 1, to + 1)].join("\n");
      const cut = body.indexOf(end);
      this.out.push(
        h(
          "div",
          { class: "math-block", tabindex: "0", role: "group", "aria-label": "formula" },
          formula(close ? body.slice(0, cut) : body.slice(0, cut + end.length), true),
        ),
      );
      this.lines[to] = body.slice(cut + end.length);
      this.at = to;
      return true;
    }
    return false;
  }

  quote() {
    const inner = [];
    while (this.at < this.lines.length && QUOTE.test(this.lines[this.at]))
      inner.push(this.lines[this.at++].replace(QUOTE, ""));
    this.out.push(h("blockquote", null, ...this.nested(inner)));
  }

  /** @param {RegExpExecArray} found */
  list([, indent, mark]) {
    const ordered = /\d/.test(mark);
    const list = h(ordered ? "ol" : "ul", ordered && parseInt(mark, 10) !== 1 ? { start: parseInt(mark, 10) } : null);
    while (this.at < this.lines.length) {
      const item = ITEM.exec(this.lines[this.at]);
      if (
        !item ||
        item[1].length > indent.length + 1 ||
        item[1].length < indent.length ||
        /\d/.test(item[2]) !== ordered
      )
        break;
      const inner = [item[3]];
      const from = this.at;
      this.at += 1;
      while (this.at < this.lines.length && this.belongs(indent.length))
        inner.push(this.lines[this.at++].replace(/^\s{1,4}/, ""));
      while (inner.at(-1)?.trim() === "") inner.pop();
      const body = this.nested(inner);
      // an item of one paragraph is set tight
      const tight = body.length && body[0].localName === "p";
      const entry = h("li", null, ...(tight ? [...body[0].childNodes, ...body.slice(1)] : body));
      this.mark(entry, from);
      list.append(entry);
    }
    this.out.push(list);
  }

  /**
   * Whether the next line belongs to the item before it.
   * @param {number} indent of the list's items
   */
  belongs(indent) {
    const line = this.lines[this.at];
    if (!line.trim()) {
      const after = this.lines[this.at + 1] ?? "";
      return /^\s+\S/.test(after) && after.search(/\S/) > indent;
    }
    return line.search(/\S/) > indent && !((ITEM.exec(line)?.[1].length ?? Infinity) <= indent + 1);
  }

  table() {
    const cells = (/** @type {string} */ line) =>
      line
        .trim()
        .replace(/^\||\|$/g, "")
        .split(/(?<!\\)\|/)
        .map((c) => c.trim());
    const head = cells(this.lines[this.at]);
    const align = cells(this.lines[this.at + 1]).map((c) =>
      c.endsWith(":") ? (c.startsWith(":") ? "center" : "right") : "left",
    );
    this.at += 2;
    /** @type {string[][]} */
    const rows = [];
    while (this.at < this.lines.length && this.lines[this.at].includes("|") && rows.length < 500)
      rows.push(cells(this.lines[this.at++]));
    const cell = (/** @type {"th" | "td"} */ tag) => (/** @type {string} */ text, /** @type {number} */ i) =>
      h(tag, { class: `align-${align[i] ?? "left"}` }, ...inline(text));
    this.out.push(
      h(
        "div",
        { class: "md-table", tabindex: "0", role: "group", "aria-label": "table" },
        h(
          "table",
          null,
          h("thead", null, h("tr", null, head.map(cell("th")))),
          h(
            "tbody",
            null,
            rows.map((row) => h("tr", null, row.slice(0, head.length).map(cell("td")))),
          ),
        ),
      ),
    );
  }

  paragraph() {
    const start = this.at;
    do {
      // models open a block of code at the end of a sentence
      const late = LATE_FENCE.exec(this.lines[this.at]);
      if (late) {
        this.out.push(h("p", null, ...inline([...this.lines.slice(start, this.at), late[1]].join("\n"))));
        this.lines[this.at] = late[2];
        return;
      }
      this.at += 1;
    } while (this.at < this.lines.length && this.lines[this.at].trim() && !this.interrupts(this.lines[this.at]));
    this.out.push(h("p", null, ...inline(this.lines.slice(start, this.at).join("\n"))));
  }

  /** @param {string} line */
  interrupts(line) {
    return (
      FENCE.test(line) ||
      HEADING.test(line) ||
      QUOTE.test(line) ||
      ITEM.test(line) ||
      DISPLAY.some(([start]) => start.test(line))
    );
  }
}

/**
 * A block of code with the name of its language and line numbers.
 * @param {string} code
 * @param {string} [language]
 */
export function codeBlock(code, language = "") {
  const lines = code.replace(/\n$/, "").split("\n");
  return h(
    "figure",
    { class: "code" },
    language && h("figcaption", null, language),
    h(
      "pre",
      { tabindex: "0", role: "group", "aria-label": `code${language ? `, ${language}` : ""}` },
      h("span", { class: "line-numbers", "aria-hidden": "true" }, lines.map((_, i) => i + 1).join("\n")),
      h("code", null, visible(code)),
    ),
  );
}

// Reasoning models wrap their scratch work in tags of this kind.
const REASONING = /<(think|thinking|reasoning)>([^]*?)(?:<\/\1>|$)|^([^]*?)<\/think>/;

/**
 * @param {string} text
 * @param {boolean} open
 * @param {number} first number of its first line
 */
function reasoning(text, open, first) {
  return h(
    "details",
    { class: "reasoning", open },
    h("summary", null, "Reasoning ", h("span", { class: "dim" }, `${text.length.toLocaleString("en")} characters`)),
    ...new Blocks(text.split("\n"), 0, first).run(),
  );
}

/**
 * The nodes of a Markdown text.
 * @param {string} text
 * @param {{ open?: boolean }} [options] whether reasoning blocks start unfolded
 * @returns {HTMLElement[]}
 */
export function markdown(text, { open = true } = {}) {
  const out = [];
  let rest = bounded(text).replace(/\r\n?/g, "\n");
  let line = 0;
  const lines = (/** @type {string} */ part) => part.split("\n").length - 1;
  for (let found = REASONING.exec(rest); found && out.length < 60; found = REASONING.exec(rest)) {
    const before = rest.slice(0, found.index);
    if (before.trim()) out.push(...new Blocks(before.split("\n"), 0, line).run());
    const inner = found[2] ?? found[3] ?? "";
    const first = line + lines(before) + lines(found[0].slice(0, found[0].indexOf(inner)));
    if (inner.trim()) out.push(reasoning(inner, open, first));
    line += lines(before) + lines(found[0]);
    rest = rest.slice(found.index + found[0].length);
  }
  out.push(...new Blocks(rest.split("\n"), 0, line).run());
  return out;
}
