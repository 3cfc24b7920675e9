// A selection of responses as it stands in the address: its keys, its words, and the list a reader walks through.

import { rollouts } from "../../api/client.js";
import { words } from "../../core/format.js";
import { link } from "../../core/router.js";

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
];
export const EQUAL = [
  "domain",
  "data_source",
  "rewarder",
  "reason",
  "outcome",
  "finish_reason",
  "status",
  "drop_reason",
  "fate",
  "correct",
  "truncated",
  "label",
];
export const KEYS = [
  "kind",
  "step",
  ...EQUAL,
  "prompt_id",
  "uid",
  "word",
  "regex",
  ...RANGES.flatMap((name) => [`${name}_min`, `${name}_max`]),
];

/** The part of `query` that selects (and, with `order`, sorts and pages). */
export function selection(query, order = true) {
  const kept = new URLSearchParams();
  for (const [key, value] of query)
    if (KEYS.includes(key) || (order && ["sort", "page"].includes(key))) kept.append(key, value);
  return kept;
}

/** What is filtered, as [label, the query's changes that would remove it]. */
export function chips(query) {
  const out = [];
  for (const key of KEYS) {
    const values = query.getAll(key);
    if (!values.length || (key === "kind" && values[0] === "train")) continue;
    if (key.endsWith("_max") && query.has(key.replace("_max", "_min"))) continue;
    if (key.endsWith("_min")) {
      const other = key.replace("_min", "_max");
      const name = words(key.slice(0, -4));
      out.push([
        query.has(other) ? `${name} ${values[0]} to ${query.get(other)}` : `${name} ≥ ${values[0]}`,
        { [key]: null, [other]: null },
      ]);
    } else if (key.endsWith("_max")) out.push([`${words(key.slice(0, -4))} ≤ ${values[0]}`, { [key]: null }]);
    else
      for (const value of values)
        out.push([
          `${words(key)}: ${value === "-" ? "none" : EQUAL.includes(key) ? words(value) : value}`,
          { [key]: values.filter((v) => v !== value) },
        ]);
  }
  return out;
}

export const responseLink = (run, row, query = {}) =>
  link(
    ["runs", run, "response", row.step, row.uid, row.sample],
    new URLSearchParams([
      ...new URLSearchParams(row.kind === "validation" ? { kind: "validation" } : {}),
      ...entries(query, "kind"),
    ]),
  );
export const groupLink = (run, row, query = {}) =>
  link(
    ["runs", run, "group", row.step, row.uid],
    new URLSearchParams([
      ...new URLSearchParams(row.kind === "validation" ? { kind: "validation" } : {}),
      ...entries(query, "kind"),
    ]),
  );

function entries(query, without) {
  const all = query instanceof URLSearchParams ? [...query] : Object.entries(query);
  return all.filter(([key]) => key !== without);
}

const cache = { at: "", value: null };

/** One page of the selection, remembered so that stepping through it costs nothing. */
export async function page(run, query, signal) {
  const at = `${run}?${query}`;
  if (cache.at !== at)
    Object.assign(cache, {
      value: await rollouts(run, new URLSearchParams([...query, ["histogram", "none"]]), signal),
      at,
    });
  return cache.value;
}

export function remember(run, query, value) {
  Object.assign(cache, { at: `${run}?${query}`, value });
}

/** The address of the response `by` rows away from this one in its selection, or null at either end. */
export async function neighbour(run, row, query, by, signal) {
  const listed = await page(run, query, signal);
  const at = listed.rows.findIndex((r) => r.step === row.step && r.uid === row.uid && r.sample === row.sample);
  if (at < 0) return null;
  let next = listed.rows[at + by];
  const turned = new URLSearchParams(query);
  if (!next) {
    const number = listed.page + by;
    if (number < 1 || number > listed.pages) return null;
    turned.set("page", number);
    const { rows } = await page(run, turned, signal);
    next = by > 0 ? rows[0] : rows.at(-1);
  }
  return next ? responseLink(run, next, turned) : null;
}
