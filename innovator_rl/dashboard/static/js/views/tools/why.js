// Why the reward changed between two ranges of steps: the change split by term, data source, length, truncation and
// prompts, each part with the responses behind it. The parts of a split sum to the change.

import * as api from "../../api/client.js";
import { empty, fill } from "../../components/states.js";
import { table } from "../../components/table.js";
import { h, visible } from "../../core/dom.js";
import { fixed, humanize, num, percent, plural } from "../../core/format.js";
import { groupLink, responseLink } from "../../core/links.js";
import { link } from "../../core/router.js";
import { kindField, rangesOf, recordedSteps, stepField } from "./two-ranges.js";

/** @typedef {import("../../api/types.js").RewardChange} RewardChange */
/** @typedef {import("../../api/types.js").Split} Split */
/** @typedef {import("../../api/types.js").ResponseRow} ResponseRow */

/** @type {Record<string, string>} what the values of a property are called */
const VALUES = {
  "truncated:true": "truncated",
  "truncated:false": "not truncated",
  "correct:true": "correct",
  "correct:false": "not correct",
};

/** @type {Record<string, string>} */
const TITLES = {
  data_source: "By data source",
  domain: "By domain",
  length: "By length",
  truncated: "By truncation",
  correct: "By correctness",
};

const LEAST_ACCURACY = 0.25; // of the change of the reward

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
    recordedSteps(kind, steps),
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
  const shown = inStep(data);
  return [
    h(
      "dl",
      { class: "tiles" },
      h("div", null, h("dt", null, "Change of the mean reward"), h("dd", null, h("b", null, shown(data.change, true)))),
      h("div", null, h("dt", null, "95 % interval"), h("dd", null, interval(data, shown))),
      tile("Reward, all samples", shown(from.reward), shown(to.reward)),
      tile("Accuracy, all samples", percent(from.accuracy), percent(to.accuracy)),
      tile("Response tokens", num(Math.round(from.length)), num(Math.round(to.length))),
      tile("Truncated", percent(from.truncated), percent(to.truncated)),
    ),
    h("p", { class: certain(data) ? "notice" : "notice warn" }, significance(data)),
    data.terms.length > 0 && termPanel(run, data, shown),
    promptPanel(run, data, shown),
    telling(data.splits).map((one) => splitPanel(run, one, shown)),
  ];
}

/**
 * Writes a reward, or with its sign a part of a change.
 * @typedef {(x: import("../../core/format.js").MaybeNumber, sign?: boolean) => string} Shown
 */

/**
 * Figures that are compared with each other have the same decimals, three or as many as small rewards need.
 * @param {RewardChange} data
 * @returns {Shown}
 */
function inStep({ from, to, change }) {
  const largest = Math.max(...[from.reward, to.reward, change].map((x) => Math.abs(x ?? 0)));
  const decimals = largest ? Math.max(1, Math.min(8, 2 - Math.floor(Math.log10(largest)))) : 3;
  return (x, sign = false) => fixed(x, decimals, sign);
}

/**
 * The splits with more than one part; a split that repeats the one before, as domains that are data sources, is left out.
 * @param {Split[]} splits
 */
function telling(splits) {
  const parts = (/** @type {Split} */ one) => JSON.stringify(one.rows.map((row) => [row.value, row.share, row.reward]));
  return splits.filter((one, i) => one.rows.length > 1 && !(i > 0 && parts(one) === parts(splits[i - 1])));
}

/**
 * @param {RewardChange} data
 * @param {Shown} shown
 */
const interval = ({ interval: found }, shown) =>
  found ? `${shown(found.low, true)} to ${shown(found.high, true)}` : "too few prompts";

/**
 * Whether the change is larger than what other prompts would have made of it.
 * @param {RewardChange} data
 */
const certain = ({ interval: found }) => found !== null && (found.low > 0 || found.high < 0);

/** @param {RewardChange} data */
function significance(data) {
  if (!data.interval) return "Too few prompts to tell this change from chance: choose more steps on each side.";
  const prompts = plural(data.interval.prompts, "prompt");
  if (!certain(data))
    return `This can be chance: ${prompts} on both sides together, and the interval contains 0. Choose more steps on each side, or compare validation, which asks the same prompts at every step.`;
  return `More than chance over ${prompts}. ${besideAccuracy(data)}`;
}

