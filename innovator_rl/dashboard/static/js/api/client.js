// The server's routes (docs/dashboard-api.md) as functions. An error arrives as ApiError with a sentence to show. Where
// the server answers that the index is being built or that the page should ask again, the client waits, within bounds.

import { address, here } from "./address.js";

/** @typedef {import("../core/router.js").Query} Query */
/** @typedef {import("./types.js").RunList} RunList */
/** @typedef {import("./types.js").RunInfo} RunInfo */
/** @typedef {import("./types.js").ResponseKey} ResponseKey */

const MOST_ATTEMPTS = 20;
const LONGEST_SECONDS = 30;
const LONGEST_WORK_SECONDS = 300;

/** @type {Record<number, string>} */
const TITLES = {
  0: "The server does not answer",
  401: "A token is needed",
  404: "Not found",
  409: "The record is being indexed",
  413: "Too much at once",
};

export class ApiError extends Error {
  /**
   * @param {number} status the HTTP status, or 0 where there was no answer
   * @param {string} message
   * @param {unknown} [detail]
   */
  constructor(status, message, detail) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.title = TITLES[status];
    this.detail =
      detail === null || detail === undefined
        ? null
        : typeof detail === "string"
          ? detail
          : JSON.stringify(detail, null, 1);
  }
}

/**
 * @param {number} seconds
 * @returns {Promise<void>}
 */
const pause = (seconds) =>
  new Promise((done) => {
    setTimeout(done, seconds * 1000);
  });

let asking = 0;

/**
 * Ask the server. The root element holds the number of open requests, from which the style sheet draws the line below
 * the head of the page.
 * @param {string} url
 * @param {RequestInit} options
 */
async function ask(url, options) {
  document.documentElement.dataset.asking = String((asking += 1));
  try {
    return await answered(url, options);
  } finally {
    document.documentElement.dataset.asking = String((asking -= 1));
  }
}

/**
 * @param {string} url
 * @param {RequestInit} options
 */
async function answered(url, options) {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await reached(url, options);
    if (answer.ok) return answer.json();
    const body = await answer.json().catch(() => ({}));
    if (![409, 503].includes(answer.status) || attempt > MOST_ATTEMPTS)
      throw new ApiError(answer.status, body.error ?? `the server answered ${answer.status}`, body.detail);
    await pause(Math.min(3, Number(answer.headers.get("retry-after")) || 0.5));
  }
}

/**
 * @param {string} url
 * @param {RequestInit} options
 */
async function reached(url, options) {
  const late = AbortSignal.timeout(1000 * (options.method === "POST" ? LONGEST_WORK_SECONDS : LONGEST_SECONDS));
  const signal = options.signal ? AbortSignal.any([options.signal, late]) : late;
  try {
    return await fetch(url, { credentials: "same-origin", ...options, signal });
  } catch (problem) {
    if (isAbort(problem)) throw problem;
    if (late.aborted)
      throw new ApiError(
        0,
        `No answer within ${LONGEST_SECONDS} seconds. The server may be busy, or too many pages of this server may be open.`,
      );
    throw new ApiError(0, "Is `innovator dashboard` still running? The page keeps what it has shown so far.");
  }
}

/**
 * Whether a request ended because its view was left.
 * @param {unknown} problem
 */
export const isAbort = (problem) => problem instanceof Error && problem.name === "AbortError";

/**
 * @param {string} path
 * @param {Query} query
 * @param {AbortSignal} [signal]
 */
const get = (path, query, signal) => ask(address(path, query), { signal });

/**
 * @param {string} path
 * @param {object} body
 */
