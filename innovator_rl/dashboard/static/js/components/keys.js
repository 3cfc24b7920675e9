// The keyboard. A view hands over its keys when it is shown; the page's own keys (help, search, go to) come after them.

import { h } from "../core/dom.js";

let viewKeys = [];
let pageKeys = [];
let prefix = "";
let timer = 0;

/** `keys` is [[key, what it does, action]]; a two-letter key such as "g r" is pressed one after the other. */
export const setViewKeys = (keys) => {
  viewKeys = keys;
};
export const setPageKeys = (keys) => {
  pageKeys = keys;
};

const typing = (target) => target.closest?.("input, textarea, select, [contenteditable]");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (typing(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "Enter" && event.target.closest?.("a, button, summary")) return;
  const all = [...viewKeys, ...pageKeys];
  const pressed = prefix ? `${prefix} ${event.key}` : event.key;
  const found = all.find(([key]) => key === pressed) ?? all.find(([key]) => key === event.key);
  clearTimeout(timer);
  if (!prefix && all.some(([key]) => key.startsWith(`${event.key} `))) {
    prefix = event.key;
    timer = setTimeout(() => {
      prefix = "";
    }, 1200);
    return;
  }
  prefix = "";
  if (!found) return;
  event.preventDefault();
  found[2](event);
});

const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc" };

function list(keys) {
  return h(
    "div",
    { class: "key-list" },
    keys
      .filter(([, text]) => text)
      .map(([key, text]) =>
        h(
          "div",
          null,
          h("span", null, text),
          h(
            "span",
            null,
            key.split(" ").map((one, i) => [i ? " " : "", h("kbd", null, NAMES[one] ?? one)]),
          ),
        ),
      ),
  );
}

/** Shows every key that works on this page. */
export function showHelp() {
  const close = h("button", { onclick: () => dialog.close() }, "Close");
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

/** A cursor over rows for j/k and the arrows; `open` is called by Enter. */
export function rowKeys(rows, open, { start = -1 } = {}) {
  let at = start;
  const move = (by) => {
    if (!rows.length) return;
    rows[at]?.classList.remove("current");
    at = Math.max(0, Math.min(rows.length - 1, at + by));
    rows[at].classList.add("current");
    rows[at].scrollIntoView({ block: "nearest" });
  };
  if (at >= 0) move(0);
  return [
    ["j", "next row", () => move(1)],
    ["k", "previous row", () => move(-1)],
    ["ArrowDown", "", () => move(1)],
    ["ArrowUp", "", () => move(-1)],
    ["Enter", "open the row", () => at >= 0 && open(at)],
    ["o", "", () => at >= 0 && open(at)],
  ];
}
