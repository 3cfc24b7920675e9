// What every chart shares: the measures of the frame, round axis ticks, the range of the values and SVG paths. Nothing is
// interpolated: a missing value is a gap, and a long series keeps the least and the greatest value of each pixel column.

import { s } from "../../core/dom.js";
import { compact, num } from "../../core/format.js";

/** @typedef {import("../../core/format.js").MaybeNumber} MaybeNumber */

/**
 * One value of a series at a step, with the ends of a band around it.
 * `open`: the step is still running; `bad`: some of its values were not finite.
 * @typedef {{ x: number, y: MaybeNumber, low?: MaybeNumber, high?: MaybeNumber, open?: boolean, bad?: boolean }} Point
 */

/**
 * A named series; `color` is 0 to 9.
 * @typedef {{ name: string, color: number, points: Point[] }} Series
 */

/** @typedef {(value: number) => number} Scale from a value to a pixel */

/** @typedef {(value: MaybeNumber) => string} Format */

export const PAD = { left: 46, right: 10, top: 8, bottom: 22 };
export const WIDTH = 480;
const COLUMNS = 600;

/**
 * About `count` round numbers from `low` to `high`.
 * @param {number} low
 * @param {number} high
 * @param {number} [count]
 */
export function ticks(low, high, count = 4) {
  const raw = (high - low) / count || 1;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 5].find((m) => m * unit >= raw) ?? 10) * unit;
  const out = [];
  for (let t = Math.ceil(low / step - 1e-9) * step; t <= high + step * 1e-9; t += step)
    out.push(Math.abs(t) < step * 1e-9 ? 0 : t);
  return out;
}

/**
 * @param {unknown} v
 * @returns {v is number}
 */
export const finite = (v) => typeof v === "number" && Number.isFinite(v);

/**
 * The least and the greatest finite value; Infinity and -Infinity where there is none.
 * @param {MaybeNumber[]} values
 */
export function extremes(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const v of values) {
    if (!finite(v)) continue;
    if (v < low) low = v;
    if (v > high) high = v;
  }
  return [low, high];
}

/**
 * The range that an axis shows: the extremes with some space around them.
 * @param {MaybeNumber[]} values
 * @param {number} [pad]
 * @returns {[low: number, high: number]}
 */
export function extent(values, pad = 0.06) {
  const [low, high] = extremes(values);
  if (low > high) return [0, 1];
  if (low === 0 && high === 0) return [0, 0.1];
  if (low === high) return [low - (Math.abs(low) || 1) * 0.1, high + (Math.abs(high) || 1) * 0.1];
  const space = (high - low) * pad;
  return [low >= 0 && low - space < 0 ? 0 : low - space, high + space];
}

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
 * Keep at most two points per pixel column, the least and the greatest, in their order.
 * @param {Point[]} points
 * @param {Scale} x
 */
export function thinned(points, x) {
  if (points.length <= 2 * COLUMNS) return points;
  /** @type {Map<number, [Point, Point]>} */
  const columns = new Map();
  for (const p of points) {
    const column = Math.floor((x(p.x) * COLUMNS) / WIDTH);
    const kept = columns.get(column);
    if (!kept || !finite(kept[0].y) || !finite(kept[1].y)) columns.set(column, [p, p]);
    else if (!finite(p.y)) continue;
    else if (p.y < kept[0].y) kept[0] = p;
    else if (p.y > kept[1].y) kept[1] = p;
  }
  return [...columns.values()].flatMap(([a, b]) => (a === b ? [a] : a.x < b.x ? [a, b] : [b, a]));
}

/**
 * The SVG path of a line. It is interrupted where a value is missing.
 * @param {Point[]} points
 * @param {Scale} x
 * @param {Scale} y
 */
export function path(points, x, y) {
  let out = "";
  let pen = false;
  for (const p of points) {
    if (finite(p.y)) out += `${pen ? "L" : "M"}${x(p.x).toFixed(1)} ${y(p.y).toFixed(1)}`;
    pen = finite(p.y);
  }
  return out;
}

/**
 * Draw the grid and the ticks at `xs` and `ys`.
 * @param {SVGElement} svg
 * @param {Scale} x
 * @param {Scale} y
 * @param {number[]} xs
 * @param {number[]} ys
 * @param {number} height
 * @param {Format} [format]
 */
export function axes(svg, x, y, xs, ys, height, format = compact) {
  for (const t of ys) {
    svg.append(
      s("line", { class: "grid", x1: PAD.left, x2: WIDTH - PAD.right, y1: y(t), y2: y(t) }),
      s("text", { class: "tick", x: PAD.left - 6, y: y(t) + 3.5, "text-anchor": "end" }, format(t)),
    );
  }
  for (const t of xs) svg.append(s("text", { class: "tick", x: x(t), y: height - 6, "text-anchor": "middle" }, num(t)));
}
