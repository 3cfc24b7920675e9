// The histogram above the list of responses. A click on a bin filters by its range.

import { histogram } from "../../components/charts/histogram.js";
import { h } from "../../core/dom.js";
import { humanize } from "../../core/format.js";
import { go, withQuery } from "../../core/router.js";

/** @typedef {import("../../components/charts/histogram.js").HistogramBin} HistogramBin */

const HISTOGRAMS = [
  "reward",
  "response_tokens",
  "advantage",
  "entropy",
  "reward_seconds",
  "score_value",
  "gap",
  "repetition",
];

/** @type {Record<string, string>} short names of filters */
const RANGE = { reward: "score", response_tokens: "tokens" };

/**
 * The histogram with a choice of its column.
 * @param {import("../../api/types.js").Histogram | null | undefined} data
 * @param {URLSearchParams} query
 */
export function bars(data, query) {
  const column = data?.column ?? "reward";
  const name = RANGE[column] ?? column;
  /** @type {[number, number] | null} */
  const range =
    query.has(`${name}_min`) && query.has(`${name}_max`)
      ? [Number(query.get(`${name}_min`)), Number(query.get(`${name}_max`))]
      : null;
  const picker = h(
    "select",
    {
      "aria-label": "Histogram of",
      onchange: (event) => go(withQuery({ histogram: event.target.value === "reward" ? null : event.target.value })),
    },
    HISTOGRAMS.map((one) => h("option", { value: one, selected: one === column }, humanize(one))),
  );
  const toggle = (/** @type {HistogramBin} */ bin, /** @type {boolean} */ already) =>
    go(withQuery({ [`${name}_min`]: already ? null : bin.low, [`${name}_max`]: already ? null : bin.high }));
  return h(
    "div",
    { class: "panel histogram" },
    picker,
    histogram({
      title: "",
      bins: forFingers((data?.bins ?? []).map((b) => ({ ...b, part: b.correct }))),
      selected: range,
      onpick: toggle,
      height: 72,
    }),
    h(
      "div",
      { class: "legend" },
      h("span", { class: "legend-item" }, h("i", { class: "key c0" }), "correct"),
      h("span", { class: "legend-item" }, h("i", { class: "key c8" }), "not correct"),
    ),
  );
}

/**
 * On a phone two bins become one, so that a finger can hit it.
 * @param {HistogramBin[]} bins
 */
function forFingers(bins) {
  if (!matchMedia("(max-width: 760px)").matches) return bins;
  /** @type {HistogramBin[]} */
  const out = [];
  for (let i = 0; i < bins.length; i += 2) {
    const [a, b = { ...a, low: a.high, count: 0, part: 0 }] = [bins[i], bins[i + 1]];
    out.push({ low: a.low, high: b.high, count: a.count + b.count, part: (a.part ?? 0) + (b.part ?? 0) });
  }
  return out;
}
