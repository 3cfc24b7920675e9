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
const DRAG_PIXELS = 8;

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
 * What the reader chose for a chart; it outlives the redrawing that new data cause.
 * @typedef {{ hidden: Set<string>, log: boolean, range: [low: number, high: number] | null }} Choice
 */

/** @type {Map<string, Choice>} by title */
const choices = new Map();

/** @param {string} title */
function choiceOf(title) {
  const choice = choices.get(title) ?? { hidden: new Set(), log: false, range: null };
  choices.set(title, choice);
  return choice;
}

/**
 * A chart of lines over steps. A drag zooms into a range of steps; a name in the legend hides its line.
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
  const recorded = series.filter(lastPoint);
  const figure = h("figure", { class: "chart" });
  const choice = choiceOf(title);
  const draw = () => {
    if (recorded.length)
      replace(figure, content({ title, recorded, height, onpick, weight, format, choice, redraw: draw }));
    else
      replace(figure, h("figcaption", null, title), h("p", { class: "chart-empty" }, hint || "Nothing recorded yet"));
  };
  draw();
  return figure;
}

/**
 * What a chart shows under the reader's choice.
 * @param {object} options
 * @param {string} options.title
 * @param {Series[]} options.recorded
 * @param {number} options.height
 * @param {PickStep | null} options.onpick
 * @param {number} options.weight
 * @param {Format} options.format
 * @param {Choice} options.choice
 * @param {() => void} options.redraw
 */
function content({ title, recorded, height, onpick, weight, format, choice, redraw }) {
  const [low, high] = choice.range ?? [-Infinity, Infinity];
  const visible = recorded.filter((one) => !choice.hidden.has(one.name));
  const shown = (visible.length ? visible : recorded).map((one) => ({
    ...one,
    points: one.points.filter((p) => p.x >= low && p.x <= high),
  }));
  const all = shown.flatMap((one) => one.points);
  const steps = [...new Set(all.map((p) => p.x))].sort((a, b) => a - b);
  const [x0, x1] = [steps[0], steps[steps.length - 1]];
  const values = all.flatMap((p) => [p.y, p.low, p.high]);
  const positive = values.filter((v) => finite(v) && v > 0);
  const log = choice.log && positive.length > 0;
  const [y0, y1] = log ? extent(positive.map((v) => Math.log10(Number(v)))) : extent(values);
  const inner = WIDTH - PAD.left - PAD.right;
  /** @type {Scale} */
  const x = (v) => PAD.left + (x1 === x0 ? 0.5 : (v - x0) / (x1 - x0)) * inner;
  /** @type {Scale} */
  const linear = (v) => height - PAD.bottom - ((v - y0) / (y1 - y0)) * (height - PAD.top - PAD.bottom);
  /** @type {Scale} */
  const y = log ? (v) => (v > 0 ? linear(Math.log10(v)) : NaN) : linear;
  const ends = shown.map((one) => `${one.name}: ${format(lastPoint(one)?.y)} at the end`).join("; ");
  const svg = s("svg", {
    viewBox: `0 0 ${WIDTH} ${height}`,
    class: onpick ? "pickable" : null,
    tabindex: "0",
    role: "img",
    "aria-label": `${title}, steps ${x0} to ${x1}. ${ends}`,
  });
  const marks = log ? ticks(y0, y1).map((t) => 10 ** t) : ticks(y0, y1);
  axes(svg, x, y, ticks(x0, x1, 5).filter(Number.isInteger), marks, height, format === num ? compact : format);
  const drawable = (/** @type {Point[]} */ points) =>
    log ? points.map((p) => (finite(p.y) && p.y <= 0 ? { ...p, y: null } : p)) : points;
  for (const one of shown) {
    const area = log ? null : band(one.points, x, y);
    if (area) svg.append(s("path", { class: `band c${one.color}`, d: area }));
  }
  for (const one of shown) {
    const points = drawable(one.points);
    if (weight) svg.append(s("path", { class: `line faint c${one.color}`, d: path(thinned(points, x), x, y) }));
    const smoothed = smooth(points, weight);
    const first = smoothed.findIndex((p) => p.open);
    const closed = first < 0 ? smoothed : smoothed.slice(0, first);
    svg.append(s("path", { class: `line c${one.color}`, d: path(thinned(closed, x), x, y) }));
    if (first >= 0) {
      const tail = smoothed.slice(Math.max(0, first - 1));
      svg.append(s("path", { class: `line running c${one.color}`, d: path(tail, x, y) }));
    }
    const [only] = points;
    if (points.length === 1 && finite(only.y))
      svg.append(s("circle", { class: `dot c${one.color}`, cx: x(only.x), cy: y(only.y), r: 3 }));
  }
  const bad = new Set(all.filter((p) => p.bad).map((p) => p.x));
  for (const step of bad)
    svg.append(s("text", { class: "not-finite", x: x(step), y: PAD.top + 8, "text-anchor": "middle" }, "NaN"));
  const onrange = (/** @type {[number, number] | null} */ range) => {
    choice.range = range;
    redraw();
  };
  return withCursor({ svg, title, recorded, shown, steps, x, y, height, onpick, format, choice, redraw, onrange });
}

