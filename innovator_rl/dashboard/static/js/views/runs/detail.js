// One run: where it is, its curves by domain, and how it was started. A click on a point opens those responses.

import * as api from "../../api/client.js";
import { lineChart, stackedBars } from "../../components/charts.js";
import { h, outsideLink, replace } from "../../core/dom.js";
import { compact, duration, num, percent, plural, when, words } from "../../core/format.js";
import { colours, problemsNotice, progress, statusBadge } from "../../components/badges.js";
import { go, link, withQuery } from "../../core/router.js";
import { atMost, empty, fill, notify } from "../../components/states.js";
import { facts, segmented, table } from "../../components/table.js";

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
const FATES = ["kept", "all_correct", "all_wrong", "all_equal", "unjudged", "failed", "surplus", "other", "pending"];

export default async function view({ run, query, signal }) {
  const by = query.get("by") ?? "domain";
  const kind = query.get("kind") ?? "train";
  const weight = Number(query.get("smooth") ?? 0);
  const head = h("div");
  const charts = h("div", { class: "charts" });
  const about = h("div");
  let info = await api.run(run, signal);
  const drawAbout = () => (replace(head, top(info)), replace(about, details(info)));
  const drawCharts = (what) =>
    fill(
      charts,
      () => api.curves(run, { by, kind }, signal),
      (data) => figures(run, data, { by, kind, weight }),
      what,
    );
  drawAbout();
  const controls = h(
    "div",
    { class: "line controls" },
    segmented(
      "Split by",
      [
        ["domain", "Domain"],
        ["data_source", "Data source"],
        ["rewarder", "Rewarder"],
      ],
      by,
      (value) => go(withQuery({ by: value })),
    ),
    segmented(
      "Smoothing",
      [
        [0, "Raw"],
        [0.6, "Smooth"],
        [0.9, "Smoother"],
      ],
      weight,
      (value) => go(withQuery({ smooth: value || null })),
    ),
    info.record?.validation?.rows > 0 &&
      segmented(
        "Kind",
        [
          ["train", "Training"],
          ["validation", "Validation"],
        ],
        kind,
        (value) => go(withQuery({ kind: value === "train" ? null : value })),
      ),
  );
  return {
    title: run,
    nodes: [head, h("div", { class: "stack" }, controls, charts, about)],
    shown: () => drawCharts("Reading the curves"),
    news: atMost(3, async () => {
      try {
        info = await api.run(run, signal);
        drawAbout();
        await drawCharts(null);
      } catch (problem) {
        if (problem.name !== "AbortError") notify(problem.message);
      }
    }),
  };
}

function top(info) {
  const row = info.run;
  const alarms = row.alarms && (row.alarms.error ?? 0) + (row.alarms.warning ?? 0);
  const live = ["running", "starting"].includes(row.status);
  const tiles = [
    ["Step", progress(row)],
    ["Reward", num(row.reward)],
    ["Accuracy", percent(row.accuracy)],
    ["Tokens/s", compact(row.tokens_per_second)],
    ["Step time", duration(row.step_seconds)],
    live && ["Time left", duration(row.seconds_left)],
    [
      "Last sign of life",
      live && row.heartbeat_age !== null ? `${duration(row.heartbeat_age)} ago` : when(row.heartbeat),
    ],
    [
      "Responses recorded",
      [
        compact(row.rows_recorded),
        row.rows_dropped > 0 && h("span", { class: "bad" }, ` ${num(row.rows_dropped)} lost`),
      ],
    ],
  ].filter(Boolean);
  return [
    h(
      "div",
      { class: "page-head" },
      h("h1", null, row.name),
      statusBadge(row),
      row.phase && live && h("span", { class: "dim" }, `${row.phase} for ${duration(row.phase_seconds)}`),
      alarms > 0 &&
        h(
          "a",
          { class: `badge ${row.alarms.error ? "bad" : "warn"}`, href: link(["runs", row.name, "health"]) },
          plural(alarms, "alarm"),
        ),
      h("span", { class: "grow" }),
      row.ray?.url && outsideLink(row.ray.url, "Ray job"),
      h("a", { class: "button", href: link(["runs", row.name, "rollouts"], { step: "last" }) }, "Read the last step"),
      h(
        "a",
        { class: "button wide", href: api.staticAddress(row.name, { step: "last" }), download: "" },
        "Static copy",
      ),
    ),
    row.detail &&
      ["dead", "failed", "stopped", "unknown"].includes(row.status) &&
      h("p", { class: `notice ${row.status === "stopped" ? "warn" : "bad"}` }, row.detail),
    problemsNotice(info.problems),
    info.index?.state === "building" &&
      h("p", { class: "notice" }, "The index is being built; figures are of what is indexed so far."),
    h(
      "dl",
      { class: "tiles" },
      tiles.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))),
    ),
  ];
}

