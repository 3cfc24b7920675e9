// One run: its progress, its curves by domain, and how it was started. A click on a point opens the responses behind it.

import * as api from "../../api/client.js";
import { figures } from "./curves.js";
import { progress, statusBadge } from "../../components/badges.js";
import { segmented } from "../../components/navigation.js";
import { notifyProblem, problemsNotice } from "../../components/notices.js";
import { atMost, fill } from "../../components/states.js";
import { facts, table } from "../../components/table.js";
import { h, outsideLink, replace } from "../../core/dom.js";
import { ago, compact, duration, num, percent, plural, when, humanize } from "../../core/format.js";
import { go, link, withQuery } from "../../core/router.js";

/** @typedef {import("../../api/types.js").RunInfo} RunInfo */

/**
 * @param {import("../types.js").Context} context
 * @returns {Promise<import("../types.js").View>}
 */
export default async function view({ run, query, signal }) {
  const by = query.get("by") ?? "domain";
  const kind = query.get("kind") ?? "train";
  const weight = Number(query.get("smooth") ?? 0);
  const find = query.get("find") ?? "";
  const head = h("div");
  const charts = h("div", { class: "charts" });
  const about = h("div");
  let info = await api.run(run, signal);
  const drawAbout = () => (replace(head, top(info)), replace(about, details(info)));
  const drawCharts = (/** @type {string | null} */ what) =>
    fill(
      charts,
      () => api.curves(run, { by, kind }, signal),
      (data) => figures(run, data, { by, kind, weight, find }),
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
    h("input", {
      id: "find-chart",
      type: "search",
      list: "chart-names",
      placeholder: "find a chart or metric",
      "aria-label": "Find charts and metrics",
      value: find,
      onchange: (event) => go(withQuery({ find: event.target.value.trim() })),
    }),
    (info.record?.validation?.rows ?? 0) > 0 &&
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
        notifyProblem(problem);
      }
    }),
  };
}

/** @param {RunInfo} info */
function top(info) {
  const row = info.run;
  const alerts = (row.alerts?.error ?? 0) + (row.alerts?.warning ?? 0);
  const live = ["running", "starting"].includes(row.status);
  /** @type {([name: string, value: import("../../core/dom.js").Child] | false)[]} */
  const tiles = [
    ["Step", progress(row)],
    ["Reward, all samples", num(row.reward)],
    ["Reward, trained samples", num(row.reward_trained)],
    ["Accuracy, all samples", percent(row.accuracy)],
    ["Tokens/s", compact(row.tokens_per_second)],
    ["Step time", duration(row.step_seconds)],
    live && ["Time left", duration(row.seconds_left)],
    ["Heartbeat", live || (row.heartbeat_age ?? 0) < 0 ? ago(row.heartbeat_age) : when(row.heartbeat)],
    [
      "Responses recorded",
      [
        compact(row.rows_recorded),
        row.rows_dropped > 0 && h("span", { class: "bad" }, ` ${num(row.rows_dropped)} lost`),
      ],
    ],
  ];
  return [
    h(
      "div",
      { class: "page-head" },
      h("h1", null, row.name),
      statusBadge(row),
      row.phase && live && h("span", { class: "dim" }, `${row.phase} for ${duration(row.phase_seconds)}`),
      alerts > 0 &&
        h(
          "a",
          { class: `badge ${row.alerts?.error ? "bad" : "warn"}`, href: link(["runs", row.name, "health"]) },
          plural(alerts, "alert"),
        ),
      h("span", { class: "grow" }),
      row.ray?.url && outsideLink(row.ray.url, "Ray job"),
      recorded(info) &&
        h("a", { class: "button", href: link(["runs", row.name, "rollouts"], { step: "last" }) }, "Read the last step"),
      h(
        "a",
        { class: "button wide", href: api.staticAddress(row.name, { step: "last" }), download: "" },
        "Static copy",
      ),
    ),
    recorded(info) && shortcuts(info),
    row.detail &&
      ["dead", "failed", "stopped", "unknown"].includes(row.status) &&
      h("p", { class: `notice ${row.status === "stopped" ? "warn" : "bad"}` }, row.detail),
    problemsNotice(info.problems),
    info.index?.state === "building" &&
      h("p", { class: "notice" }, "The index is being built; figures are of what is indexed so far."),
    h(
      "dl",
      { class: "tiles" },
      tiles.map((tile) => tile && h("div", null, h("dt", null, tile[0]), h("dd", null, tile[1]))),
    ),
  ];
}

