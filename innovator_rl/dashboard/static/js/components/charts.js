// Charts as SVG: lines with a spread, bars, histograms, sparklines. Nothing is interpolated or smoothed unless asked:
// a missing value is a gap, and a long series is thinned by keeping the least and the greatest of each pixel column.

import { h, replace, s } from "../core/dom.js";
import { compact, num, words } from "../core/format.js";
import { table } from "./table.js";

const PAD = { left: 46, right: 10, top: 8, bottom: 22 };
const WIDTH = 480;
const COLUMNS = 600;
const MOST_BARS = 240;
const MOST_LINES = 500;

/** About `count` round numbers from `low` to `high`. */
export function ticks(low, high, count = 4) {
  const raw = (high - low) / count || 1;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((m) => m * unit >= raw) * unit;
  const out = [];
  for (let t = Math.ceil(low / step - 1e-9) * step; t <= high + step * 1e-9; t += step)
    out.push(Math.abs(t) < step * 1e-9 ? 0 : t);
  return out;
}

const finite = (v) => typeof v === "number" && Number.isFinite(v);

function extremes(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const v of values) {
    if (!finite(v)) continue;
    if (v < low) low = v;
    if (v > high) high = v;
  }
  return [low, high];
}

function extent(values, pad = 0.06) {
  const [low, high] = extremes(values);
  if (low > high) return [0, 1];
  if (low === 0 && high === 0) return [0, 0.1];
  if (low === high) return [low - (Math.abs(low) || 1) * 0.1, high + (Math.abs(high) || 1) * 0.1];
  const room = (high - low) * pad;
  return [low >= 0 && low - room < 0 ? 0 : low - room, high + room];
}

/** Exponential moving average; `weight` 0 leaves the series as it is. */
export function smooth(points, weight) {
  if (!weight) return points;
  let mean = null;
  return points.map((p) => {
    if (!finite(p.y)) return p;
    mean = mean === null ? p.y : weight * mean + (1 - weight) * p.y;
    return { ...p, y: mean };
  });
}

/** At most two points a column, the extremes, in their order. */
function thinned(points, x) {
  if (points.length <= 2 * COLUMNS) return points;
  const columns = new Map();
  for (const p of points) {
    const column = Math.floor((x(p.x) * COLUMNS) / WIDTH);
    const kept = columns.get(column);
    if (!kept) columns.set(column, [p, p]);
    else if (p.y < kept[0].y) kept[0] = p;
    else if (p.y > kept[1].y) kept[1] = p;
  }
  return [...columns.values()].flatMap(([a, b]) => (a === b ? [a] : a.x < b.x ? [a, b] : [b, a]));
}

function path(points, x, y) {
  let out = "";
  let pen = false;
  for (const p of points) {
    if (finite(p.y)) out += `${pen ? "L" : "M"}${x(p.x).toFixed(1)} ${y(p.y).toFixed(1)}`;
    pen = finite(p.y);
  }
  return out;
}

function spread(points, x, y) {
  const rows = points.filter((p) => finite(p.low) && finite(p.high));
  if (rows.length < 2) return null;
  const up = rows.map((p) => `${x(p.x).toFixed(1)} ${y(p.high).toFixed(1)}`);
  const down = rows.map((p) => `${x(p.x).toFixed(1)} ${y(p.low).toFixed(1)}`).reverse();
  return `M${up.join("L")}L${down.join("L")}Z`;
}

function axes(svg, x, y, xs, ys, height, format = compact) {
  for (const t of ys) {
    svg.append(
      s("line", { class: "grid", x1: PAD.left, x2: WIDTH - PAD.right, y1: y(t), y2: y(t) }),
      s("text", { class: "tick", x: PAD.left - 6, y: y(t) + 3.5, "text-anchor": "end" }, format(t)),
    );
  }
  for (const t of xs) svg.append(s("text", { class: "tick", x: x(t), y: height - 6, "text-anchor": "middle" }, num(t)));
}

/**
 * Lines over steps. `series` is [{name, key, colour: 0..9, points: [{x, y, low?, high?}]}]; `onpick(x, series)` is called
 * by a click or the Enter key. Left and right move the cursor.
 */
