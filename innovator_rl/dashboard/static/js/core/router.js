// Addresses. The whole state of a view is in the hash, as in `#/runs/NAME/rollouts?domain=physics&sort=-reward`, so every
// address can be copied, bookmarked and gone back to.

import { withCurrentNames } from "./aliases.js";

/** @typedef {string | number | boolean | null | undefined} QueryValue */

/**
 * Query parameters. An empty value is left out; a list repeats its key.
 * @typedef {URLSearchParams | Record<string, QueryValue | QueryValue[]>} Query
 */

/**
 * Turn query parameters into pairs, without the empty ones.
 * @param {Query} query
 * @returns {URLSearchParams}
 */
export function search(query) {
  const entries =
    query instanceof URLSearchParams
      ? [...query]
      : Object.entries(query).flatMap(([key, value]) => [value].flat().map((one) => [key, one]));
  return new URLSearchParams(
    entries.filter(([, v]) => v !== null && v !== undefined && v !== "").map(([k, v]) => [String(k), String(v)]),
  );
}

/** Read the path and the query of a hash such as `#/runs/a/rollouts?step=3`. */
export function parse(hash = location.hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  return { parts: path.split("/").filter(Boolean).map(decode), query: withCurrentNames(new URLSearchParams(query)) };
}

/** @param {string} part */
function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/**
 * Make the address of a view, as in `link(["runs", "a", "rollouts"], {step: 3})`.
 * @param {(string | number)[]} parts
 * @param {Query} query
 */
export function link(parts, query = {}) {
  const text = search(query).toString();
  return `#/${parts.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

/**
 * Go to an address of this page.
 * @param {string} address
 */
export function go(address) {
  if (address !== location.hash) location.hash = address;
}

/**
 * Make the current address with changes to its query. Any change but that of the page leads back to the first page.
 * @param {Record<string, QueryValue | QueryValue[]>} changes
 */
export function withQuery(changes) {
  const { parts, query } = parse();
  const next = new URLSearchParams(query);
  if (!("page" in changes)) next.delete("page");
  for (const key of Object.keys(changes)) next.delete(key);
  for (const [key, value] of search(changes)) next.append(key, value);
  return link(parts, next);
}
