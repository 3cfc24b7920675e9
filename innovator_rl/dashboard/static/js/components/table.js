// Tables of rows, with sortable heads whose order is in the address and rows that open, and lists of facts.

import { h } from "../core/dom.js";
import { go, withQuery } from "../core/router.js";

/** @typedef {import("../core/dom.js").Child} Child */

/**
 * One column. `sort` is the name under which the server sorts by it; `hint` is shown when the pointer rests on the head. In
 * the card of a phone, cells of the class `num` or `titled` begin with the title of their column, and those of the class
 * `whole` have a line of their own.
 * @template Row
 * @typedef {{
 *   title: Child,
 *   cell: (row: Row) => Child,
 *   sort?: string,
 *   class?: string | null,
 *   hint?: string,
 * }} Column
 */

/**
 * The head of a column; a click sorts by it, descending first.
 * @template Row
 * @param {Column<Row>} column
 * @param {string | null | undefined} sort
 */
function head(column, sort) {
  const attributes = { scope: "col", class: column.class, title: column.hint };
  if (!column.sort) return h("th", attributes, column.title);
  const direction = sort === column.sort ? "ascending" : sort === `-${column.sort}` ? "descending" : null;
  const next = direction === "descending" ? column.sort : direction === "ascending" ? "" : `-${column.sort}`;
  const arrow = direction && (direction === "descending" ? " ↓" : " ↑");
  const button = h("button", { onclick: () => go(withQuery({ sort: next })) }, column.title, arrow);
  return h("th", { ...attributes, "aria-sort": direction }, button);
}

/**
 * A table, and the lines of its rows.
 * @template Row
 * @param {object} options
 * @param {Column<Row>[]} options.columns
 * @param {readonly Row[]} options.rows
 * @param {string} options.caption
 * @param {string | null} [options.sort] the current order, `name` or `-name`
 * @param {((row: Row) => unknown) | null} [options.open] called by a click on a row
 * @param {boolean} [options.cards] whether a phone shows each row as a card
 */
export function table({ columns, rows, caption, sort, open, cards = false }) {
  const lines = rows.map((row) => {
    const line = h(
      "tr",
      { class: open ? "row-link" : null },
      columns.map((column) =>
        h(
          "td",
          { class: column.class, "data-title": typeof column.title === "string" ? column.title : null },
          column.cell(row),
        ),
      ),
    );
    if (open)
      line.addEventListener("click", (event) => {
        const control = event.target instanceof Element && event.target.closest("a, button, input, label");
        if (!control && !getSelection()?.toString()) open(row);
      });
    return line;
  });
  const element = h(
    "div",
    { class: "table-wrap", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      { class: cards ? "grid cards-on-phones" : "grid" },
      h("caption", { class: "visually-hidden" }, caption),
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          columns.map((column) => head(column, sort)),
        ),
      ),
      h("tbody", null, lines),
    ),
  );
  return { element, lines };
}

/**
 * A two-column list of facts. Pairs without a value are left out.
 * @param {[name: string, value: Child][]} pairs
 */
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