/**
 * @typedef {object} Drawn
 * @property {SVGSVGElement} svg
 * @property {string} title
 * @property {Series[]} recorded every series
 * @property {Series[]} shown those that are not hidden
 * @property {number[]} steps
 * @property {Scale} x
 * @property {Scale} y
 * @property {number} height
 * @property {PickStep | null} onpick
 * @property {Format} format
 * @property {Choice} choice
 * @property {() => void} redraw
 * @property {(range: [low: number, high: number] | null) => void} onrange
 */

/**
 * The chart with its legend, and a cursor that shows the values at one step.
 * @param {Drawn} drawn
 */
function withCursor({ svg, title, recorded, shown, steps, x, y, height, onpick, format, choice, redraw, onrange }) {
  const line = s("line", { class: "cursor", y1: PAD.top, y2: height - PAD.bottom, visibility: "hidden" });
  const dots = shown.map((one) => s("circle", { class: `dot c${one.color}`, r: 3.5, visibility: "hidden" }));
  svg.append(line, ...dots);
  const legend = h("div", { class: "legend", "aria-live": "off" });
  const caption = h("span", { class: "at-step" });
  const toggle = (/** @type {string} */ name) => {
    if (!choice.hidden.delete(name)) choice.hidden.add(name);
    redraw();
  };
  const alone = (/** @type {string} */ name) => {
    choice.hidden = new Set(recorded.map((one) => one.name).filter((other) => other !== name));
    redraw();
  };
  const byStep = shown.map((one) => new Map(one.points.map((p) => [p.x, p])));
  let current = -1;
  const show = (/** @type {number} */ index) => {
    current = index;
    const step = steps[index];
    line.setAttribute("visibility", index < 0 ? "hidden" : "visible");
    if (index >= 0) for (const end of ["x1", "x2"]) line.setAttribute(end, String(x(step)));
    shown.forEach((one, i) => {
      const value = byStep[i].get(step)?.y;
      const here = index >= 0 && finite(value) && Number.isFinite(y(value));
      dots[i].setAttribute("visibility", here ? "visible" : "hidden");
      if (here) dots[i].setAttribute("cx", String(x(step)));
      if (here) dots[i].setAttribute("cy", String(y(value)));
    });
    const items = recorded.map((one) => {
      const point = index < 0 ? closedPoint(one) : one.points.find((p) => p.x === step);
      const hidden = choice.hidden.has(one.name);
      return h(
        "button",
        {
          class: "legend-item",
          "aria-pressed": String(!hidden),
          title: hidden ? "Show this line" : "Hide this line; with a double click, show it alone",
          onclick: () => toggle(one.name),
          ondblclick: () => alone(one.name),
        },
        h("i", { class: `key c${one.color}` }),
        humanize(one.name),
        h("b", null, hidden ? "" : format(point?.y)),
      );
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
  listenTo(svg, { steps, show, at: () => current, x, onpick, near, onrange });
  show(-1);
  const log = h(
    "button",
    { class: "plain small", "aria-pressed": String(choice.log), onclick: () => ((choice.log = !choice.log), redraw()) },
    "log",
  );
  const all = choice.range && h("button", { class: "plain small", onclick: () => onrange(null) }, "all steps");
  return [
    h("figcaption", null, title, caption, h("span", { class: "grow" }), all, log),
    svg,
    legend,
    figuresOf(title, recorded, format),
  ];
}

/**
 * The last value of a step that is complete, or of any step where none is.
 * @param {Series} one
 */
const closedPoint = (one) => one.points.findLast((p) => finite(p.y) && !p.open) ?? lastPoint(one);

/**
 * @typedef {object} Cursor
 * @property {number[]} steps
 * @property {(index: number) => void} show
 * @property {() => number} at
 * @property {Scale} x
 * @property {PickStep | null} onpick
 * @property {(event: MouseEvent, step: number) => Series | null} near
 * @property {(range: [low: number, high: number] | null) => void} onrange
 */

/**
 * Move the cursor with the pointer and the arrow keys; pick by a click or the Enter key.
 * @param {SVGSVGElement} svg
 * @param {Cursor} cursor
 */
function listenTo(svg, { steps, show, at, x, onpick, near, onrange }) {
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
  /** @type {MouseEvent | null} */
  let pressed = null;
  svg.addEventListener("pointerdown", (event) => (pressed = event));
  svg.addEventListener("dblclick", () => onrange(null));
  svg.addEventListener("pointerup", (event) => {
    if (!pressed || Math.abs(event.clientX - pressed.clientX) < DRAG_PIXELS) return;
    const range = [stepUnder(pressed), stepUnder(event)].sort((a, b) => a - b);
    if (range[0] < range[1]) onrange([steps[range[0]], steps[range[1]]]);
  });
  if (onpick)
    svg.addEventListener("click", (event) => {
      if (pressed && Math.abs(event.clientX - pressed.clientX) >= DRAG_PIXELS) return;
      const step = steps[stepUnder(event)];
      onpick(step, near(event, step));
    });
}