const post = (path, body) =>
  ask(address(path), { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

/**
 * @param {string} name
 * @param {string} [route]
 */
const of = (name, route = "") => `runs/${encodeURIComponent(name)}${route && `/${route}`}`;

/**
 * @template Answer
 * @typedef {(name: string, query: Query, signal?: AbortSignal) => Promise<Answer>} RunRoute
 */

/** @type {(signal?: AbortSignal, query?: Query) => Promise<RunList>} */
export const runs = (signal, query = {}) => get("runs", query, signal);

/** @type {(name: string, body: { tags: string[], archived: boolean }) => Promise<unknown>} */
export const tag = (name, body) => post(of(name, "tags"), body);

/** @type {(name: string, signal?: AbortSignal) => Promise<RunInfo>} */
export const run = (name, signal) => get(of(name), {}, signal);

/** @type {(names: string[], signal?: AbortSignal) => Promise<import("./types.js").Comparison>} */
export const compare = (names, signal) => get("compare", { run: names }, signal);

/** @type {RunRoute<import("./types.js").Curves>} */
export const curves = (name, query, signal) => get(of(name, "curves"), query, signal);

/** @type {RunRoute<import("./types.js").Page<import("./types.js").ResponseRow>>} */
export const rollouts = (name, query, signal) => get(of(name, "rollouts"), query, signal);

/** @type {RunRoute<import("./types.js").Page<import("./types.js").GroupRow>>} */
export const groups = (name, query, signal) => get(of(name, "groups"), query, signal);

/** @type {RunRoute<import("./types.js").Group>} */
export const group = (name, query, signal) => get(of(name, "group"), query, signal);

/** @type {RunRoute<import("./types.js").ResponseInfo>} */
export const response = (name, query, signal) => get(of(name, "response"), query, signal);

/** @type {RunRoute<import("./types.js").Tokens>} */
export const tokens = (name, query, signal) => get(of(name, "tokens"), query, signal);

/** @type {(query: Query, signal?: AbortSignal) => Promise<import("./types.js").Change>} */
export const change = (query, signal) => get("change", query, signal);

/** @type {RunRoute<import("./types.js").RewardChange>} */
export const why = (name, query, signal) => get(of(name, "why"), query, signal);

/** @type {(query: Query, signal?: AbortSignal) => Promise<import("./types.js").PromptHistory>} */
export const prompt = (query, signal) => get("prompt", query, signal);

/** @type {(name: string, signal?: AbortSignal) => Promise<import("./types.js").Health>} */
export const health = (name, signal) => get(of(name, "health"), {}, signal);

/** @type {(name: string, rows: ResponseKey[], rewarder: string | null) => Promise<import("./types.js").Rescored>} */
export const rescore = (name, rows, rewarder) => post(of(name, "rescore"), { rows, rewarder });

/** @type {(signal?: AbortSignal) => Promise<{ rows: string[] }>} */
export const rewarders = (signal) => get("rewarders", {}, signal);

/** @type {(name: string, signal?: AbortSignal) => Promise<import("./types.js").LabelList>} */
export const labels = (name, signal) => get(of(name, "labels"), {}, signal);

/**
 * @typedef {ResponseKey & { label: string, note: string, remove: boolean, author: string }} LabelChange
 * @type {(name: string, body: LabelChange) => Promise<import("./types.js").LabelList>}
 */
export const label = (name, body) => post(of(name, "labels"), body);

/** @type {(name: string, signal?: AbortSignal) => Promise<import("./types.js").SqlSchema>} */
export const tables = (name, signal) => get(of(name, "sql"), {}, signal);

/** @type {(name: string, text: string) => Promise<import("./types.js").SqlResult>} */
export const sql = (name, text) => post(of(name, "sql"), { sql: text });

/** @type {(name: string, query: Query) => string} */
export const exportAddress = (name, query) => address(of(name, "export"), query);

/** @type {(name: string, query: Query) => string} */
export const staticAddress = (name, query) => address(of(name, "static"), query);

/**
 * Figures of a pair of molecules. A response names the address; only this server is asked.
 * @param {string} url
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./types.js").MoleculeFigures>}
 */
export async function moleculeFigures(url, signal) {
  const named = here(url);
  if (named.origin !== location.origin) throw new ApiError(0, "figures are read from this server only");
  return ask(named.pathname + named.search, { signal });
}
