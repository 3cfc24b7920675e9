// Builds DOM nodes. Every element of the page is made here, and text always ends up in text nodes, never in markup, so
// nothing that a model wrote can become an element, an attribute or a script. Every text passes `visible`: names of runs,
// domains and files are written by others just as responses are.

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Node | string | number | bigint | boolean | null | undefined} Leaf */

/** @typedef {Leaf | readonly Leaf[]} Leaves */

/**
 * What `h` and `s` take as content. Null, undefined and false are left out; lists, and lists of lists, are flattened.
 * @typedef {Leaves | readonly Leaves[] | readonly (readonly Leaves[] | Leaves)[]} Child
 */

/**
 * @template {Element} E
 * @template {Event} V
 * @typedef {((event: V & { target: E }) => unknown) | false | null | undefined} Handler
 */

/**
 * Attributes of an element, and its listeners under `onclick`-like names. Null, undefined and false are left out.
 * @template {Element} E
 * @typedef {{
 *   onclick?: Handler<E, MouseEvent>,
 *   onchange?: Handler<E, Event>,
 *   onsubmit?: Handler<E, SubmitEvent>,
 *   ontoggle?: Handler<E, Event>,
 *   onclose?: Handler<E, Event>,
 *   style?: Record<string, string>,
 *   dataset?: Record<string, string | number>,
 *   [attribute: string]: unknown
 * }} Props
 */

/**
 * @param {HTMLElement | SVGElement} node
 * @param {Props<any> | null | undefined} props
 */
function apply(node, props) {
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), /** @type {EventListener} */ (value));
    else if (key === "style") for (const [name, v] of Object.entries(value)) node.style.setProperty(name, v);
    else if (key === "dataset") Object.assign(node.dataset, value);
    else if (["value", "checked", "selected", "indeterminate"].includes(key)) Object.assign(node, { [key]: value });
    else node.setAttribute(key, value === true ? "" : String(value));
  }
}

/**
 * Append children to a node.
 * @template {Node & ParentNode} N
 * @param {N} node
 * @param {Child[]} children
 * @returns {N}
 */
export function append(node, ...children) {
  for (const child of /** @type {Leaf[]} */ (children.flat(Infinity))) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(visible(child)));
  }
  return node;
}

/**
 * Make an HTML element.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Props<HTMLElementTagNameMap[K]> | null} [props]
 * @param {Child[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props, ...children) {
  const node = document.createElement(tag);
  apply(node, props);
  return append(node, ...children);
}

/**
 * Make an SVG element.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Props<SVGElementTagNameMap[K]> | null} [props]
 * @param {Child[]} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function s(tag, props, ...children) {
  const node = document.createElementNS(SVG, tag);
  apply(node, props);
  return append(node, ...children);
}

/**
 * Replace everything inside a node.
 * @template {Element} N
 * @param {N} node
 * @param {Child[]} children
 * @returns {N}
 */
export function replace(node, ...children) {
  node.replaceChildren();
  return append(node, ...children);
}

/**
 * Find an element of index.html by its id.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no element #${id}`);
  return found;
}

/**
 * Link to another site: http(s) only, in a new tab, without a referrer. Any other address is shown as text.
 * @param {string} url
 * @param {Child} label
 */
export function outsideLink(url, label) {
  let parsed;
  try {
    parsed = new URL(url);
  } catch {
    return h("span", { class: "dead-link" }, label);
  }
  if (!["http:", "https:"].includes(parsed.protocol)) return h("span", { class: "dead-link", title: url }, label);
  return h(
    "a",
    { href: parsed.href, rel: "noopener noreferrer nofollow", target: "_blank", title: parsed.href },
    label,
  );
}

// Invisible characters that could hide or reorder text: controls, bidirectional overrides, zero-width ones, fillers. The
// control characters are the point of the expression.
const INVISIBLE =
  // eslint-disable-next-line no-control-regex
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

// What a browser joins to one letter without an end: combining marks, joiners and viramas with what they join, and
// Hangul jamo.
const LINKERS = "\\u094d\\u09cd\\u0acd\\u0b4d\\u0c4d\\u0d4d\\u1039\\u17d2\\u1a60\\u1b44\\u1bab\\ua9c0\\uaaf6";
const JOINED =
  `(?:[${LINKERS}]\\p{L}?` +
  "|\\p{M}|[\\u200c\\u200d]\\p{Extended_Pictographic}?|[\\u1100-\\u11ff\\ua960-\\ua97c\\ud7b0-\\ud7fb])";
const FLOOD = new RegExp(`(${JOINED}{16})(${JOINED}+)`, "gu");

// Letters that join to their neighbors: a browser shapes a word of them again for every line that it breaks into.
const CURSIVE = "[\\p{Script=Arabic}\\p{Script=Syriac}\\p{Script=Mongolian}\\p{Script=Nko}\\p{M}]";
const WORD = new RegExp(`${CURSIVE}+`, "gu");
const LONGEST_WORD = 400;
const THIN_SPACE = "\u2009";

/**
 * Cut a flood of marks on one letter, and divide endless words of joined letters: a browser takes seconds to lay them out.
 * @param {string} text
 */
export const bounded = (text) =>
  text
    .replace(FLOOD, (_, kept, rest) => `${kept}‹${[...rest].length} more marks›`)
    .replace(WORD, (word) => (word.length > LONGEST_WORD ? divided(word) : word));

/** @param {string} word */
const divided = (word) =>
  Array.from({ length: Math.ceil(word.length / LONGEST_WORD) }, (_, i) =>
    word.slice(i * LONGEST_WORD, (i + 1) * LONGEST_WORD),
  ).join(THIN_SPACE);

const MOST_WRITTEN_OUT = 1000;

/**
 * Write out every invisible character of a text, so that the page shows all that is there; after the first thousand, each
 * is one sign, because a character written out takes the space of eight.
 * @param {unknown} text
 */
export function visible(text) {
  let written = 0;
  return bounded(String(text))
    .replace(/\r\n/g, "\n")
    .replace(INVISIBLE, (c) => {
      const code = c.codePointAt(0) ?? 0;
      if (code < 0x20) return String.fromCodePoint(0x2400 + code);
      written += 1;
      return written > MOST_WRITTEN_OUT ? "\ufffd" : `‹U+${code.toString(16).toUpperCase().padStart(4, "0")}›`;
    });
}
