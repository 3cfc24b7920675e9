// What training changed: prompts newly solved and newly lost between two ranges of steps, or between two runs.

import { rowKeys } from "../../components/row-keys.js";
import * as api from "../../api/client.js";
import { segmented } from "../../components/navigation.js";
import { empty, fill } from "../../components/states.js";
import { table } from "../../components/table.js";
import { h, visible } from "../../core/dom.js";
import { num, humanize } from "../../core/format.js";
import { groupLink } from "../../core/links.js";
import { go, withQuery } from "../../core/router.js";
import { kindField, rangesOf, stepField } from "./two-ranges.js";

/** @typedef {import("../../api/types.js").Change} Change */
/** @typedef {import("../../components/keys.js").Key} Key */

/** @type {[rule: string, text: string][]} when a prompt counts as solved */
const RULES = [
  ["any", "one response right"],
  ["majority", "most right"],
  ["all", "all right"],
];
/** @type {[key: import("../../api/types.js").ChangeCount, title: string, tone: string][]} */
const COUNTS = [
  ["newly_solved", "newly solved", "good"],
  ["newly_lost", "newly lost", "bad"],
  ["still_solved", "still solved", ""],
  ["still_unsolved", "still unsolved", ""],
];

/**
 * @param {import("../types.js").Context} context
 * @returns {Promise<import("../types.js").View>}
 */
export default async function view({ run, query, signal }) {
  const [info, others] = await Promise.all([api.run(run, signal), api.runs(signal)]);
  const { kind, steps, first, last } = rangesOf(info, query);
  const other = query.get("run2") ?? run;
  const step = query.get("step") ?? first;
  const step2 = query.get("step2") ?? (other === run ? last : step);
  const rule = query.get("rule") ?? "any";
  const body = h("div", { class: "stack" });
  /** @type {Key[]} */
  const keys = [];
  const ask = { run, step, run2: other, step2, rule, kind };
  const form = h(
    "div",
    { class: "panel form" },
    stepField("step", step, `From steps of ${run}`),
    h(
      "label",
      { class: "field" },
      h("span", null, "To run"),
      h(
        "select",
        {
          id: "change-run",
          onchange: (event) =>
            go(withQuery({ run2: event.target.value === run ? null : event.target.value, step2: null })),
        },
        others.rows.map((one) => h("option", { value: one.name, selected: one.name === other }, one.name)),
      ),
    ),
    stepField("step2", step2, "To steps"),
    h(
      "div",
      { class: "field" },
      h("span", null, "Solved when"),
      segmented("Solved when", RULES, rule, (v) => go(withQuery({ rule: v === "any" ? null : v }))),
    ),
    kindField(info, kind),
  );
  return {
    title: `${run}: change`,
    nodes: [h("div", { class: "page-head" }, h("h1", null, "What changed")), h("div", { class: "stack" }, form, body)],
    keys,
    shown: () =>
      steps.length
        ? fill(
            body,
            () => api.change(ask, signal),
            (data) => result(data, kind, keys),
            "Comparing",
          )
        : body.append(empty("No responses recorded yet")),
  };
}

/**
 * @param {Change} data
 * @param {string} kind
 * @param {Key[]} keys replaced by those of the rows shown
 */
function result(data, kind, keys) {
  if (!data.common)
    return empty(
      "No prompt was asked on both sides",
      `${num(data.from.prompts)} prompts on the first side, ${num(data.to.prompts)} on the second. Widen the steps: every prompt comes back once per epoch.`,
    );
  const tables = [prompts(data, "newly_solved", kind), prompts(data, "newly_lost", kind)];
  keys.splice(
    0,
    keys.length,
    ...rowKeys(
      tables.flatMap((t) => t.lines),
      (i) => go(tables.flatMap((t) => t.links)[i]),
    ),
  );
  return [
    h(
      "dl",
      { class: "tiles" },
      COUNTS.map(([key, title, tone]) =>
        h("div", null, h("dt", null, title), h("dd", { class: tone }, num(data.counts[key]))),
      ),
      h("div", null, h("dt", null, "prompts on both sides"), h("dd", null, num(data.common))),
    ),
    data.domains.length > 0 &&
      h("section", { class: "panel" }, h("header", null, h("h2", null, "By domain")), byDomain(data.domains)),
    tables.map((t) => t.element),
  ];
}

/** @param {Change["domains"]} rows */
function byDomain(rows) {
  const most = Math.max(1, ...rows.flatMap((r) => [r.newly_solved, r.newly_lost]));
  const bar = (/** @type {number} */ n, /** @type {string} */ tone) =>
    h("span", { class: `change-bar ${tone}`, "aria-hidden": "true", style: { width: `${(48 * n) / most}px` } });
  return table({
    caption: "Change by domain",
    rows,
    columns: [
      { title: "Domain", cell: (r) => humanize(r.domain) },
      { title: "Newly solved", class: "nowrap", cell: (r) => [bar(r.newly_solved, "up"), num(r.newly_solved)] },
      { title: "Newly lost", class: "nowrap", cell: (r) => [bar(r.newly_lost, "down"), num(r.newly_lost)] },
      { title: "On both sides", class: "num wide", cell: (r) => num(r.common) },
    ],
  }).element;
}

/**
 * The prompts of one list, and the address of each.
 * @param {Change} data
 * @param {"newly_solved" | "newly_lost"} key
 * @param {string} kind
 */
function prompts(data, key, kind) {
  const rows = data[key];
  const title = key === "newly_solved" ? "Newly solved" : "Newly lost";
  const score = (/** @type {import("../../api/types.js").ChangeSide} */ side) =>
    `${num(side.correct)} of ${num(side.samples)}`;
  const open = (/** @type {import("../../api/types.js").ChangeSide} */ side, /** @type {string} */ name) =>
    groupLink(name, { ...side, kind });
  const shown = rows.length
    ? table({
        caption: title,
        cards: true,
        rows,
        open: (r) => go(open(r.to, data.to.run)),
        columns: [
          { title: "Domain", cell: (r) => humanize(r.domain) },
          {
            title: "Before",
            class: "titled nowrap",
            cell: (r) => h("a", { href: open(r.from, data.from.run), title: `step ${r.from.step}` }, score(r.from)),
          },
          {
            title: "After",
            class: "titled nowrap",
            cell: (r) => h("a", { href: open(r.to, data.to.run), title: `step ${r.to.step}` }, score(r.to)),
          },
          {
            title: "Prompt",
            class: "preview-cell",
            cell: (r) => h("span", { class: "preview" }, visible(r.preview ?? r.prompt_id)),
          },
        ],
      })
    : { element: empty("None"), lines: [] };
  return {
    element: h(
      "section",
      { class: "panel" },
      h(
        "header",
        null,
        h("h2", null, title),
        h(
          "span",
          { class: "dim" },
          data.counts[key] > rows.length ? `the first ${num(rows.length)} of ${num(data.counts[key])}` : "",
        ),
      ),
      shown.element,
    ),
    lines: shown.lines,
    links: rows.map((r) => open(r.to, data.to.run)),
  };
}
