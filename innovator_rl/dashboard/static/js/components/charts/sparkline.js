// A small line without axes, for the cells of a table.

import { s } from "../../core/dom.js";
import { extent, finite, path, thinned } from "./axes.js";

/**
 * A line without axes, for table cells.
 * @param {import("../../core/format.js").MaybeNumber[]} values
 * @param {{ color?: number, label?: string }} [options]
 */
export function sparkline(values, { color = 0, label = "" } = {}) {
  const points = values.map((y, x) => ({ x, y })).filter((p) => finite(p.y));
  const svg = s("svg", {
    viewBox: "0 0 96 24",
    class: "spark",
    role: "img",
    "aria-label": label || "trend",
    preserveAspectRatio: "none",
  });
  if (points.length < 2) return svg;
  const [low, high] = extent(
    points.map((p) => p.y),
    0,
  );
  const last = points[points.length - 1].x || 1;
  svg.append(
    s("path", {
      class: `line c${color}`,
      d: path(
        thinned(points, (v) => (v / last) * 96),
        (v) => 1 + (v / last) * 94,
        (v) => 22 - ((v - low) / (high - low)) * 20,
      ),
    }),
  );
  return svg;
}