/**
 * What accuracy did meanwhile. A reward that moves without it is earned by something else; rewards differ in their scale, so
 * that only a far smaller change of accuracy says so.
 * @param {RewardChange} data
 */
function besideAccuracy({ from, to, change }) {
  const accuracy = (to.accuracy ?? 0) - (from.accuracy ?? 0);
  const points = plural(Number(Math.abs(100 * accuracy).toPrecision(2)), "point");
  const moved =
    percent(from.accuracy) === percent(to.accuracy)
      ? "Accuracy did not change"
      : `Accuracy ${accuracy > 0 ? "rose" : "fell"} by ${points}`;
  const along = accuracy * change > 0 && Math.abs(accuracy) >= Math.abs(change) * LEAST_ACCURACY;
  return along ? `${moved}.` : `${moved}: read which term, length or source ${change > 0 ? "gained" : "lost"}.`;
}

/**
 * A part of the change as a number and as a bar.
 * @param {number} part
 * @param {number} most the largest part of the table
 * @param {Shown} shown
 */
const bar = (part, most, shown) =>
  h(
    "span",
    { class: `part ${part < 0 ? "fell" : "rose"}` },
    h("b", { class: "num" }, shown(part, true)),
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
 * @param {Shown} shown
 */
function termPanel(run, data, shown) {
  const most = Math.max(...data.terms.map((one) => Math.abs(one.change)));
  const { element } = table({
    caption: "Change by term",
    cards: true,
    rows: data.terms,
    columns: [
      { title: "Term", cell: (one) => humanize(one.name) },
      { title: "Before", class: "num", cell: (one) => shown(one.from) },
      { title: "After", class: "num", cell: (one) => shown(one.to) },
      { title: "Part of the change", class: "titled whole", cell: (one) => bar(one.change, most, shown) },
      { title: "Responses after", class: "titled whole", cell: (one) => examples(run, one.examples) },
    ],
  });
  return panel("By term of the reward", "mean contribution of each term", element);
}

/**
 * @param {string} run
 * @param {RewardChange} data
 * @param {Shown} shown
 */
function promptPanel(run, { prompts }, shown) {
  const most = Math.max(...PROMPTS.map(([name]) => Math.abs(prompts[name].change)));
  const { element } = table({
    caption: "Change by prompts",
    cards: true,
    rows: PROMPTS,
    columns: [
      { title: "Prompts", cell: ([name, title]) => `${num(prompts.counts[name])} ${title}` },
      {
        title: "Part of the change over common prompts",
        class: "titled whole",
        cell: ([name]) => bar(prompts[name].change, most, shown),
      },
      {
        title: "Groups after",
        class: "titled whole",
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
 * @param {Shown} shown
 */
function splitPanel(run, split, shown) {
  const most = Math.max(...split.rows.flatMap((one) => [Math.abs(one.within), Math.abs(one.mix)]));
  const mean = (/** @type {number | null} */ x) => (x === null ? "none" : shown(x));
  const { element } = table({
    caption: TITLES[split.by] ?? split.by,
    cards: true,
    rows: split.rows,
    columns: [
      {
        title: (TITLES[split.by] ?? split.by).replace(/^By (.)/, (_, first) => first.toUpperCase()),
        cell: (one) =>
          h(
            "a",
            { href: link(["runs", run, "rollouts"], one.query) },
            one.value === "" ? "none" : visible(VALUES[`${split.by}:${one.value}`] ?? one.value),
          ),
      },
      { title: "Share", class: "num", cell: (one) => `${percent(one.share.from)} → ${percent(one.share.to)}` },
      { title: "Reward", class: "num", cell: (one) => `${mean(one.reward.from)} → ${mean(one.reward.to)}` },
      { title: "Rewarded differently", class: "titled whole", cell: (one) => bar(one.within, most, shown) },
      { title: "More or fewer", class: "titled whole", cell: (one) => bar(one.mix, most, shown) },
      { title: "Responses after", class: "titled whole", cell: (one) => examples(run, one.examples) },
    ],
  });
  const note = `rewarded differently ${shown(split.within, true)}, more or fewer ${shown(split.mix, true)}`;
  return panel(TITLES[split.by] ?? split.by, note, element);
}
