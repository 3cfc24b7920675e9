// Addresses of one response and of one group, from a row that names it.

import { link, search } from "./router.js";

/** @typedef {import("../api/types.js").GroupKey} GroupKey */
/** @typedef {import("../api/types.js").ResponseKey} ResponseKey */
/** @typedef {import("./router.js").Query} Query */

/**
 * Training is the default and does not stand in the address.
 * @param {GroupKey} row
 * @param {Query} query
 */
function withKind(row, query) {
  const rest = [...search(query)].filter(([key]) => key !== "kind");
  return new URLSearchParams(row.kind === "validation" ? [["kind", "validation"], ...rest] : rest);
}

/**
 * @param {string} run
 * @param {ResponseKey} row
 * @param {Query} query
 */
export const responseLink = (run, row, query = {}) =>
  link(["runs", run, "response", row.step, row.uid, row.sample_index], withKind(row, query));

/**
 * @param {string} run
 * @param {GroupKey} row
 * @param {Query} query
 */
export const groupLink = (run, row, query = {}) =>
  link(["runs", run, "group", row.step, row.uid], withKind(row, query));
