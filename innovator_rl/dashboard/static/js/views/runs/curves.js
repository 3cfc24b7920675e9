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
  ["reward", "Reward, all samples", num, "reward_p10", "reward_p90"],
  ["reward_trained", "Reward, trained samples", num],
  ["accuracy", "Accuracy, all samples", percent],
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

const FIRST_CHARTS = 6;
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
        ...(filterOf(one) && !more.status && !more.drop_reason ? { [by]: filterOf(one) } : {}),
        ...more,
      }),
    );
  /** @type {(one: { name: string } | null) => string | null | undefined} the value that selects a series in a filter */
  const filterOf = (one) => data.series.find((other) => other.name === one?.name)?.value;
  const unfinished = new Set(data.incomplete);
  /** @type {(key: string, low?: string | null, high?: string) => Series[]} */
  const lines = (key, low, high) =>
    [...(parts.length === 1 || !all ? [] : [all]), ...parts].map((one) => ({
      name: one.name,
      color: color(one.name),
      points: data.steps.map((x, i) => ({
        x,
        y: one.points[key]?.[i],
        open: unfinished.has(x),
        bad: key.startsWith("reward") && (one.points.not_finite?.[i] ?? 0) > 0,
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
  const terms = Object.keys(data.terms ?? {});
  const termChart =
    terms.length > 0 &&
    lineChart({
      title: "Reward by term",
      weight,
      series: terms.map((name, i) => ({
        name,
        color: i % 10,
        points: data.steps.map((x, j) => ({ x, y: data.terms[name][j], open: unfinished.has(x) })),
      })),
      onpick: (step) => open(step, null),
    });
  const first = drawn.slice(0, FIRST_CHARTS);
  first.splice(2, 0, ...[termChart, statuses].filter((one) => one instanceof Element));
  return [
    notes(run, data),
    first,
    drawn.length > FIRST_CHARTS &&
      h(
        "details",
        { class: "more-charts" },
        h("summary", null, `${drawn.length - FIRST_CHARTS} more charts`),
        h("div", { class: "charts" }, drawn.slice(FIRST_CHARTS)),
      ),
    metricPicker(data),
    missing.length > 0 && h("p", { class: "dim missing" }, `Not recorded in this run: ${missing.join("; ")}.`),
  ];
}

/**
 * What the curves leave out, and where numbers were lost.
 * @param {string} run
 * @param {Curves} data
 */
function notes(run, data) {
  const lost = data.not_finite ?? [];
  return [
    (data.superseded ?? []).map((one) =>
      h(
        "p",
        { class: "notice" },
        `Attempt ${one.attempt}: steps ${one.steps.join(", ")} were abandoned by a resume and are hidden. `,
        h("a", { href: link(["runs", run, "rollouts"], { superseded: "only" }) }, "Read them"),
      ),
    ),
    lost.length > 0 &&
      h(
        "p",
        { class: "notice bad" },
        `Not finite: ${lost.flatMap(({ step, metrics }) => metrics.map((name) => `${name} at step ${step}`)).join(", ")}`,
      ),
    data.incomplete.length > 0 &&
      h("p", { class: "notice" }, `Step ${data.incomplete.join(", ")} is not complete: its figures are dashed.`),
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
