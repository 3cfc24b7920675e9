// The states that every view has besides its content: loading, empty, failed.

import { h, replace } from "../core/dom.js";

/** @typedef {import("../core/dom.js").Child} Child */

/**
 * What can be shown of a failure. `status` is set where the server answered, or did not answer, as it should.
 * @typedef {{ message?: string, title?: string, detail?: string | null, status?: number, name?: string }} Problem
 */

export const loading = (what = "Loading") => h("p", { class: "state loading", role: "status" }, what);

/**
 * Nothing to show: a title and what to do about it.
 * @param {string} title
 * @param {import("../core/dom.js").Leaf[]} advice
 */
export function empty(title, ...advice) {
  return h("div", { class: "state" }, h("h2", null, title), advice.length ? h("p", null, advice) : null);
}

/**
 * A failure, with a button to try again.
 * @param {unknown} problem
 * @param {() => unknown} [retry]
 */
export function failed(problem, retry) {
  const { title, message, detail } = /** @type {Problem} */ (problem);
  return h(
    "div",
    { class: "state error", role: "alert" },
    h("h2", null, title ?? "This could not be shown"),
    h("p", null, message ?? String(problem)),
    detail && h("p", { class: "detail" }, detail),
    retry && h("button", { onclick: retry }, "Try again"),
  );
}

/**
 * Fill a slot from a promise: a loading state first (none where `what` is null), an error state where the promise fails.
 * @template T
 * @param {Element} slot
 * @param {() => Promise<T>} work
 * @param {(value: T) => Child | Promise<Child>} build
 * @param {string | null} [what]
 * @returns {Promise<void>}
 */
export async function fill(slot, work, build, what) {
  const show = () => replace(slot, loading(what ?? undefined));
  const wait = what === null ? 0 : setTimeout(show, slot.childNodes.length ? 250 : 0);
  try {
    const value = await work();
    clearTimeout(wait);
    replace(slot, await build(value));
  } catch (problem) {
    clearTimeout(wait);
    const { name, status } = /** @type {Problem} */ (problem);
    if (name === "AbortError") return;
    replace(
      slot,
      failed(problem, () => fill(slot, work, build, what)),
    );
    if (status === undefined) throw problem;
  }
}

/**
 * Limit an action to once in `seconds`, because news of a busy run come by the dozen. The last call is never lost.
 * @param {number} seconds
 * @param {() => unknown} action
 * @returns {() => void}
 */
export function atMost(seconds, action) {
  let last = 0;
  let timer = 0;
  const now = () => {
    [last, timer] = [performance.now(), 0];
    action();
  };
  return () => {
    const rest = last + 1000 * seconds - performance.now();
    if (rest <= 0) now();
    else timer ||= window.setTimeout(now, rest);
  };
}