/**
 * What is read most often, one click away. `open=first` opens the first response of the list; j and k go through the rest.
 * The reward of a response that could not be scored says nothing about it, so that it is neither the worst nor the best.
 * @type {[title: string, filters: Record<string, string | string[]>][]}
 */
const READ = [
  ["worst", { step: "last", outcome: ["scored", "-"], sort: "reward" }],
  ["best", { step: "last", outcome: ["scored", "-"], sort: "-reward" }],
  ["longest", { step: "last", sort: "-response_tokens" }],
  ["truncated", { truncated: "true", sort: "-step" }],
];
const DRAWN = /^(?:caption2mol|mol2caption|chemistry)\b/;

/**
 * Whether there is a response to read.
 * @param {RunInfo} info
 */
const recorded = ({ record }) => (record?.train.rows ?? 0) + (record?.validation.rows ?? 0) > 0;

/**
 * Links to the responses that answer the usual questions.
 * @param {RunInfo} info
 */
function shortcuts(info) {
  const address = (/** @type {Record<string, string | string[]>} */ query) =>
    link(["runs", info.run.name, "rollouts"], query);
  const molecules = (info.values.rewarder ?? []).filter((name) => DRAWN.test(name));
  const wanted = molecules.find((name) => name.startsWith("caption2mol")) ?? molecules[0];
  // validation asks the same prompts at every step; training seldom does
  const again = (info.record?.validation?.steps.length ?? 0) > 1;
  /** @type {[string, Record<string, string | string[]>][]} */
  const read = wanted ? [...READ, ["a molecule", { rewarder: wanted, sort: "-step" }]] : READ;
  return h(
    "nav",
    { class: "line shortcuts", "aria-label": "Read" },
    h("span", { class: "dim" }, "Read"),
    read.map(([title, filters]) => h("a", { class: "chip", href: address({ ...filters, open: "first" }) }, title)),
    h("a", { class: "chip", href: address({ view: "groups", status: "dropped", sort: "-step" }) }, "dropped groups"),
    again &&
      h(
        "a",
        { class: "chip", href: address({ kind: "validation", sort: "-step", open: "prompt" }) },
        "a prompt over time",
      ),
  );
}

/**
 * The tags of a run, to be changed, and the button that archives it.
 * @param {import("../../api/types.js").RunRow} row
 */
function tags(row) {
  const send = async (/** @type {string[]} */ names, /** @type {boolean} */ archived) => {
    try {
      await api.tag(row.name, { tags: names, archived });
      [row.tags, row.archived] = [names, archived];
      button.textContent = archived ? "Bring back" : "Archive";
    } catch (problem) {
      notifyProblem(problem);
    }
  };
  const input = h("input", {
    type: "text",
    value: (row.tags ?? []).join(", "),
    placeholder: "tag, another tag",
    "aria-label": "Tags of this run",
    onchange: (event) =>
      send(
        event.target.value
          .split(",")
          .map((/** @type {string} */ one) => one.trim())
          .filter(Boolean),
        Boolean(row.archived),
      ),
  });
  const button = h(
    "button",
    { onclick: () => send(row.tags ?? [], !row.archived), title: "An archived run is left out of the list of runs" },
    row.archived ? "Bring back" : "Archive",
  );
  return h("span", { class: "line" }, input, button);
}

/** @param {RunInfo} info */
function details(info) {
  const row = info.run;
  const attempts = info.attempts?.length
    ? table({
        caption: "Attempts",
        cards: true,
        rows: info.attempts,
        columns: [
          { title: "Attempt", class: "titled", cell: (a) => num(a.attempt) },
          { title: "Started", class: "titled", cell: (a) => when(a.started) },
          { title: "Ended", class: "titled", cell: (a) => when(a.ended) },
          { title: "From step", class: "num", cell: (a) => num(a.resumed_from_step) },
          { title: "To step", class: "num", cell: (a) => num(a.step) },
          { title: "Status", class: "titled", cell: (a) => humanize(a.status) },
          { title: "Cause", class: "titled", cell: (a) => a.cause || "–" },
        ],
      }).element
    : null;
  const record = (/** @type {import("../../api/types.js").Kind} */ kind) =>
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
          ["Tags", tags(row)],
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
              `${info.index.state}, ${plural(info.index.rows ?? 0, "row")}${info.index.words ? `, full text of ${compact(info.index.words.done)} of ${compact(info.index.words.total)}` : ""}`,
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
