// The text of a response, rendered, raw or token by token, in parts where it is long.

import { go, withQuery } from "../../core/router.js";
import { markdown } from "../../text/markdown.js";
import { tokenPanel } from "./tokens.js";
import { segmented } from "../../components/navigation.js";
import { notify } from "../../components/notices.js";
import { h, visible } from "../../core/dom.js";
import { num, plural } from "../../core/format.js";

/** @typedef {import("../../api/types.js").ResponseInfo} ResponseInfo */
/** @typedef {import("./page.js").Place} Place */

/** How many characters of a text are shown at once. */
export const WINDOW = 60000;

/** @type {[name: string, title: string][]} */
export const TABS = [
  ["rendered", "Rendered"],
  ["raw", "Raw"],
  ["tokens", "Tokens"],
];

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
 * The text of a response, in the form that the address names.
 * @param {Place} at
 * @param {ResponseInfo} data
 */
export function textPanel(at, data) {
  const pick = (/** @type {string} */ tab) =>
    go(withQuery({ tab: tab === "rendered" ? null : tab, metric: null, token: null }));
  const size = `${plural(data.response_chars, "character")}, ${plural(data.row.response_tokens ?? 0, "token")}`;
  return h(
    "section",
    { class: "panel" },
    h(
      "header",
      null,
      h("h2", null, "Response"),
      segmented("Shown as", TABS, at.tab, pick),
      h("span", { class: "dim" }, size),
      h("span", { class: "grow" }),
      copyButton("Copy text", () => data.response ?? "", "Copied"),
      copyButton("Copy link", () => location.href, "Link copied"),
    ),
    h("div", { class: "body" }, at.tab === "tokens" ? tokenPanel(at, data) : written(data, at.tab, at.offset)),
  );
}

/**
 * @param {ResponseInfo} data
 * @param {string} tab
 * @param {number} offset
 */
function written(data, tab, offset) {
  const text = data.response;
  if (text === null || text === undefined) return h("p", { class: "dim" }, "The text cannot be read.");
  if (!data.response_chars) return h("p", { class: "dim" }, "The response is empty.");
  const end = offset + text.length;
  const turn = (/** @type {number} */ to) => () => go(withQuery({ offset: to || null }));
  const windowed = offset > 0 || end < data.response_chars;
  const pager = () =>
    windowed &&
    h(
      "nav",
      { class: "pager", "aria-label": "Parts of the text" },
      h("button", { disabled: offset <= 0, onclick: turn(Math.max(0, offset - WINDOW)) }, "← Earlier"),
      h("span", { class: "dim num" }, `characters ${num(offset)} to ${num(end)} of ${num(data.response_chars)}`),
      h("button", { disabled: end >= data.response_chars, onclick: turn(end) }, "Later →"),
    );
  return [
    pager(),
    tab === "raw"
      ? h("pre", { class: "raw", tabindex: "0" }, visible(text))
      : h("div", { class: "prose" }, markdown(text)),
    windowed && text.length > 3000 && pager(),
  ];
}
