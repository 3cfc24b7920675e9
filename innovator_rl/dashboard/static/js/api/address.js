// The addresses of the server's routes, relative to the page, so that a proxy may put both behind a path.

import { search } from "../core/router.js";

/**
 * The URL of an address that the server names, such as `/api/molecules?...`.
 * @param {string} named
 */
export const here = (named) => new URL(named.replace(/^\/+/, ""), document.baseURI);

/**
 * The address of a route, relative to the page.
 * @param {string} path
 * @param {import("../core/router.js").Query} [query]
 */
export function address(path, query = {}) {
  const text = search(query).toString();
  return `api/${path}${text ? `?${text}` : ""}`;
}
