// The keyboard. A view sets its keys when it is shown. They come before the keys of the whole page (help, search, go to).

import { h } from "../core/dom.js";

/**
 * A key, what it does (empty: not listed in the help), and the action. A two-letter key such as "g r" is pressed one
 * letter after the other.
 * @typedef {[string, string, () => unknown]} Key
 */

const PREFIX_MS = 1200;

/** @type {Key[]} */
let viewKeys = [];
/** @type {Key[]} */
let pageKeys = [];
let prefix = "";
let timer = 0;

/** @param {Key[]} keys */
export const setViewKeys = (keys) => {
  viewKeys = keys;
};

/** @param {Key[]} keys */
export const setPageKeys = (keys) => {
  pageKeys = keys;
};

/** @param {KeyboardEvent} event */
function pressed(event) {
  const target = event.target instanceof HTMLElement ? event.target : document.body;
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (target.closest("input, textarea, select, [contenteditable]")) {
    if (event.key === "Escape") target.blur();
    return;
  }
  if (event.key === "Enter" && target.closest("a, button, summary")) return;
  const all = [...viewKeys, ...pageKeys];
  const both = prefix ? `${prefix} ${event.key}` : event.key;
  const found = all.find(([key]) => key === both) ?? all.find(([key]) => key === event.key);
  clearTimeout(timer);
  if (!prefix && all.some(([key]) => key.startsWith(`${event.key} `))) {
    prefix = event.key;
    timer = window.setTimeout(() => {
      prefix = "";
    }, PREFIX_MS);
    return;
  }
  prefix = "";
  if (!found) return;
  event.preventDefault();
  found[2]();
}

document.addEventListener("keydown", pressed);

/** @type {Record<string, string>} */
const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc" };

/** @param {Key[]} keys */
function list(keys) {
  const caps = (/** @type {string} */ key) =>
    key.split(" ").map((one, i) => [i ? " " : "", h("kbd", null, NAMES[one] ?? one)]);
  return h(
    "div",
    { class: "key-list" },
    keys
      .filter(([, text]) => text)
      .map(([key, text]) => h("div", null, h("span", null, text), h("span", null, caps(key)))),
  );
}

/** Show every key that works on this page. */
export function showHelp() {
  const close = h("button", { onclick: () => dialog.close() }, "Close");
  /** @type {HTMLDialogElement} */
  const dialog = h(
    "dialog",
    { "aria-label": "Keyboard", onclose: () => dialog.remove() },
    h("h2", null, "Keyboard"),
    viewKeys.some(([, text]) => text) && [h("h3", null, "This view"), list(viewKeys)],
    h("h3", null, "Everywhere"),
    list(pageKeys),
    close,
  );
  document.body.append(dialog);
  dialog.showModal();
  close.focus();
}