export function lineChart({ title, series, height = 190, onpick = null, weight = 0, format = num, hint = "" }) {
  const shown = series.filter((one) => one.points.some((p) => finite(p.y)));
  if (!shown.length)
    return h(
      "figure",
      { class: "chart" },
      h("figcaption", null, title),
      h("p", { class: "chart-empty" }, hint || "Nothing recorded yet"),
    );
  const all = shown.flatMap((one) => one.points);
  const steps = [...new Set(all.map((p) => p.x))].sort((a, b) => a - b);
  const [x0, x1] = [steps[0], steps.at(-1)];
  const [y0, y1] = extent(all.flatMap((p) => [p.y, p.low, p.high]));
  const x = (v) =>
    x1 === x0 ? (PAD.left + WIDTH - PAD.right) / 2 : PAD.left + ((v - x0) / (x1 - x0)) * (WIDTH - PAD.left - PAD.right);
  const y = (v) => height - PAD.bottom - ((v - y0) / (y1 - y0)) * (height - PAD.top - PAD.bottom);
  const svg = s("svg", {
    viewBox: `0 0 ${WIDTH} ${height}`,
    class: onpick ? "pickable" : null,
    tabindex: "0",
    role: "img",
    "aria-label": `${title}, steps ${x0} to ${x1}. ${shown.map((one) => `${one.name}: ${format(one.points.findLast((p) => finite(p.y)).y)} at the end`).join("; ")}`,
  });
  axes(svg, x, y, ticks(x0, x1, 5).filter(Number.isInteger), ticks(y0, y1), height, format === num ? compact : format);
  for (const one of shown) {
    const area = spread(one.points, x, y);
    if (area) svg.append(s("path", { class: `band c${one.colour}`, d: area }));
  }
  for (const one of shown) {
    if (weight) svg.append(s("path", { class: `line faint c${one.colour}`, d: path(thinned(one.points, x), x, y) }));
    svg.append(s("path", { class: `line c${one.colour}`, d: path(thinned(smooth(one.points, weight), x), x, y) }));
    if (one.points.length === 1)
      svg.append(s("circle", { class: `dot c${one.colour}`, cx: x(one.points[0].x), cy: y(one.points[0].y), r: 3 }));
  }
  return withCursor({ svg, title, shown, steps, x, y, height, onpick, format });
}

