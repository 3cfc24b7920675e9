// Draws the lines of a chart with uPlot: zoom by a drag, a cursor that all charts of the page share, a log axis, bands,
// dashes for a step that is still running and a mark where values were not finite. index.html loads uPlot.

import { extent, finite, smooth } from "./axes.js";
import { compact, num } from "../../core/format.js";

/** @typedef {import("uplot")} UPlot */
/** @typedef {import("./axes.js").Point} Point */
/** @typedef {import("./axes.js").Series} Series */
/** @typedef {(number | null | undefined)[]} Values null: a gap; undefined: the series has no such step */

/**
 * @typedef {object} Model
 * @property {Series[]} series
 * @property {number[]} steps
 * @property {number} weight of the moving average
 * @property {number} height
 * @property {import("./axes.js").Format} format
 * @property {import("./line.js").Choice} choice
 * @property {import("./line.js").PickStep | null} onpick
 * @property {(step: number | null) => void} onstep called when the cursor moves
 * @property {() => void} onzoom called when the range of steps changes
 */

const NEAR_PIXELS = 24;
const DRAG_PIXELS = 8;
const INCREMENTS = [1, 2, 5].flatMap((m) => [0, 1, 2, 3, 4, 5, 6, 7].map((e) => m * 10 ** e)).sort((a, b) => a - b);
const SHARED_CURSOR = "steps";
/** The line of all responses is heavier than those of its parts. */
const WHOLE = "all";

/**
 * Keep a chart in `host`, drawn at the width that the host has.
 * @param {HTMLElement} host
 * @param {Model} model
 */
export function plot(host, model) {
  /** @type {UPlot | null} */
  let chart = null;
  const build = () => {
    chart?.destroy();
    chart = host.clientWidth ? make(host, model) : null;
  };
  const watcher = new ResizeObserver(() => {
    if (!host.isConnected) return stop();
    if (!chart || chart.width !== host.clientWidth) build();
  });
  const themed = () => (host.isConnected ? build() : stop());
  const stop = () => {
    watcher.disconnect();
    removeEventListener("themechange", themed);
    chart?.destroy();
    chart = null;
  };
  watcher.observe(host);
  addEventListener("themechange", themed);
  listen(host, model, () => chart);
  return {
    redraw: build,
    zoom: (/** @type {[number, number] | null} */ range) => {
      model.choice.range = range;
      build();
      model.onzoom();
    },
  };
}

/**
 * The columns that uPlot draws, and how: for each line its smoothed values, what is still running, and the raw values.
 * @param {Model} model
 * @param {(name: string) => string} css the value of a custom property
 */
function columns({ series, steps, weight, choice }, css) {
  /** @type {Values[]} */
  const data = [steps];
  /** @type {import("uplot").Series[]} */
  const styles = [{}];
  /** @type {import("uplot").Band[]} */
  const bands = [];
  const add = (/** @type {Values} */ values, /** @type {import("uplot").Series} */ style) =>
    styles.push({ spanGaps: false, points: { show: true, size: 5, filter: () => alone(values) }, ...style }) &&
    data.push(values);
  const usable = (/** @type {unknown} */ v) => (finite(v) && !(choice.log && v <= 0) ? v : null);
  // a step that a series does not have is no gap in it, unlike a step without a value
  const values = (/** @type {Map<number, Point>} */ by, /** @type {"y" | "low" | "high"} */ what) =>
    steps.map((step) => (by.has(step) ? usable(by.get(step)?.[what]) : undefined));
  for (const one of series) {
    if (choice.hidden.has(one.name)) continue;
    const stroke = css(`--c${one.color}`);
    const width = one.name === WHOLE ? 2.6 : 1.5;
    const byStep = new Map(smooth(one.points, weight).map((p) => [p.x, p]));
    const raw = new Map(one.points.map((p) => [p.x, p]));
    const first = steps.findIndex((step) => byStep.get(step)?.open);
    const line = values(byStep, "y");
    if (one.points.some((p) => finite(p.low) && finite(p.high)) && !choice.log) {
      const hidden = { stroke: "transparent", width: 0, points: { show: false } };
      add(values(raw, "high"), hidden);
      add(values(raw, "low"), hidden);
      bands.push({ series: [data.length - 2, data.length - 1], fill: `${stroke}22` });
    }
    if (weight) add(values(raw, "y"), { stroke: `${stroke}4d`, width: 1 });
    add(first < 0 ? line : line.map((v, i) => (i < first ? v : null)), { stroke, width });
    if (first >= 0)
      add(
        line.map((v, i) => (i >= first - 1 ? v : null)),
        { stroke, width, dash: [4, 4] },
      );
  }
  return { data, styles, bands };
}

/**
 * The places of values without a neighbor, which no line shows.
 * @param {Values} values
 */
function alone(values) {
  const known = values.flatMap((v, i) => (v === undefined ? [] : [i]));
  return known.filter(
    (place, i) => finite(values[place]) && !finite(values[known[i - 1]]) && !finite(values[known[i + 1]]),
  );
}

/**
 * @param {HTMLElement} host
 * @param {Model} model
 * @returns {UPlot}
 */
