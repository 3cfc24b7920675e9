// The curves of one run: a line per domain, the status of its groups, and any metric of the trainer.

import { stackedBars } from "../../components/charts/bars.js";
import { colors } from "../../components/charts/colors.js";
import { lineChart } from "../../components/charts/line.js";
import { empty } from "../../components/states.js";
import { h } from "../../core/dom.js";
import { duration, num, percent, plural } from "../../core/format.js";
import { go, link, withQuery } from "../../core/router.js";

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

/**
 * What the band of a chart is.
 * @param {string | null} [low]
 * @param {string} [high]
 */
const bandNote = (low, high) =>
  high ? (low ? "Band: the middle 80 % of all samples" : "Band: up to the longest 10 % of all samples") : "";

const FIRST_CHARTS = 4;
const MOST_METRICS = 24;
const STATUSES = ["kept", "all_correct", "all_wrong", "all_equal", "unscored", "failed", "surplus", "other", "pending"];

/** @typedef {[title: string, draw: () => HTMLElement]} Chart */

/**
 * How the curves are split and smoothed, and which charts are shown: those whose title has `find`, or the usual ones.
 * @typedef {{ by: string, kind: string, weight: number, find: string }} Settings
 */

/**
 * Every chart of a run.
 * @param {string} run
 * @param {Curves} data
 * @param {Settings} settings
 */
export function figures(run, data, { by, kind, weight, find }) {
  if (!data.steps.length)
    return empty("No responses recorded yet", "Curves appear when the first step has been scored.");
  const color = colors(data.series.map((one) => one.name));
  const parts = data.series.filter((one) => one.name !== "all").sort((a, b) => a.name.localeCompare(b.name));
  const all = data.series.find((one) => one.name === "all");
  const why = (/** @type {number} */ step, /** @type {number} */ step2) =>
    h(
      "a",
      {
        href: link(["runs", run, "why"], { kind, step, step2 }),
        title: `Split the change from step ${step} to ${step2}`,
      },
      "why?",
    );
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
      points: data.steps.flatMap((x, i) => {
        // a step that has none of these samples is no gap in their line
        const samples = one.points[key === "reward_trained" ? "trained" : "responses"]?.[i];
        if (one !== all && !samples) return [];
        const point = {
          x,
          y: one.points[key]?.[i],
          open: unfinished.has(x),
          bad: key.startsWith("reward") && (one.points.not_finite?.[i] ?? 0) > 0,
        };
        if (one.name !== "all" && parts.length > 1) return point;
        return {
          ...point,
          low: low ? one.points[low]?.[i] : high ? one.points[key]?.[i] : undefined,
          high: high ? one.points[high]?.[i] : undefined,
        };
      }),
    }));
  const recorded = (/** @type {string} */ key) => data.series.some((one) => one.points[key]?.some((v) => v !== null));
  const drawn = CHARTS.filter(([key]) => recorded(key)).map(
    ([key, title, format, low, high]) =>
      /** @type {Chart} */ ([
        title,
        () =>
          lineChart({
            title,
            format,
            weight,
            series: lines(key, low, high),
            onpick: (step, one) => open(step, one),
            note: bandNote(low, high),
            onrange: key.startsWith("reward") || key === "accuracy" ? why : null,
          }),
      ]),
  );
  const missing = CHARTS.filter(([key]) => !recorded(key)).map(([, title]) => title);
  const statuses = () =>
    stackedBars({
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
  const termChart = () =>
    lineChart({
      title: "Recorded terms",
      weight,
      series: terms.map((name, i) => ({
        name,
        color: i % 10,
        points: data.steps
          .map((x, j) => ({ x, y: data.terms[name][j], open: unfinished.has(x) }))
          .filter(({ y }) => y !== null),
      })),
      onpick: (step) => open(step, null),
      note: "Mean of every recorded term. Those that do not add up to the score are no parts of the reward: see Why",
    });
  const updated = STATUSES.some((name) => all?.points[name]?.some((n) => n)); // validation has no updates
  drawn.splice(
    2,
    0,
    ...(terms.length ? [/** @type {Chart} */ (["Recorded terms", termChart])] : []),
    ...(updated ? [/** @type {Chart} */ (["Groups by status", statuses])] : []),
  );
  const metrics = metricCharts(data, weight);
  const names = h(
    "datalist",
    { id: "chart-names" },
    [...drawn, ...metrics].map(([value]) => h("option", { value })),
  );
  if (find) return [notes(run, data), names, matching([...drawn, ...metrics], find)];
  const usual = FIRST_CHARTS + 2;
  return [
    notes(run, data),
    names,
    drawn.slice(0, usual).map(([, draw]) => draw()),
    h(
      "p",
      { class: "missing dim" },
      `${plural(Math.max(0, drawn.length - usual), "more chart")} and ${plural(metrics.length, "metric")} of the trainer: `,
      drawn.slice(usual).map(([title]) => [h("a", { href: withQuery({ find: title }) }, title), ", "]),
      h("a", { href: withQuery({ find: "/" }) }, "all metrics"),
    ),
    missing.length > 0 && h("p", { class: "dim missing" }, `Not recorded in this run: ${missing.join("; ")}.`),
  ];
}

/**
 * The charts whose title has a text, the first of them.
 * @param {Chart[]} charts
 * @param {string} find
 */
function matching(charts, find) {
  const wanted = find.toLowerCase();
  const found = charts.filter(([title]) => title.toLowerCase().includes(wanted));
  const whole = h("a", { href: withQuery({ find: null }) }, "Show the usual charts");
  if (!found.length) return empty("No chart has this name", whole);
  const cut = found.length > MOST_METRICS && `, the first ${MOST_METRICS} are shown`;
  return [
    h("p", { class: "missing dim" }, `${plural(found.length, "chart")} found${cut || ""}. `, whole),
    found.slice(0, MOST_METRICS).map(([, draw]) => draw()),
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
 * A chart of each metric that the trainer recorded.
 * @param {Curves} data
 * @param {number} weight
 * @returns {Chart[]}
 */
function metricCharts(data, weight) {
  const draw = (/** @type {string} */ name) => () =>
    lineChart({
      title: name,
      weight,
      series: [{ name, color: 0, points: data.steps.map((x, i) => ({ x, y: data.metrics[name][i] })) }],
      hint: "No number on these steps",
    });
  return Object.keys(data.metrics ?? {})
    .sort()
    .map((name) => [name, draw(name)]);
}
