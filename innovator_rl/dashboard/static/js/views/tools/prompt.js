// One prompt over time: all its samples by step, in training, validation and evaluation runs, and the difference between
// two of them. A click on a sample chooses it; the two chosen last are compared.

import * as api from "../../api/client.js";
import { gradeBadge, groupBadge } from "../../components/badges.js";
import { lineChart } from "../../components/charts/line.js";
import { fill } from "../../components/states.js";
import { table } from "../../components/table.js";
import { h, visible } from "../../core/dom.js";
import { num, percent, withoutEnd } from "../../core/format.js";
import { groupLink, responseLink } from "../../core/links.js";
import { go, withQuery } from "../../core/router.js";
import { difference } from "../../text/diff.js";

/** @typedef {import("../../api/types.js").PromptHistory} PromptHistory */
/** @typedef {import("../../api/types.js").PromptGroup} PromptGroup */

/** One sample of the prompt in the address: run, kind, step, uid and index, each encoded. */
const SEPARATOR = "~";
const DIFF_CHARS = 60_000;

/**
 * @param {import("../types.js").Context} context
 * @returns {Promise<import("../types.js").View>}
 */
export default async function view({ run, query, signal }) {
  const id = query.get("prompt_id") ?? "";
  const runs = [...new Set([run, ...query.getAll("with")])];
  const [data, others] = await Promise.all([api.prompt({ prompt_id: id, run: runs }, signal), api.runs(signal)]);
  const rows = data.runs.flatMap((one) => one.groups.map((group) => ({ run: one.run, group })));
  const chosen = chosenOf(query, rows);
  const body = h("div");
  return {
    title: `${run}: one prompt`,
    nodes: [
      h("div", { class: "page-head" }, h("h1", null, "One prompt over time"), addRun(runs, others.rows, query)),
      h(
        "div",
        { class: "stack" },
        h(
          "section",
          { class: "panel" },
          h(
            "header",
            null,
            h("h2", null, "Prompt"),
            data.answer && h("span", { class: "dim" }, `answer: ${data.answer}`),
          ),
          h("pre", { class: "raw body", tabindex: "0" }, visible((data.prompt ?? "").slice(0, 4000))),
        ),
        h("div", { class: "charts" }, chart(data)),
        samples(rows, chosen, runs.length > 1),
        body,
      ),
    ],
    shown: () => (chosen.length === 2 ? fill(body, () => texts(chosen, signal), comparison, "Comparing") : undefined),
  };
}

/**
 * @param {{ run: string, group: PromptGroup }[]} rows
 * @returns {string[]} the keys of the first and of the last sample
 */
function ends(rows) {
  const withSamples = rows.filter(({ group }) => group.responses.length);
  if (withSamples.length < 2) return [];
  return [withSamples[0], withSamples[withSamples.length - 1]].map(({ run, group }) =>
    keyOf(run, group, group.responses[0].sample_index),
  );
}

/**
 * @param {URLSearchParams} query
 * @param {{ run: string, group: PromptGroup }[]} rows
 */
function chosenOf(query, rows) {
  const given = query.getAll("sample");
  return given.length ? given.slice(-2) : ends(rows);
}

/**
 * @param {string} run
 * @param {PromptGroup} group
 * @param {number} sample
 */
const keyOf = (run, group, sample) =>
  [run, group.kind ?? "train", group.step, group.uid, sample].map(encoded).join(SEPARATOR);

/** @param {string | number} part */
const encoded = (part) => encodeURIComponent(part).replaceAll(SEPARATOR, "%7E"); // which is left as it is otherwise

/** @param {string} key */
function parsed(key) {
  const [run, kind, step, uid, sample] = key.split(SEPARATOR).map(decodeURIComponent);
  return { run, kind, step: Number(step), uid, sample_index: Number(sample) };
}

/**
 * A choice of further runs to read next to this one.
 * @param {string[]} runs
 * @param {import("../../api/types.js").RunRow[]} others
 * @param {URLSearchParams} query
 */
