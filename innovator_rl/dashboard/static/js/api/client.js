// The server's routes (docs/dashboard-api.md) as functions. An error arrives as ApiError with a sentence to show. Where
// the server answers that the index is being built or that the page should ask again, the client waits, within bounds.

import { search } from "../core/router.js";

/** @typedef {import("../core/router.js").Query} Query */
/** @typedef {import("./types.js").RunList} RunList */
/** @typedef {import("./types.js").RunInfo} RunInfo */
/** @typedef {import("./types.js").ResponseKey} ResponseKey */

const MOST_ATTEMPTS = 20;

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
 * @param {string} path
 * @param {Query} [query]
 */
export function address(path, query = {}) {
  const text = search(query).toString();
  return `/api/${path}${text ? `?${text}` : ""}`;
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
  try {
    return await fetch(url, { credentials: "same-origin", ...options });
  } catch (problem) {
    if (isAbort(problem)) throw problem;
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
  ask(`/api/${path}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

/**
 * @param {string} name
 * @param {string} [route]
 */
const of = (name, route = "") => `runs/${encodeURIComponent(name)}${route && `/${route}`}`;

/**
 * @template Answer
 * @typedef {(name: string, query: Query, signal?: AbortSignal) => Promise<Answer>} RunRoute
 */

/** @type {(signal?: AbortSignal) => Promise<RunList>} */
export const runs = (signal) => get("runs", {}, signal);

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

/** @type {(name: string, signal?: AbortSignal) => Promise<import("./types.js").Health>} */
export const health = (name, signal) => get(of(name, "health"), {}, signal);

/** @type {(name: string, rows: ResponseKey[], rewarder: string | null) => Promise<import("./types.js").Rescored>} */
export const rescore = (name, rows, rewarder) => post(of(name, "rescore"), { rows, rewarder });

/** @type {(signal?: AbortSignal) => Promise<{ rows: string[] }>} */
export const rewarders = (signal) => get("rewarders", {}, signal);

/** @type {(name: string, signal?: AbortSignal) => Promise<import("./types.js").LabelList>} */
export const labels = (name, signal) => get(of(name, "labels"), {}, signal);

/**
 * @typedef {ResponseKey & { label: string, note: string, remove: boolean }} LabelChange
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
  const here = new URL(url, location.origin);
  if (here.origin !== location.origin) throw new ApiError(0, "figures are read from this server only");
  return ask(here.pathname + here.search, { signal });
}

/**
 * Listen to the server's announcements.
 *
 * Calls `heard` with what is new of run `name` (null: of the list of runs) and `connected` when the connection breaks or
 * is back. Returns a function that stops listening.
 * @param {string | null} name
 * @param {(what: Set<string>) => void} heard
 * @param {(up: boolean) => void} connected
 */
export function follow(name, heard, connected) {
  const source = new EventSource(address("events", { run: name }));
  /** @type {Set<string>} */
  let waiting = new Set();
  let timer = 0;
  const gather = (/** @type {MessageEvent<string>} */ event) => {
    /** @type {{ what?: string[] }} */
    let data = {};
    try {
      data = JSON.parse(event.data);
    } catch {
      /* an announcement without content still announces */
    }
    for (const one of data.what ?? ["runs"]) waiting.add(one);
    timer ||= window.setTimeout(() => {
      const news = waiting;
      [waiting, timer] = [new Set(), 0];
      heard(news);
    }, 400);
  };
  let up = true;
  source.onerror = () => up && connected((up = false));
  source.onopen = () => up || connected((up = true));
  source.addEventListener("run", gather);
  source.addEventListener("runs", gather);
  const close = () => {
    clearTimeout(timer);
    source.close();
  };
  addEventListener("pagehide", close, { once: true });
  return close;
}