function make(host, model) {
  const { choice, steps, format, series } = model;
  const css = (/** @type {string} */ name) => getComputedStyle(host).getPropertyValue(name).trim();
  const { data, styles, bands } = columns(model, css);
  const axis = { stroke: css("--dim"), font: `11px ${css("--sans") || "sans-serif"}`, ticks: { show: false } };
  const grid = { stroke: css("--line"), width: 1 };
  const bad = new Set(series.flatMap((one) => one.points.filter((p) => p.bad).map((p) => p.x)));
  /** @type {[number, number]} */
  const ends = [steps[0] - (steps.length === 1 ? 1 : 0), steps[steps.length - 1] + (steps.length === 1 ? 1 : 0)];
  const log = choice.log && data.slice(1).some((values) => values.some(finite));
  /** @type {import("uplot").Options} */
  const options = {
    width: host.clientWidth,
    height: model.height,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: true, y: false, dist: DRAG_PIXELS }, sync: { key: SHARED_CURSOR, filters: MOVES } },
    scales: {
      x: { time: false, range: () => choice.range ?? ends },
      y: log
        ? { distr: 3 }
        : {
            range: (/** @type {UPlot} */ _, /** @type {number} */ low, /** @type {number} */ high) =>
              extent([low, high]),
          },
    },
    axes: [
      { ...axis, grid: { show: false }, incrs: INCREMENTS, size: 24, values: labels(num) },
      { ...axis, grid, size: 44, gap: 4, values: labels(format === num ? compact : format) },
    ],
    series: styles,
    bands,
    hooks: {
      setCursor: [
        (/** @type {UPlot} */ u) => {
          const index = u.cursor.idx;
          model.onstep(index === null || index === undefined ? null : steps[index]);
        },
      ],
      setSelect: [(/** @type {UPlot} */ u) => zoomed(u, model)],
      draw: [
        (/** @type {UPlot} */ u) => {
          u.ctx.save();
          u.ctx.fillStyle = css("--bad");
          u.ctx.textAlign = "center";
          u.ctx.font = `700 ${10 * devicePixelRatio}px sans-serif`;
          for (const step of bad) u.ctx.fillText("NaN", u.valToPos(step, "x", true), u.bbox.top + 9 * devicePixelRatio);
          u.ctx.restore();
        },
      ],
    },
  };
  return new window.uPlot(options, /** @type {any} */ (data), host);
}

/** Charts share where the cursor is, and neither zoom nor clicks. */
const MOVES = { pub: (/** @type {string} */ type) => ["mousemove", "mouseleave"].includes(type) };

/** @param {import("./axes.js").Format} format */
const labels = (format) => (/** @type {UPlot} */ _, /** @type {(number | null)[]} */ values) =>
  values.map((v) => (v === null ? "" : format(v)));

/**
 * Take the selected steps as the new range; a double click goes back to all.
 * @param {UPlot} u
 * @param {Model} model
 */
function zoomed(u, model) {
  if (u.select.width < DRAG_PIXELS) return;
  const range = [u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")];
  const inside = model.steps.filter((step) => step >= range[0] && step <= range[1]);
  if (inside.length > 1) model.choice.range = [inside[0], inside[inside.length - 1]];
  model.onzoom();
}

/**
 * Move the cursor with the arrow keys; pick by a click or the Enter key; show all steps by a double click.
 * @param {HTMLElement} host
 * @param {Model} model
 * @param {() => UPlot | null} current
 */
function listen(host, model, current) {
  const { steps, onpick, choice } = model;
  /** @type {(u: UPlot, index: number) => void} */
  const move = (u, index) => u.setCursor({ left: u.valToPos(steps[index], "x"), top: 10 });
  host.addEventListener("focus", () => {
    const u = current();
    if (u && host.matches(":focus-visible")) move(u, steps.length - 1);
  });
  host.addEventListener("blur", () => current()?.setCursor({ left: -10, top: -10 }));
  host.addEventListener("keydown", (event) => {
    const u = current();
    const at = u?.cursor.idx ?? steps.length - 1;
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!u || (!by && !(event.key === "Enter" && onpick))) return;
    if (by) move(u, Math.max(0, Math.min(steps.length - 1, at + by)));
    else if (onpick) onpick(steps[at], null);
    event.preventDefault();
    event.stopPropagation();
  });
  host.addEventListener("dblclick", () => {
    if (!choice.range) return;
    choice.range = null;
    model.onzoom();
  });
  /** @type {MouseEvent | null} */
  let pressed = null;
  host.addEventListener("mousedown", (event) => (pressed = event), true);
  host.addEventListener("click", (event) => {
    const u = current();
    const index = u?.cursor.idx;
    if (!u || !onpick || index === null || index === undefined) return;
    if (pressed && Math.abs(event.clientX - pressed.clientX) >= DRAG_PIXELS) return;
    onpick(steps[index], near(u, model, steps[index]));
  });
}

/**
 * The line under the cursor, or the only one; null where none is near.
 * @param {UPlot} u
 * @param {Model} model
 * @param {number} step
 */
function near(u, { series, choice, weight }, step) {
  const shown = series.filter((one) => !choice.hidden.has(one.name));
  if (shown.length === 1) return shown[0];
  const distances = shown.map((one) => {
    const y = smooth(one.points, weight).find((p) => p.x === step)?.y;
    return finite(y) ? Math.abs(u.valToPos(y, "y") - (u.cursor.top ?? -1000)) : Infinity;
  });
  const least = distances.indexOf(Math.min(...distances));
  return distances[least] < NEAR_PIXELS ? shown[least] : null;
}
