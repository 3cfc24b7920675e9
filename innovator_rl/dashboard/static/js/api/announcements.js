// What the server announces, over one connection for all tabs of a browser.
//
// A browser opens at most six connections to a server, so that six tabs with a stream each would leave none for answers.
// One tab, which holds a lock, reads the stream and passes every announcement on; when it closes, another takes over.
// Where the browser offers no locks (a page without HTTPS from another machine), a tab reads only while it is visible.

import { address } from "./address.js";

/** @typedef {{ event: string, run?: string, what?: string[], up?: boolean }} Message */

const NAME = "innovator-announcements";
const EVENTS = ["run", "runs"];

/** @type {Set<(message: Message) => void>} */
const listeners = new Set();
let started = false;

/** @param {Message} message */
const tell = (message) => listeners.forEach((listener) => listener(message));

/**
 * Read the stream and hand on what it says. Returns a function that ends the connection.
 * @param {(message: Message) => void} pass
 */
function read(pass) {
  const source = new EventSource(address("events"));
  let up = true;
  source.onerror = () => up && pass({ event: "connection", up: (up = false) });
  source.onopen = () => up || pass({ event: "connection", up: (up = true) });
  for (const event of EVENTS)
    source.addEventListener(event, (/** @type {MessageEvent<string>} */ { data }) => {
      try {
        pass({ event, ...JSON.parse(data) });
      } catch {
        pass({ event }); // an announcement without content still announces
      }
    });
  return () => source.close();
}

/** Take part in the sharing between tabs: follow the tab that reads, or be it. */
function share() {
  const channel = new BroadcastChannel(NAME);
  channel.onmessage = ({ data }) => tell(data);
  const lead = () =>
    navigator.locks.request(
      NAME,
      () =>
        new Promise((/** @type {(value?: unknown) => void} */ release) => {
          const close = read((message) => {
            channel.postMessage(message);
            tell(message);
          });
          addEventListener("pagehide", () => (close(), release()), { once: true });
        }),
    );
  lead();
  addEventListener("pageshow", (event) => event.persisted && lead());
}

/** Read alone, and only while the tab is visible. */
function alone() {
  /** @type {(() => void) | null} */
  let close = null;
  const adapt = () => {
    if (document.hidden) close = (close?.(), null);
    else close ??= read(tell);
  };
  document.addEventListener("visibilitychange", adapt);
  addEventListener("pagehide", () => (close = (close?.(), null)));
  addEventListener("pageshow", adapt);
  adapt();
}

/**
 * Listen to the server's announcements.
 *
 * Calls `heard` with what is new of run `name` (null: of any run, and of the list) and `connected` when the connection
 * breaks or is back. Returns a function that stops listening.
 * @param {string | null} name
 * @param {(what: Set<string>) => void} heard
 * @param {(up: boolean) => void} connected
 */
export function follow(name, heard, connected) {
  if (!started) {
    started = true;
    if (navigator.locks && "BroadcastChannel" in window) share();
    else alone();
  }
  /** @type {Set<string>} */
  let waiting = new Set();
  let timer = 0;
  const listener = (/** @type {Message} */ message) => {
    if (message.event === "connection") return connected(message.up ?? false);
    if (name !== null && message.run !== name) return;
    for (const one of message.what ?? ["runs"]) waiting.add(one);
    timer ||= window.setTimeout(() => {
      const news = waiting;
      [waiting, timer] = [new Set(), 0];
      heard(news);
    }, 400);
  };
  listeners.add(listener);
  return () => {
    clearTimeout(timer);
    listeners.delete(listener);
  };
}