function addRun(runs, others, query) {
  const rest = others.filter((one) => !runs.includes(one.name));
  if (!rest.length) return null;
  return h(
    "select",
    {
      "aria-label": "Another run to read next to this one",
      onchange: (event) => event.target.value && go(withQuery({ with: [...query.getAll("with"), event.target.value] })),
    },
    h("option", { value: "" }, "add another run ..."),
    rest.map((one) => h("option", { value: one.name }, one.name)),
  );
}

/** @param {PromptHistory} data */
function chart(data) {
  /** @type {import("../../components/charts/axes.js").Series[]} */
  const series = [];
  for (const one of data.runs)
    for (const kind of ["train", "validation"]) {
      const groups = one.groups.filter((group) => group.kind === kind);
      if (groups.length)
        series.push({
          name: data.runs.length > 1 ? `${one.run}, ${kind}` : kind,
          color: series.length,
          points: groups.map((g) => ({ x: g.step, y: g.reward_mean, low: g.reward_min, high: g.reward_max })),
        });
    }
  return lineChart({ title: "Mean reward of this prompt", series });
}

/**
 * @param {{ run: string, group: PromptGroup }[]} rows
 * @param {string[]} chosen
 * @param {boolean} several whether there are several runs
 */
function samples(rows, chosen, several) {
  const { element } = table({
    caption: "Samples by step",
    cards: true,
    rows,
    columns: [
      ...(several ? [{ title: "Run", cell: (/** @type {{ run: string }} */ { run }) => run }] : []),
      {
        title: "Step",
        class: "num",
        cell: ({ run, group }) => h("a", { href: groupLink(run, group) }, num(group.step)),
      },
      { title: "Kind", cell: ({ group }) => (group.kind === "train" ? groupBadge(group) : group.kind) },
      { title: "Correct", class: "num", cell: ({ group }) => `${num(group.correct)} of ${num(group.samples)}` },
      { title: "Mean reward", class: "num", cell: ({ group }) => num(group.reward_mean) },
      {
        title: "Samples",
        class: "whole",
        cell: ({ run, group }) =>
          h(
            "span",
            { class: "line sample-chips" },
            group.responses.map((one) => {
              const key = keyOf(run, group, one.sample_index);
              return h(
                "button",
                {
                  class: "chip",
                  "aria-pressed": String(chosen.includes(key)),
                  title: `sample ${one.sample_index}, ${num(one.response_tokens)} tokens, ${one.extracted ?? ""}`,
                  onclick: () => go(withQuery({ sample: [...chosen.slice(-1), key] })),
                },
                `${num(one.reward, 2)}${one.correct === null ? "" : one.correct ? " ✓" : " ✗"}`,
              );
            }),
          ),
      },
    ],
  });
  return h("section", { class: "panel" }, h("header", null, h("h2", null, "Samples by step")), element);
}

/**
 * @param {string[]} keys
 * @param {AbortSignal} signal
 */
const texts = (keys, signal) =>
  Promise.all(
    keys.map(async (key) => {
      const { run, ...rest } = parsed(key);
      return { run, data: await api.response(run, { ...rest, limit: DIFF_CHARS }, signal) };
    }),
  );

/** @param {{ run: string, data: import("../../api/types.js").ResponseInfo }[]} sides */
function comparison([before, after]) {
  const found = difference(withoutEnd(before.data.response ?? ""), withoutEnd(after.data.response ?? ""));
  const side = (/** @type {typeof before} */ { run, data }, /** @type {string} */ key) =>
    h(
      "span",
      { class: "line" },
      h("span", { class: key }, `step ${data.row.step}`),
      gradeBadge(data.row),
      h("b", null, num(data.row.reward)),
      h("a", { href: responseLink(run, data.row) }, "open"),
    );
  return h(
    "section",
    { class: "panel" },
    h(
      "header",
      null,
      side(before, "del-key"),
      side(after, "ins-key"),
      h("span", { class: "dim" }, `${percent(found.shared)} in common`),
    ),
    h(
      "div",
      { class: "body" },
      h(
        "div",
        { class: "diff" },
        found.runs.map(([kind, text]) => (kind ? h(kind < 0 ? "del" : "ins", null, visible(text)) : visible(text))),
      ),
    ),
  );
}
