// The numbers of a chart as a table below it, for screen readers and for copying.

import { h, replace } from "../../core/dom.js";
import { num, humanize } from "../../core/format.js";
import { table } from "../table.js";
import { finite } from "./axes.js";

const MOST_LINES = 500;

/**
 * The numbers of a chart, newest step first. The table is built when it is first opened.
 * @param {string} title
 * @param {import("./axes.js").Series[]} shown
 * @param {import("./axes.js").Format} format
 */
export function figuresOf(title, shown, format) {
  const body = h("div");
  const build = () => {
    const bySeries = shown.map((one) => new Map(one.points.map((p) => [p.x, p.y])));
    const steps = [...new Set(shown.flatMap((one) => one.points.map((p) => p.x)))].sort((a, b) => b - a);
    /** @type {import("../table.js").Column<number>[]} */
    const columns = [
      { title: "Step", class: "num", cell: (step) => num(step) },
      ...shown.map((one, i) => ({
        title: humanize(one.name),
        class: "num",
        cell: (/** @type {number} */ step) => {
          const value = bySeries[i].get(step);
          return format(finite(value) ? value : null);
        },
      })),
    ];
    const cut =
      steps.length > MOST_LINES && h("p", { class: "dim" }, `the newest ${MOST_LINES} of ${num(steps.length)} steps`);
    replace(body, cut, table({ caption: title, columns, rows: steps.slice(0, MOST_LINES) }).element);
  };
  return h(
    "details",
    { class: "figures", ontoggle: (event) => event.target.open && !body.childNodes.length && build() },
    h("summary", { "aria-label": `${title} as a table` }, "Table"),
    body,
  );
}
