// A chart of lines over steps, each with an optional band between a low and a high value. A cursor follows the pointer or
// the arrow keys, and a click opens the step.

import { h, replace, s } from "../../core/dom.js";
import { compact, num, humanize } from "../../core/format.js";
import { PAD, WIDTH, axes, extent, finite, path, thinned, ticks } from "./axes.js";
import { figuresOf } from "./figures.js";

/** @typedef {import("./axes.js").Format} Format */
/** @typedef {import("./axes.js").Point} Point */
/** @typedef {import("./axes.js").Scale} Scale */
/** @typedef {import("./axes.js").Series} Series */

/**
 * Called with the step that was picked and its series; null where no line was near.
 * @typedef {(step: number, series: Series | null) => unknown} PickStep
 */

const NEAR_PIXELS = 24;

/**
 * Exponential moving average; `weight` 0 leaves the series as it is.
 * @param {Point[]} points
 * @param {number} weight
 */
export function smooth(points, weight) {
  if (!weight) return points;
  /** @type {number | null} */
  let mean = null;
  return points.map((p) => {
    if (!finite(p.y)) return p;
    mean = mean === null ? p.y : weight * mean + (1 - weight) * p.y;
    return { ...p, y: mean };
  });
}

/**
 * The SVG path of the band between the low and the high values, or null where there are fewer than two.
 * @param {Point[]} points
 * @param {Scale} x
 * @param {Scale} y
 */
function band(points, x, y) {
  /** @type {[string, string][]} */
  const ends = [];
  for (const { x: at, low, high } of points)
    if (finite(low) && finite(high))
      ends.push([`${x(at).toFixed(1)} ${y(high).toFixed(1)}`, `${x(at).toFixed(1)} ${y(low).toFixed(1)}`]);
  if (ends.length < 2) return null;
  const up = ends.map(([high]) => high);
  const down = ends.map(([, low]) => low).reverse();
  return `M${up.join("L")}L${down.join("L")}Z`;
}

/** @param {Series} one */
const lastPoint = (one) => one.points.findLast((p) => finite(p.y));

/**
 * A chart of lines over steps.
 * @param {object} options
 * @param {string} options.title
 * @param {Series[]} options.series
 * @param {number} [options.height]
 * @param {PickStep | null} [options.onpick] called by a click or the Enter key
 * @param {number} [options.weight] of the moving average; 0: no smoothing
 * @param {Format} [options.format]
 * @param {string} [options.hint] what to say where there is no value
 */
export function lineChart({ title, series, height = 190, onpick = null, weight = 0, format = num, hint = "" }) {
  const shown = series.filter(lastPoint);
  if (!shown.length)
    return h(
      "figure",
      { class: "chart" },
      h("figcaption", null, title),
      h("p", { class: "chart-empty" }, hint || "Nothing recorded yet"),
    );
  const all = shown.flatMap((one) => one.points);
  const steps = [...new Set(all.map((p) => p.x))].sort((a, b) => a - b);
  const [x0, x1] = [steps[0], steps[steps.length - 1]];
  const [y0, y1] = extent(all.flatMap((p) => [p.y, p.low, p.high]));
  const inner = WIDTH - PAD.left - PAD.right;
  /** @type {Scale} */
  const x = (v) => PAD.left + (x1 === x0 ? 0.5 : (v - x0) / (x1 - x0)) * inner;
  /** @type {Scale} */
  const y = (v) => height - PAD.bottom - ((v - y0) / (y1 - y0)) * (height - PAD.top - PAD.bottom);
  const ends = shown.map((one) => `${one.name}: ${format(lastPoint(one)?.y)} at the end`).join("; ");
  const svg = s("svg", {
    viewBox: `0 0 ${WIDTH} ${height}`,
    class: onpick ? "pickable" : null,
    tabindex: "0",
    role: "img",
    "aria-label": `${title}, steps ${x0} to ${x1}. ${ends}`,
  });
  axes(svg, x, y, ticks(x0, x1, 5).filter(Number.isInteger), ticks(y0, y1), height, format === num ? compact : format);
  for (const one of shown) {
    const area = band(one.points, x, y);
    if (area) svg.append(s("path", { class: `band c${one.color}`, d: area }));
  }
  for (const one of shown) {
    if (weight) svg.append(s("path", { class: `line faint c${one.color}`, d: path(thinned(one.points, x), x, y) }));
    svg.append(s("path", { class: `line c${one.color}`, d: path(thinned(smooth(one.points, weight), x), x, y) }));
    const [only] = one.points;
    if (one.points.length === 1 && finite(only.y))
      svg.append(s("circle", { class: `dot c${one.color}`, cx: x(only.x), cy: y(only.y), r: 3 }));
  }
  return withCursor({ svg, title, shown, steps, x, y, height, onpick, format });
}

