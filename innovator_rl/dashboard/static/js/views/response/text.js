// The text of a response, rendered with an outline, raw, by turns or token by token, in parts where it is long.

import { go, withQuery } from "../../core/router.js";
import { markdown } from "../../text/markdown.js";
import { outline } from "../../text/outline.js";
import { outlinePanel } from "./outline-panel.js";
import { tokenPanel } from "./tokens.js";
import { turnTimeline } from "./turns.js";
import { segmented } from "../../components/navigation.js";
import { notify } from "../../components/notices.js";
import { h, visible } from "../../core/dom.js";
import { num, plural, withoutEnd } from "../../core/format.js";

/** @typedef {import("../../api/types.js").ResponseInfo} ResponseInfo */
/** @typedef {import("../../components/keys.js").Key} Key */
/** @typedef {import("./page.js").Place} Place */

/** How many characters of a text are shown at once. */
export const WINDOW = 66000;

/** @type {[name: string, title: string][]} */
const TABS = [
  ["rendered", "Rendered"],
  ["raw", "Raw"],
  ["tokens", "Tokens"],
];

/**
 * How a response can be shown; a conversation begins with its turns.
 * @param {ResponseInfo} data
 * @returns {[name: string, title: string][]}
 */
export const tabsOf = (data) => (data.turns.length ? [["turns", "Turns"], ...TABS] : TABS);

/**
 * @param {string} title
 * @param {() => string} text
 * @param {string} said shown when the text has been copied
 */
function copyButton(title, text, said) {
  const done = () => notify(said, null, 2);
  const refused = () => notify("The browser did not allow it", null, 4);
  return h(
    "button",
    { class: "plain", onclick: () => navigator.clipboard.writeText(text()).then(done, refused) },
    title,
  );
}

/**
 * The text of a response in the form that the address names, and the keys that go through its outline.
 * @param {Place} at
 * @param {ResponseInfo} data
 * @returns {{ element: HTMLElement, keys: Key[] }}
 */
export function textPanel(at, data) {
  const pick = (/** @type {string} */ tab) =>
    go(withQuery({ tab: tab === at.tabs[0][0] ? null : tab, metric: null, token: null }));
  const size = `${plural(data.response_chars, "character")}, ${plural(data.row.response_tokens ?? 0, "token")}`;
  const { nodes, keys } = at.tab === "tokens" ? { nodes: [tokenPanel(at, data)], keys: [] } : written(at, data);
  const element = h(
    "section",
    { class: "panel" },
    h(
      "header",
      null,
      h("h2", null, "Response"),
      segmented("Shown as", at.tabs, at.tab, pick),
      h("span", { class: "dim" }, size),
      h("span", { class: "grow" }),
      copyButton("Copy text", () => data.response ?? "", "Copied"),
      copyButton("Copy link", () => location.href, "Link copied"),
    ),
    h("div", { class: "body" }, nodes),
  );
  return { element, keys };
}

/**
 * The part of a text that begins at `offset`. Offsets count characters as the server does, not as JavaScript does.
 * @param {ResponseInfo} data
 * @returns {{ text: string, index: number }}
 */
function partOf({ response, parts, offset }) {
  const index = Math.max(
    0,
    parts.findLastIndex((start) => start <= offset),
  );
  const end = parts[index + 1];
  const text = response ?? "";
  return { text: end === undefined ? text : [...text].slice(0, end - offset).join(""), index };
}

/**
 * @param {Place} at
 * @param {ResponseInfo} data
 * @returns {{ nodes: import("../../core/dom.js").Leaf[], keys: Key[] }}
 */
function written(at, data) {
  const say = (/** @type {string} */ text) => ({ nodes: [h("p", { class: "dim" }, text)], keys: [] });
  if (data.response === null || data.response === undefined) return say("The text cannot be read.");
  if (!data.response_chars) return say("The response is empty.");
  if (at.tab === "turns") return { nodes: [turnTimeline(data.turns)], keys: [] };
  const { text, index } = partOf(data);
  const pager = () => data.parts.length > 1 && partPager(data.parts, index, data.response_chars);
  if (at.tab === "raw")
    return { nodes: [pager(), h("pre", { class: "raw", tabindex: "0" }, visible(text)), pager()], keys: [] };
  const prose = h("div", { class: "prose long" }, markdown(withoutEnd(text)));
  const { extracted } = data.score;
  const found = outline(text.replace(/\r\n?/g, "\n"), typeof extracted === "string" ? extracted : null);
  const side = outlinePanel(prose, found, at.signal);
  return {
    nodes: [pager(), h("div", { class: side ? "outlined" : "" }, side?.element, prose), pager()],
    keys: side
      ? [
          ["]", "next entry of the outline", side.next],
          ["[", "previous entry of the outline", side.previous],
        ]
      : [],
  };
}

/**
 * @param {number[]} parts where each part begins
 * @param {number} index
 * @param {number} chars
 */
function partPager(parts, index, chars) {
  const turn = (/** @type {number} */ to) => () => go(withQuery({ offset: parts[to] || null }));
  return h(
    "nav",
    { class: "pager", "aria-label": "Parts of the text" },
    h("button", { disabled: index <= 0, onclick: turn(index - 1) }, "← Earlier"),
    h(
      "span",
      { class: "dim num" },
      `part ${num(index + 1)} of ${num(parts.length)}, characters ${num(parts[index])} to ${num(parts[index + 1] ?? chars)} of ${num(chars)}`,
    ),
    h("button", { disabled: index >= parts.length - 1, onclick: turn(index + 1) }, "Later →"),
  );
}
