// Stacked bars over steps. In a long run each bar stands for several steps, so that
// every bar stays wide enough to see.

import { h, s } from "../../core/dom.js";
import { num, humanize } from "../../core/format.js";
import { axes, extremes, PAD, ticks, WIDTH } from "./axes.js";
import { figuresOf } from "./figures.js";

const MOST_BARS = 240;

/** @typedef {import("./axes.js").Series} Series */

/**
 * Stacked bars over steps.
 * @param {object} options
 * @param {string} options.title
 * @param {Series[]} options.series
 * @param {number} [options.height]
 * @param {((steps: string, series: Series) => unknown) | null} [options.onpick] called with `12` or `12-15`
 * @param {string} [options.hint] what to say where there is nothing to draw
 */
export function stackedBars({ title, series, height = 190, onpick = null, hint = "" }) {
  const shown = series.filter((one) => one.points.some((p) => (p.y ?? 0) > 0));
  if (!shown.length)
    return h(
      "figure",
      { class: "chart" },
      h("figcaption", null, title),
      h("p", { class: "chart-empty" }, hint || "None"),
    );
  const [first, last] = extremes(shown.flatMap((one) => one.points.map((p) => p.x)));
  // a bar stands for several steps once there are more of them than bars to be seen
  const width = Math.ceil((last - first + 1) / MOST_BARS);
  const lookup = shown.map((one) => {
    /** @type {Map<number, number>} */
    const sums = new Map();
    for (const p of one.points)
      sums.set(Math.floor((p.x - first) / width), (sums.get(Math.floor((p.x - first) / width)) ?? 0) + (p.y ?? 0));
    return sums;
  });
  const bars = [...new Set(lookup.flatMap((sums) => [...sums.keys()]))].sort((a, b) => a - b);
  const most = Math.max(...bars.map((bar) => lookup.reduce((sum, m) => sum + (m.get(bar) ?? 0), 0)));
  const slot = ((WIDTH - PAD.left - PAD.right) * width) / (last - first + width);
  const x = (/** @type {number} */ step) => PAD.left + ((step - first) / width + 0.5) * slot;
  const name = (/** @type {number} */ bar) =>
    width === 1 ? String(first + bar) : `${first + bar * width}-${Math.min(last, first + (bar + 1) * width - 1)}`;
  const y = (/** @type {number} */ v) => height - PAD.bottom - (v / (most * 1.05)) * (height - PAD.top - PAD.bottom);
  const svg = s("svg", {
    viewBox: `0 0 ${WIDTH} ${height}`,
    role: "img",
    class: onpick ? "pickable" : null,
    "aria-label": `${title}: ${shown.map((one) => `${humanize(one.name)} ${num(one.points.reduce((t, p) => t + (p.y ?? 0), 0))} in all`).join("; ")}`,
  });
  axes(svg, x, y, ticks(first, last, 5).filter(Number.isInteger), ticks(0, most, 3), height);
  for (const bar of bars) {
    let base = 0;
    shown.forEach((one, i) => {
      const value = lookup[i].get(bar) ?? 0;
      if (!value) return;
      const box = s(
        "rect",
        {
          class: `bar c${one.color}`,
          x: x(first + bar * width) - slot * 0.42,
          width: Math.max(0.6, slot * 0.84),
          y: y(base + value),
          height: Math.max(0.5, y(base) - y(base + value)),
        },
        s("title", null, `${width === 1 ? "step" : "steps"} ${name(bar)}: ${num(value)} ${humanize(one.name)}`),
      );
      if (onpick) box.addEventListener("click", () => onpick(name(bar), one));
      svg.append(box);
      base += value;
    });
  }
  return h(
    "figure",
    { class: "chart" },
    h("figcaption", null, title),
    svg,
    h(
      "div",
      { class: "legend" },
      shown.map((one) =>
        h(
          "span",
          { class: "legend-item" },
          h("i", { class: `key c${one.color}` }),
          humanize(one.name),
          h("b", null, num(one.points.reduce((t, p) => t + (p.y ?? 0), 0))),
        ),
      ),
    ),
    figuresOf(title, shown, num),
  );
}
