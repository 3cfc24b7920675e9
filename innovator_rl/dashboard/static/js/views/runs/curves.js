// The curves of one run: a line per domain, the status of its groups, and any metric of the trainer.

import { stackedBars } from "../../components/charts/bars.js";
import { colors } from "../../components/charts/colors.js";
import { lineChart } from "../../components/charts/line.js";
import { empty } from "../../components/states.js";
import { h, replace } from "../../core/dom.js";
import { duration, num, percent } from "../../core/format.js";
import { go, link } from "../../core/router.js";

/** @typedef {import("../../api/types.js").Curves} Curves */
/** @typedef {import("../../api/types.js").CurveSeries} CurveSeries */
/** @typedef {import("../../components/charts/axes.js").Format} Format */
/** @typedef {import("../../components/charts/axes.js").Series} Series */

/**
 * A curve of each kind: its name in the answer, its title and format, and the names of the ends of its band.
 * @type {[key: string, title: string, format: Format, low?: string | null, high?: string][]}
 */
const CHARTS = [
  ["reward", "Reward", num, "reward_p10", "reward_p90"],
  ["accuracy", "Accuracy", percent],
  ["length", "Response tokens", num, null, "length_p90"],
  ["truncated", "Truncated", percent],
  ["entropy", "Entropy per token", num],
  ["gap", "Trainer against generator, |Δ log p|", num],
  ["clip_high", "Tokens clipped above", percent],
  ["clip_low", "Tokens clipped below", percent],
  ["repetition", "Repeated 4-word sequences", percent],
  ["reward_seconds", "Seconds to score", duration],
  ["errors", "Scoring errors", percent],
];

const STATUSES = ["kept", "all_correct", "all_wrong", "all_equal", "unscored", "failed", "surplus", "other", "pending"];

/**
 * How the curves are split and smoothed.
 * @typedef {{ by: string, kind: string, weight: number }} Settings
 */

/**
 * Every chart of a run.
 * @param {string} run
 * @param {Curves} data
 * @param {Settings} settings
 */
export function figures(run, data, { by, kind, weight }) {
  if (!data.steps.length)
    return empty("No responses recorded yet", "Curves appear when the first step has been scored.");
  const color = colors(data.series.map((one) => one.name));
  const parts = data.series.filter((one) => one.name !== "all").sort((a, b) => a.name.localeCompare(b.name));
  const all = data.series.find((one) => one.name === "all");
  /** @type {(step: string | number, one: { name: string } | null, more?: Record<string, string>) => void} */
  const open = (step, one, more = {}) =>
    go(
      link(["runs", run, "rollouts"], {
        kind: kind === "train" ? null : kind,
        step,
        ...(one && one.name !== "all" && !more.status && !more.drop_reason ? { [by]: one.name } : {}),
        ...more,
      }),
    );
  /** @type {(key: string, low?: string | null, high?: string) => Series[]} */
  const lines = (key, low, high) =>
    [...(parts.length === 1 || !all ? [] : [all]), ...parts].map((one) => ({
      name: one.name,
      color: color(one.name),
      points: data.steps.map((x, i) => ({
        x,
        y: one.points[key]?.[i],
        ...(one.name === "all" || parts.length === 1
          ? {
              low: low ? one.points[low]?.[i] : high ? one.points[key]?.[i] : undefined,
              high: high ? one.points[high]?.[i] : undefined,
            }
          : {}),
      })),
    }));
  const recorded = (/** @type {string} */ key) => data.series.some((one) => one.points[key]?.some((v) => v !== null));
  const drawn = CHARTS.filter(([key]) => recorded(key)).map(([key, title, format, low, high]) =>
    lineChart({ title, format, weight, series: lines(key, low, high), onpick: (step, one) => open(step, one) }),
  );
  const missing = CHARTS.filter(([key]) => !recorded(key)).map(([, title]) => title);
  const statuses = stackedBars({
    title: "Groups by status",
    onpick: (step, one) =>
      open(
        step,
        one,
        one.name === "kept"
          ? { status: "kept" }
          : one.name === "pending"
            ? { status: "pending" }
            : one.name === "other"
              ? { status: "dropped" }
              : { drop_reason: one.name },
      ),
    series: STATUSES.map((name, i) => ({
      name,
      color: [0, 1, 4, 6, 5, 2, 3, 7, 8][i],
      points: data.steps.map((x, j) => ({ x, y: all?.points[name]?.[j] ?? 0 })),
    })),
  });
  drawn.splice(2, 0, statuses);
  return [
    drawn,
    metricPicker(data),
    missing.length > 0 && h("p", { class: "dim missing" }, `Not recorded in this run: ${missing.join("; ")}.`),
  ];
}

/**
 * A chart of any metric that the trainer recorded.
 * @param {Curves} data
 */
function metricPicker(data) {
  const names = Object.keys(data.metrics ?? {}).sort();
  if (!names.length) return null;
  const frame = h("div", { class: "metric-frame" });
  const draw = (/** @type {string} */ name) =>
    replace(
      frame,
      lineChart({
        title: name,
        series: [{ name, color: 0, points: data.steps.map((x, i) => ({ x, y: data.metrics[name][i] })) }],
        hint: "No number on these steps",
      }),
    );
  const start = names.find((n) => /grad_norm/.test(n)) ?? names[0];
  draw(start);
  return h(
    "div",
    { class: "chart metric" },
    h(
      "label",
      { class: "line" },
      h("span", null, "Any metric"),
      h(
        "select",
        { onchange: (event) => draw(event.target.value) },
        names.map((name) => h("option", { value: name, selected: name === start }, name)),
      ),
    ),
    frame,
  );
}
