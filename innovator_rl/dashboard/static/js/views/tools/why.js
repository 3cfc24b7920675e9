// Why the reward changed between two ranges of steps: the change split by term, data source, length, truncation and
// prompts, each part with the responses behind it. The parts of a split sum to the change.

import * as api from "../../api/client.js";
import { empty, fill } from "../../components/states.js";
import { table } from "../../components/table.js";
import { h, visible } from "../../core/dom.js";
import { humanize, num, percent, plural, signed } from "../../core/format.js";
import { groupLink, responseLink } from "../../core/links.js";
import { link } from "../../core/router.js";
import { kindField, rangesOf, stepField } from "./two-ranges.js";

/** @typedef {import("../../api/types.js").RewardChange} RewardChange */
/** @typedef {import("../../api/types.js").Split} Split */
/** @typedef {import("../../api/types.js").ResponseRow} ResponseRow */

/** @type {Record<string, string>} */
const TITLES = {
  data_source: "By data source",
  domain: "By domain",
  length: "By length",
  truncated: "By truncation",
  correct: "By correctness",
};

/** @type {[name: import("../../api/types.js").ChangeCount, title: string][]} */
const PROMPTS = [
  ["newly_solved", "newly solved"],
  ["newly_lost", "newly lost"],
  ["still_solved", "still solved"],
  ["still_unsolved", "still unsolved"],
];

/**
 * @param {import("../types.js").Context} context
 * @returns {Promise<import("../types.js").View>}
 */
export default async function view({ run, query, signal }) {
  const info = await api.run(run, signal);
  const { kind, steps, first, last } = rangesOf(info, query);
  const step = query.get("step") ?? first;
  const step2 = query.get("step2") ?? last;
  const body = h("div", { class: "stack" });
  const form = h(
    "div",
    { class: "panel form" },
    stepField("step", step, "From steps"),
    stepField("step2", step2, "To steps"),
    kindField(info, kind),
  );
  return {
    title: `${run}: why`,
    nodes: [
      h("div", { class: "page-head" }, h("h1", null, "Why did the reward change?")),
      h("div", { class: "stack" }, form, body),
    ],
    shown: () =>
      steps.length
        ? fill(
            body,
            () => api.why(run, { step, step2, kind }, signal),
            (data) => explanation(run, data),
            "Splitting the change",
          )
        : body.append(empty("No responses recorded yet")),
  };
}

/**
 * @param {string} run
 * @param {RewardChange} data
 */
function explanation(run, data) {
  const tile = (/** @type {string} */ name, /** @type {string} */ before, /** @type {string} */ after) =>
    h("div", null, h("dt", null, name), h("dd", null, `${before} → ${after}`));
  const { from, to } = data;
  return [
    h(
      "dl",
      { class: "tiles" },
      h("div", null, h("dt", null, "Change of the mean reward"), h("dd", null, h("b", null, signed(data.change)))),
      tile("Reward, all samples", num(from.reward), num(to.reward)),
      tile("Accuracy, all samples", percent(from.accuracy), percent(to.accuracy)),
      tile("Response tokens", num(Math.round(from.length)), num(Math.round(to.length))),
      tile("Truncated", percent(from.truncated), percent(to.truncated)),
    ),
    data.terms.length > 0 && termPanel(run, data),
    promptPanel(run, data),
    data.splits.filter((one) => one.rows.length > 1).map((one) => splitPanel(run, one)),
  ];
}

/**
 * A part of the change as a number and as a bar.
 * @param {number} part
 * @param {number} most the largest part of the table
 */
const bar = (part, most) =>
  h(
    "span",
    { class: `part ${part < 0 ? "fell" : "rose"}` },
    h("b", { class: "num" }, signed(part)),
    h(
      "span",
      { class: "track", "aria-hidden": "true" },
      h("span", { style: { width: `${most ? Math.min(100, (100 * Math.abs(part)) / most) : 0}%` } }),
    ),
  );

/**
 * @param {string} run
 * @param {ResponseRow[]} rows
 */
const examples = (run, rows) =>
  h(
    "span",
    { class: "line" },
    rows.map((one) =>
      h(
        "a",
        { href: responseLink(run, one), title: one.preview ? visible(one.preview) : null },
        `${num(one.reward)}`,
        one.correct === null ? "" : one.correct ? " ✓" : " ✗",
      ),
    ),
  );

/**
 * @param {string} title
 * @param {string} note
 * @param {Element} content
 */
const panel = (title, note, content) =>
  h("section", { class: "panel" }, h("header", null, h("h2", null, title), h("span", { class: "dim" }, note)), content);

/**
 * @param {string} run
 * @param {RewardChange} data
 */
function termPanel(run, data) {
  const most = Math.max(...data.terms.map((one) => Math.abs(one.change)));
  const { element } = table({
    caption: "Change by term",
    rows: data.terms,
    columns: [
      { title: "Term", cell: (one) => humanize(one.name) },
      { title: "Before", class: "num", cell: (one) => num(one.from) },
      { title: "After", class: "num", cell: (one) => num(one.to) },
      { title: "Part of the change", cell: (one) => bar(one.change, most) },
      { title: "Responses after", cell: (one) => examples(run, one.examples) },
    ],
  });
  return panel("By term of the reward", "mean contribution of each term", element);
}

/**
 * @param {string} run
 * @param {RewardChange} data
 */
function promptPanel(run, { prompts }) {
  const most = Math.max(...PROMPTS.map(([name]) => Math.abs(prompts[name].change)));
  const { element } = table({
    caption: "Change by prompts",
    rows: PROMPTS,
    columns: [
      { title: "Prompts", cell: ([name, title]) => `${num(prompts.counts[name])} ${title}` },
      { title: "Part of the change over common prompts", cell: ([name]) => bar(prompts[name].change, most) },
      {
        title: "Groups after",
        cell: ([name]) =>
          h(
            "span",
            { class: "line" },
            prompts[name].examples.map((one) =>
              h("a", { href: groupLink(run, one.to), title: visible(one.preview ?? "") }, `step ${one.to.step}`),
            ),
          ),
      },
    ],
  });
  return panel("By prompts", `${plural(prompts.common, "prompt")} on both sides`, element);
}

/**
 * @param {string} run
 * @param {Split} split
 */
function splitPanel(run, split) {
  const most = Math.max(...split.rows.flatMap((one) => [Math.abs(one.within), Math.abs(one.mix)]));
  const { element } = table({
    caption: TITLES[split.by] ?? split.by,
    rows: split.rows,
    columns: [
      {
        title: humanize(split.by),
        cell: (one) =>
          h("a", { href: link(["runs", run, "rollouts"], one.query) }, one.value === "" ? "none" : visible(one.value)),
      },
      { title: "Share", class: "num", cell: (one) => `${percent(one.share.from)} → ${percent(one.share.to)}` },
      { title: "Reward", class: "num", cell: (one) => `${num(one.reward.from)} → ${num(one.reward.to)}` },
      { title: "Rewarded differently", cell: (one) => bar(one.within, most) },
      { title: "More or fewer", cell: (one) => bar(one.mix, most) },
      { title: "Responses after", class: "wide", cell: (one) => examples(run, one.examples) },
    ],
  });
  const note = `rewarded differently ${signed(split.within)}, more or fewer ${signed(split.mix)}`;
  return panel(TITLES[split.by] ?? split.by, note, element);
}
