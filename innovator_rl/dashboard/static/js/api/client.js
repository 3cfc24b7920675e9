// The server's routes (docs/dashboard-api.md) as functions. Errors arrive as ApiError with a sentence to show;
// "being rebuilt" and "try again" answers are waited for, within bounds.

const PATIENCE = 20;

export class ApiError extends Error {
  constructor(status, message, detail) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.title = {
      0: "The server does not answer",
      401: "A token is needed",
      404: "Not found",
      409: "The record is being indexed",
      413: "Too much at once",
    }[status];
    this.detail =
      detail === null || detail === undefined
        ? null
        : typeof detail === "string"
          ? detail
          : JSON.stringify(detail, null, 1);
  }
}

export function address(path, query = {}) {
  const entries =
    query instanceof URLSearchParams
      ? [...query]
      : Object.entries(query).flatMap(([k, v]) => (Array.isArray(v) ? v.map((one) => [k, one]) : [[k, v]]));
  const text = new URLSearchParams(entries.filter(([, v]) => v !== null && v !== undefined && v !== "")).toString();
  return `/api/${path}${text ? `?${text}` : ""}`;
}

const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

let asking = 0;

/** How many answers are awaited stands at the root, where the style sheet draws the line below the head from it. */
async function ask(url, options) {
  document.documentElement.dataset.asking = String((asking += 1));
  try {
    return await answered(url, options);
  } finally {
    document.documentElement.dataset.asking = String((asking -= 1));
  }
}

async function answered(url, options = {}) {
  for (let attempt = 1; ; attempt += 1) {
    let answer;
    try {
      answer = await fetch(url, { credentials: "same-origin", ...options });
    } catch (problem) {
      if (problem.name === "AbortError") throw problem;
      throw new ApiError(0, "Is `innovator dashboard` still running? The page keeps what it has shown so far.");
    }
    if (answer.ok) return answer.json();
    const body = await answer.json().catch(() => ({}));
    if (![409, 503].includes(answer.status) || attempt > PATIENCE)
      throw new ApiError(answer.status, body.error ?? `the server answered ${answer.status}`, body.detail);
    await pause(Math.min(3, Number(answer.headers.get("retry-after")) || 0.5));
  }
}

const get = (path, query, signal) => ask(address(path, query), { signal });
const post = (path, body) =>
  ask(`/api/${path}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
const of = (name, route = "") => `runs/${encodeURIComponent(name)}${route && `/${route}`}`;

export const runs = (signal) => get("runs", {}, signal);
export const run = (name, signal) => get(of(name), {}, signal);
export const compare = (names, signal) => get("compare", { run: names }, signal);
export const curves = (name, query, signal) => get(of(name, "curves"), query, signal);
export const rollouts = (name, query, signal) => get(of(name, "rollouts"), query, signal);
export const groups = (name, query, signal) => get(of(name, "groups"), query, signal);
export const group = (name, query, signal) => get(of(name, "group"), query, signal);
export const response = (name, query, signal) => get(of(name, "response"), query, signal);
export const tokens = (name, query, signal) => get(of(name, "tokens"), query, signal);
export const change = (query, signal) => get("change", query, signal);
export const health = (name, signal) => get(of(name, "health"), {}, signal);
export const rescore = (name, rows, rewarder) => post(of(name, "rescore"), { rows, rewarder });
export const rewarders = (signal) => get("rewarders", {}, signal);
export const labels = (name, signal) => get(of(name, "labels"), {}, signal);
export const label = (name, body) => post(of(name, "labels"), body);
export const tables = (name, signal) => get(of(name, "sql"), {}, signal);
export const sql = (name, text) => post(of(name, "sql"), { sql: text });
export const exportAddress = (name, query) => address(of(name, "export"), query);
export const staticAddress = (name, query) => address(of(name, "static"), query);

/** Figures of a molecule pair; `url` is what the response names. Only this server is asked. */
export function figures(url, signal) {
  const here = new URL(url, location.origin);
  if (here.origin !== location.origin) throw new ApiError(0, "figures are read from this server only");
  return ask(here.pathname + here.search, { signal });
}

/**
 * Calls `heard(what)` when the server announces new data of `name` (null: of the list of runs) and `link(up)` when the
 * connection breaks or is back; returns how to stop.
 */
export function follow(name, heard, link) {
  const source = new EventSource(address("events", { run: name }));
  let waiting = new Set();
  let timer = 0;
  const gather = (event) => {
    let data = {};
    try {
      data = JSON.parse(event.data);
    } catch {
      /* an announcement without content still announces */
    }
    for (const one of data.what ?? ["runs"]) waiting.add(one);
    timer ||= setTimeout(() => {
      const news = waiting;
      [waiting, timer] = [new Set(), 0];
      heard(news);
    }, 400);
  };
  let up = true;
  source.onerror = () => up && link((up = false));
  source.onopen = () => up || link((up = true));
  source.addEventListener("run", gather);
  source.addEventListener("runs", gather);
  const close = () => (clearTimeout(timer), source.close());
  addEventListener("pagehide", close, { once: true });
  return close;
}
