// Filters of responses as the URL stores them: which query parameters filter, and how each one reads.

import { humanize } from "./format.js";

const RANGES = [
  "score",
  "tokens",
  "score_value",
  "advantage",
  "reward_seconds",
  "entropy",
  "clip_low",
  "clip_high",
  "gap",
  "repetition",
  "reward",
  "response_tokens",
];
const EQUAL = [
  "domain",
  "data_source",
  "rewarder",
  "reason",
  "outcome",
  "finish_reason",
  "generation_status",
  "drop_reason",
  "status",
  "correct",
  "truncated",
  "label",
];
/** Filters that are on or absent, or choose among abandoned steps: alerts and notices link to them. */
const SPECIAL = ["superseded", "not_finite", "failed", "zero_spread"];
const KEYS = [
  "kind",
  "step",
  ...EQUAL,
  ...SPECIAL,
  "prompt_id",
  "uid",
  "word",
  "regex",
  ...RANGES.flatMap((name) => [`${name}_min`, `${name}_max`]),
];

/**
 * What selects the rows with a value: a hyphen stands for the empty one, so that the hyphen itself is escaped.
 * @param {string} value
 */
export const filterValue = (value) => (value === "" ? "-" : value === "-" ? "\\-" : value);

/**
 * The part of a query that filters and, with `order`, sorts and pages.
 * @param {URLSearchParams} query
 * @param {boolean} [order]
 */
export function filtersOf(query, order = true) {
  const kept = new URLSearchParams();
  for (const [key, value] of query)
    if (KEYS.includes(key) || (order && ["sort", "page"].includes(key))) kept.append(key, value);
  return kept;
}

/**
 * The change of a query that removes every filter.
 * @param {URLSearchParams} query
 * @returns {Record<string, null>}
 */
export const noFilters = (query) => Object.fromEntries([...filtersOf(query, false).keys()].map((key) => [key, null]));

/**
 * Each filter of a query: how it reads, and the change of the query that removes it.
 * @param {URLSearchParams} query
 * @returns {[string, Record<string, null | string[]>][]}
 */
export function chips(query) {
  /** @type {[string, Record<string, null | string[]>][]} */
  const out = [];
  for (const key of KEYS) {
    const values = query.getAll(key);
    if (!values.length || (key === "kind" && values[0] === "train")) continue;
    if (key.endsWith("_max") && query.has(key.replace("_max", "_min"))) continue;
    if (key.endsWith("_min")) {
      const other = key.replace("_min", "_max");
      const name = humanize(key.slice(0, -4));
      out.push([
        query.has(other) ? `${name} ${values[0]} to ${query.get(other)}` : `${name} ≥ ${values[0]}`,
        { [key]: null, [other]: null },
      ]);
    } else if (key.endsWith("_max")) out.push([`${humanize(key.slice(0, -4))} ≤ ${values[0]}`, { [key]: null }]);
    else
      for (const value of values)
        out.push([
          `${humanize(key)}: ${value === "-" ? "none" : value === "\\-" ? "-" : EQUAL.includes(key) ? humanize(value) : value}`,
          { [key]: values.filter((v) => v !== value) },
        ]);
  }
  return out;
}
