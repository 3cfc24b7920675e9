// Stepping through a filtered list from one response to the next, across its pages.

import { rollouts } from "../../api/client.js";
import { responseLink } from "../../core/links.js";

/** @typedef {import("../../api/types.js").ResponseRow} ResponseRow */
/** @typedef {import("../../api/types.js").ResponseKey} ResponseKey */
/** @typedef {import("../../api/types.js").Page<ResponseRow>} ListPage */

/** The page that was read last, so that stepping through a list costs nothing. */
const cache = { at: "", value: /** @type {ListPage | null} */ (null) };

/**
 * One page of a filtered list.
 * @param {string} run
 * @param {URLSearchParams} query
 * @param {AbortSignal} [signal]
 */
async function page(run, query, signal) {
  if (cache.value && cache.at === `${run}?${query}`) return cache.value;
  const value = await rollouts(run, new URLSearchParams([...query, ["histogram", "none"]]), signal);
  remember(run, query, value);
  return value;
}

/**
 * Keep a page that a list has just read.
 * @param {string} run
 * @param {URLSearchParams} query
 * @param {ListPage} value
 */
export function remember(run, query, value) {
  Object.assign(cache, { at: `${run}?${query}`, value });
}

/**
 * The address of the response `by` rows away in the filtered list, or null at either end.
 * @param {string} run
 * @param {ResponseKey} row
 * @param {URLSearchParams} query
 * @param {number} by
 * @param {AbortSignal} [signal]
 */
export async function neighbor(run, row, query, by, signal) {
  const listed = await page(run, query, signal);
  const at = listed.rows.findIndex(
    (r) => r.step === row.step && r.uid === row.uid && r.sample_index === row.sample_index,
  );
  if (at < 0) return null;
  /** @type {ResponseRow | undefined} */
  let next = listed.rows[at + by];
  const turned = new URLSearchParams(query);
  if (!next) {
    const number = listed.page + by;
    if (number < 1 || number > listed.pages) return null;
    turned.set("page", String(number));
    const { rows } = await page(run, turned, signal);
    next = by > 0 ? rows[0] : rows.at(-1);
  }
  return next ? responseLink(run, next, turned) : null;
}
