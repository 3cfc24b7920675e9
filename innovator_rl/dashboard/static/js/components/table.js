// Tables of rows: sortable heads whose state is in the address, rows that open.

import { h } from "../core/dom.js";
import { go, withQuery } from "../core/router.js";

/**
 * `columns` is [{title, cell(row) -> node or text, sort?, class?, hint?}]. `sort` is the current order (`name` or `-name`);
 * a head with a `sort` name changes it in the address. `open(row, index)` is called by a click on a row.
 */
export function table({
  columns,
  rows,
  caption,
  sort = null,
  open = null,
  onsort = (next) => go(withQuery({ sort: next })),
}) {
  const head = columns.map((column) => {
    if (!column.sort) return h("th", { scope: "col", class: column.class, title: column.hint }, column.title);
    const direction = sort === column.sort ? "ascending" : sort === `-${column.sort}` ? "descending" : null;
    const next = direction === "descending" ? column.sort : direction === "ascending" ? "" : `-${column.sort}`;
    return h(
      "th",
      { scope: "col", class: column.class, "aria-sort": direction, title: column.hint },
      h(
        "button",
        { onclick: () => onsort(next) },
        column.title,
        direction ? (direction === "descending" ? " ↓" : " ↑") : null,
      ),
    );
  });
  const body = rows.map((row, i) => {
    const line = h(
      "tr",
      { class: open ? "row-link" : null },
      columns.map((column) => h("td", { class: column.class }, column.cell(row, i))),
    );
    if (open)
      line.addEventListener("click", (event) => {
        if (!event.target.closest("a, button, input, label") && !getSelection().toString()) open(row, i);
      });
    return line;
  });
  const element = h(
    "div",
    { class: "table-wrap", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      { class: "grid" },
      h("caption", { class: "visually-hidden" }, caption),
      h("thead", null, h("tr", null, head)),
      h("tbody", null, body),
    ),
  );
  return { element, lines: body };
}

/** A two-column list of facts; pairs whose value is null are left out. */
export function facts(pairs) {
  return h(
    "table",
    { class: "facts" },
    h(
      "tbody",
      null,
      pairs
        .filter(([, value]) => value !== null && value !== undefined && value !== "")
        .map(([name, value]) => h("tr", null, h("th", { scope: "row" }, name), h("td", null, value))),
    ),
  );
}

/** Buttons of which one is pressed: `options` is [[value, label]]. */
export function segmented(label, options, chosen, onpick) {
  const group = h("div", { class: "segmented", role: "group", "aria-label": label });
  for (const [value, text] of options)
    group.append(
      h(
        "button",
        {
          id: `${label}-${value}`.toLowerCase().replaceAll(" ", "-"),
          "aria-pressed": String(value === chosen),
          onclick: () => {
            for (const b of group.children) b.setAttribute("aria-pressed", String(b === button(value)));
            onpick(value);
          },
          dataset: { value },
        },
        text,
      ),
    );
  const button = (value) => [...group.children].find((b) => b.dataset.value === String(value));
  return group;
}