function withCursor({ svg, title, shown, steps, x, y, height, onpick, format }) {
  const line = s("line", { class: "cursor", y1: PAD.top, y2: height - PAD.bottom, visibility: "hidden" });
  const dots = shown.map((one) => s("circle", { class: `dot c${one.colour}`, r: 3.5, visibility: "hidden" }));
  svg.append(line, ...dots);
  const legend = h("div", { class: "legend", "aria-live": "off" });
  const byStep = shown.map((one) => new Map(one.points.map((p) => [p.x, p])));
  let current = -1;
  const show = (index) => {
    current = index;
    const step = steps[index];
    line.setAttribute("visibility", index < 0 ? "hidden" : "visible");
    if (index >= 0) for (const end of ["x1", "x2"]) line.setAttribute(end, x(step));
    const items = shown.map((one, i) => {
      const point = index < 0 ? one.points.findLast((p) => finite(p.y)) : byStep[i].get(step);
      const there = point && finite(point.y);
      dots[i].setAttribute("visibility", index >= 0 && there ? "visible" : "hidden");
      if (index >= 0 && there) (dots[i].setAttribute("cx", x(step)), dots[i].setAttribute("cy", y(point.y)));
      const label = [
        h("i", { class: `key c${one.colour}` }),
        words(one.name),
        h("b", null, format(there ? point.y : null)),
      ];
      return onpick && index >= 0 && there
        ? h("button", { class: "legend-item", onclick: () => onpick(step, one) }, label)
        : h("span", { class: "legend-item" }, label);
    });
    replace(legend, items);
    caption.textContent = index < 0 ? "" : `step ${num(step)}`;
  };
  const caption = h("span", { class: "at-step" });
  const nearest = (event) => {
    const box = svg.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * WIDTH;
    let best = 0;
    for (let i = 1; i < steps.length; i += 1) if (Math.abs(x(steps[i]) - at) < Math.abs(x(steps[best]) - at)) best = i;
    return best;
  };
  const nearestSeries = (event, step) => {
    const box = svg.getBoundingClientRect();
    const at = ((event.clientY - box.top) / box.height) * height;
    const near = shown
      .map((one, i) => [Math.abs(y(byStep[i].get(step)?.y ?? Infinity) - at), one])
      .sort((a, b) => a[0] - b[0]);
    return near[0][0] < 24 || near.length === 1 ? near[0][1] : null;
  };
  svg.addEventListener("pointermove", (event) => show(nearest(event)));
  svg.addEventListener("pointerleave", () => show(-1));
  svg.addEventListener("focus", () => current < 0 && svg.matches(":focus-visible") && show(steps.length - 1));
  svg.addEventListener("blur", () => show(-1));
  svg.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (move) show(Math.max(0, Math.min(steps.length - 1, (current < 0 ? steps.length - 1 : current) + move)));
    else if (event.key === "Enter" && onpick && current >= 0) onpick(steps[current], null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  if (onpick)
    svg.addEventListener("click", (event) => {
      const step = steps[nearest(event)];
      onpick(step, nearestSeries(event, step));
    });
  show(-1);
  return h("figure", { class: "chart" }, h("figcaption", null, title, caption), svg, legend, figuresOf(title, shown, format));
}

/** The chart's numbers as a table, newest step first; built when it is first opened. */
function figuresOf(title, shown, format) {
  const body = h("div");
  const build = () => {
    const bySeries = shown.map((one) => new Map(one.points.map((p) => [p.x, p.y])));
    const steps = [...new Set(shown.flatMap((one) => one.points.map((p) => p.x)))].sort((a, b) => b - a);
    const columns = [
      { title: "Step", class: "num", cell: (step) => num(step) },
      ...shown.map((one, i) => ({
        title: words(one.name),
        class: "num",
        cell: (step) => format(finite(bySeries[i].get(step)) ? bySeries[i].get(step) : null),
      })),
    ];
    const cut = steps.length > MOST_LINES && h("p", { class: "dim" }, `the newest ${MOST_LINES} of ${num(steps.length)} steps`);
    replace(body, [cut, table({ caption: title, columns, rows: steps.slice(0, MOST_LINES) }).element].filter(Boolean));
  };
  return h(
    "details",
    { class: "figures", ontoggle: (event) => event.target.open && !body.childNodes.length && build() },
    h("summary", { "aria-label": `${title} as a table` }, "Table"),
    body,
  );
}

/** Stacked bars over steps: `series` as in lineChart. */
export function stackedBars({ title, series, height = 190, onpick = null, hint = "" }) {
  const shown = series.filter((one) => one.points.some((p) => p.y > 0));
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
    const sums = new Map();
    for (const p of one.points)
      sums.set(Math.floor((p.x - first) / width), (sums.get(Math.floor((p.x - first) / width)) ?? 0) + (p.y ?? 0));
    return sums;
  });
  const bars = [...new Set(lookup.flatMap((sums) => [...sums.keys()]))].sort((a, b) => a - b);
  const most = Math.max(...bars.map((bar) => lookup.reduce((sum, m) => sum + (m.get(bar) ?? 0), 0)));
  const slot = ((WIDTH - PAD.left - PAD.right) * width) / (last - first + width);
  const x = (step) => PAD.left + ((step - first) / width + 0.5) * slot;
  const name = (bar) =>
    width === 1 ? String(first + bar) : `${first + bar * width}-${Math.min(last, first + (bar + 1) * width - 1)}`;
  const y = (v) => height - PAD.bottom - (v / (most * 1.05)) * (height - PAD.top - PAD.bottom);
  const svg = s("svg", {
    viewBox: `0 0 ${WIDTH} ${height}`,
    role: "img",
    class: onpick ? "pickable" : null,
    "aria-label": `${title}: ${shown.map((one) => `${words(one.name)} ${num(one.points.reduce((t, p) => t + (p.y ?? 0), 0))} in all`).join("; ")}`,
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
          class: `bar c${one.colour}`,
          x: x(first + bar * width) - slot * 0.42,
          width: Math.max(0.6, slot * 0.84),
          y: y(base + value),
          height: Math.max(0.5, y(base) - y(base + value)),
        },
        s("title", null, `${width === 1 ? "step" : "steps"} ${name(bar)}: ${num(value)} ${words(one.name)}`),
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
          h("i", { class: `key c${one.colour}` }),
          words(one.name),
          h("b", null, num(one.points.reduce((t, p) => t + (p.y ?? 0), 0))),
        ),
      ),
    ),
    figuresOf(title, shown, num),
  );
}

/** Clickable bins [{low, high, count, part?}]; `part` (for example the correct ones) is drawn inside. */
export function histogram({
  title,
  bins,
  onpick = null,
  selected = null,
  height = 92,
  label = (b) => `${num(b.low)} to ${num(b.high)}`,
  partName = "correct",
}) {
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
    const chosen = selected && selected[0] === bin.low && selected[1] === bin.high;
    const text = `${label(bin)}: ${num(bin.count)}${bin.part === undefined || bin.part === null ? "" : `, ${num(bin.part)} ${partName}`}`;
    const size = (n) => ({ height: `${n ? Math.max(1.5, (100 * n) / most) : 0}%` });
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
            "aria-pressed": String(Boolean(chosen)),
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
    h("div", { class: "bin-axis" }, h("span", null, num(bins[0].low)), h("span", null, num(bins.at(-1).high))),
  );
}

/** A line without axes, for table cells. */
export function sparkline(values, { colour = 0, label = "" } = {}) {
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
  const last = points.at(-1).x || 1;
  svg.append(
    s("path", {
      class: `line c${colour}`,
      d: path(
        thinned(points, (v) => (v / last) * 96),
        (v) => 1 + (v / last) * 94,
        (v) => 22 - ((v - low) / (high - low)) * 20,
      ),
    }),
  );
  return svg;
}