/**
 * @typedef {object} Drawn
 * @property {SVGSVGElement} svg
 * @property {string} title
 * @property {Series[]} shown
 * @property {number[]} steps
 * @property {Scale} x
 * @property {Scale} y
 * @property {number} height
 * @property {PickStep | null} onpick
 * @property {Format} format
 */

/**
 * The chart with its legend, and a cursor that shows the values at one step.
 * @param {Drawn} drawn
 */
function withCursor({ svg, title, shown, steps, x, y, height, onpick, format }) {
  const line = s("line", { class: "cursor", y1: PAD.top, y2: height - PAD.bottom, visibility: "hidden" });
  const dots = shown.map((one) => s("circle", { class: `dot c${one.color}`, r: 3.5, visibility: "hidden" }));
  svg.append(line, ...dots);
  const legend = h("div", { class: "legend", "aria-live": "off" });
  const caption = h("span", { class: "at-step" });
  const byStep = shown.map((one) => new Map(one.points.map((p) => [p.x, p])));
  let current = -1;
  const show = (/** @type {number} */ index) => {
    current = index;
    const step = steps[index];
    line.setAttribute("visibility", index < 0 ? "hidden" : "visible");
    if (index >= 0) for (const end of ["x1", "x2"]) line.setAttribute(end, String(x(step)));
    const items = shown.map((one, i) => {
      const value = (index < 0 ? lastPoint(one) : byStep[i].get(step))?.y;
      const here = index >= 0 && finite(value);
      dots[i].setAttribute("visibility", here ? "visible" : "hidden");
      if (here) dots[i].setAttribute("cx", String(x(step)));
      if (here) dots[i].setAttribute("cy", String(y(value)));
      const label = [h("i", { class: `key c${one.color}` }), humanize(one.name), h("b", null, format(value))];
      return onpick && here
        ? h("button", { class: "legend-item", onclick: () => onpick(step, one) }, label)
        : h("span", { class: "legend-item" }, label);
    });
    replace(legend, items);
    caption.textContent = index < 0 ? "" : `step ${num(step)}`;
  };
  /** @type {(event: MouseEvent, step: number) => Series | null} */
  const near = (event, step) => {
    const box = svg.getBoundingClientRect();
    const at = ((event.clientY - box.top) / box.height) * height;
    const distances = shown.map((_, i) => Math.abs(y(byStep[i].get(step)?.y ?? Infinity) - at));
    const least = distances.indexOf(Math.min(...distances));
    return shown.length === 1 || distances[least] < NEAR_PIXELS ? shown[least] : null;
  };
  listenTo(svg, { steps, show, at: () => current, x, onpick, near });
  show(-1);
  return h(
    "figure",
    { class: "chart" },
    h("figcaption", null, title, caption),
    svg,
    legend,
    figuresOf(title, shown, format),
  );
}

/**
 * @typedef {object} Cursor
 * @property {number[]} steps
 * @property {(index: number) => void} show
 * @property {() => number} at
 * @property {Scale} x
 * @property {PickStep | null} onpick
 * @property {(event: MouseEvent, step: number) => Series | null} near
 */

/**
 * Move the cursor with the pointer and the arrow keys; pick by a click or the Enter key.
 * @param {SVGSVGElement} svg
 * @param {Cursor} cursor
 */
function listenTo(svg, { steps, show, at, x, onpick, near }) {
  const last = steps.length - 1;
  const stepUnder = (/** @type {MouseEvent} */ event) => {
    const box = svg.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * WIDTH;
    const distances = steps.map((step) => Math.abs(x(step) - place));
    return distances.reduce((best, one, i) => (one < distances[best] ? i : best), 0);
  };
  svg.addEventListener("pointermove", (event) => show(stepUnder(event)));
  svg.addEventListener("pointerleave", () => show(-1));
  svg.addEventListener("focus", () => {
    if (at() < 0 && svg.matches(":focus-visible")) show(last);
  });
  svg.addEventListener("blur", () => show(-1));
  svg.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (move) show(Math.max(0, Math.min(last, (at() < 0 ? last : at()) + move)));
    else if (event.key === "Enter" && onpick && at() >= 0) onpick(steps[at()], null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  if (onpick)
    svg.addEventListener("click", (event) => {
      const step = steps[stepUnder(event)];
      onpick(step, near(event, step));
    });
}