function figures(run, data, { by, kind, weight }) {
  if (!data.steps.length)
    return empty("No responses recorded yet", "Curves appear when the first step has been scored.");
  const colour = colours(data.series.map((one) => one.name));
  const parts = data.series.filter((one) => one.name !== "all").sort((a, b) => a.name.localeCompare(b.name));
  const all = data.series.find((one) => one.name === "all");
  const open = (step, one, more = {}) =>
    go(
      link(["runs", run, "rollouts"], {
        kind: kind === "train" ? null : kind,
        step,
        ...(one && one.name !== "all" && !more.fate && !more.drop_reason ? { [by]: one.name } : {}),
        ...more,
      }),
    );
  const lines = (key, low, high) =>
    [...(parts.length === 1 ? [] : [all]), ...parts].filter(Boolean).map((one) => ({
      name: one.name,
      colour: colour(one.name),
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
  const recorded = ([key]) => data.series.some((one) => one.points[key]?.some((v) => v !== null));
  const drawn = CHARTS.filter(recorded).map(([key, title, format, low, high]) =>
    lineChart({ title, format, weight, series: lines(key, low, high), onpick: (step, one) => open(step, one) }),
  );
  const missing = CHARTS.filter((one) => !recorded(one)).map(([, title]) => title);
  const fates = stackedBars({
    title: "Groups by fate",
    onpick: (step, one) =>
      open(
        step,
        one,
        one.name === "kept"
          ? { fate: "kept" }
          : one.name === "pending"
            ? { fate: "pending" }
            : one.name === "other"
              ? { fate: "dropped" }
              : { drop_reason: one.name },
      ),
    series: FATES.map((name, i) => ({
      name,
      colour: [0, 1, 4, 6, 5, 2, 3, 7, 8][i],
      points: data.steps.map((x, j) => ({ x, y: all?.points[name]?.[j] ?? 0 })),
    })),
  });
  drawn.splice(2, 0, fates);
  return [
    drawn,
    metricPicker(data),
    missing.length > 0 && h("p", { class: "dim missing" }, `Not recorded in this run: ${missing.join("; ")}.`),
  ];
}

function metricPicker(data) {
  const names = Object.keys(data.metrics ?? {}).sort();
  if (!names.length) return null;
  const frame = h("div", { class: "metric-frame" });
  const draw = (name) =>
    replace(
      frame,
      lineChart({
        title: name,
        series: [{ name, colour: 0, points: data.steps.map((x, i) => ({ x, y: data.metrics[name][i] })) }],
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

function details(info) {
  const row = info.run;
  const attempts = info.attempts?.length
    ? table({
        caption: "Attempts",
        rows: info.attempts,
        columns: [
          { title: "Attempt", cell: (a) => num(a.attempt) },
          { title: "Started", cell: (a) => when(a.started) },
          { title: "Ended", cell: (a) => when(a.ended) },
          { title: "From step", class: "num", cell: (a) => num(a.resumed_from_step) },
          { title: "To step", class: "num", cell: (a) => num(a.step) },
          { title: "Status", cell: (a) => words(a.status) },
          { title: "Cause", cell: (a) => a.cause || "–" },
        ],
      }).element
    : null;
  const record = (kind) =>
    info.record?.[kind] &&
    `${plural(info.record[kind].rows, "response")} in ${plural(info.record[kind].groups, "group")}, ${plural(info.record[kind].steps.length, "step")}`;
  return h(
    "div",
    { class: "stack" },
    h(
      "section",
      { class: "panel" },
      h("header", null, h("h2", null, "About this run")),
      h(
        "div",
        { class: "body about" },
        facts([
          ["Model", row.model],
          ["Created", when(row.created)],
          ["Host", row.host && `${row.host}, process ${row.pid ?? "–"}`],
          [
            "Code",
            row.git && `${String(row.git.revision ?? "").slice(0, 10)}${row.git.dirty ? " with local changes" : ""}`,
          ],
          ["Command", info.command && h("code", null, info.command.join(" "))],
          ["Training record", record("train")],
          ["Validation record", record("validation")],
          [
            "Index",
            info.index &&
              `${info.index.state}, ${plural(info.index.rows ?? 0, "row")}${info.index.words ? `, words of ${compact(info.index.words.done)} of ${compact(info.index.words.total)}` : ""}`,
          ],
        ]),
        facts(Object.entries(info.packages ?? {})),
      ),
    ),
    attempts && h("section", { class: "panel" }, h("header", null, h("h2", null, "Attempts")), attempts),
    info.config_text &&
      h(
        "details",
        { class: "panel fold" },
        h("summary", null, "Configuration"),
        h("pre", { class: "raw body", tabindex: "0" }, info.config_text),
      ),
  );
}
