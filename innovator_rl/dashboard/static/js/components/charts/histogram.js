// A histogram whose bins can be clicked to filter by their range.

import { h } from "../../core/dom.js";
import { compact, num } from "../../core/format.js";

/**
 * How many values lie between two bounds; `part` of them, the correct ones, is drawn inside.
 * @typedef {{ low: number, high: number, count: number, part?: number | null }} HistogramBin
 */

/**
 * A histogram.
 * @param {object} options
 * @param {string} options.title
 * @param {HistogramBin[]} options.bins
 * @param {((bin: HistogramBin, chosen: boolean) => unknown) | null} [options.onpick] called by a click on a bin
 * @param {[number, number] | null} [options.selected] the bounds of the chosen bin
 * @param {number} [options.height] in pixels
 */
export function histogram({ title, bins, onpick = null, selected = null, height = 92 }) {
  const total = bins.reduce((sum, b) => sum + b.count, 0);
  if (!total)
    return h(
      "figure",
      { class: "chart hist" },
      h("figcaption", null, title),
      h("p", { class: "chart-empty" }, "No values"),
    );
  const most = Math.max(...bins.map((b) => b.count));
  const columns = bins.map((bin) => {
    const chosen = selected !== null && selected[0] === bin.low && selected[1] === bin.high;
    const part = bin.part === undefined || bin.part === null ? "" : `, ${num(bin.part)} correct`;
    const text = `${num(bin.low)} to ${num(bin.high)}: ${num(bin.count)}${part}`;
    const size = (/** @type {number} */ n) => ({ height: `${n ? Math.max(1.5, (100 * n) / most) : 0}%` });
    const fill = h(
      "span",
      { class: "bin-fill", style: size(bin.count) },
      bin.part ? h("span", { class: "bin-part", style: { height: `${(100 * bin.part) / bin.count}%` } }) : null,
    );
    return onpick && bin.count
      ? h(
          "button",
          {
            class: `bin${chosen ? " chosen" : ""}`,
            "aria-pressed": String(chosen),
            "aria-label": text,
            title: text,
            onclick: () => onpick(bin, chosen),
          },
          fill,
        )
      : h("span", { class: "bin", title: text }, fill);
  });
  return h(
    "figure",
    { class: "chart hist" },
    h("figcaption", null, title, h("span", { class: "at-step" }, `most in a bin ${compact(most)}`)),
    h("div", { class: "bins", style: { height: `${height}px` } }, columns),
    h(
      "div",
      { class: "bin-axis" },
      h("span", null, num(bins[0].low)),
      h("span", null, num(bins[bins.length - 1].high)),
    ),
  );
}
