// The three states every view shares besides its content: loading, empty, failed.

import { h, replace } from "../core/dom.js";

export const loading = (what = "Loading") => h("p", { class: "state loading", role: "status" }, what);

export function empty(title, ...advice) {
  return h("div", { class: "state" }, h("h2", null, title), advice.length ? h("p", null, advice) : null);
}

export function failed(problem, retry) {
  return h(
    "div",
    { class: "state error", role: "alert" },
    h("h2", null, problem.title ?? "This could not be shown"),
    h("p", null, problem.message ?? String(problem)),
    problem.detail && h("p", { class: "detail" }, problem.detail),
    retry && h("button", { onclick: retry }, "Try again"),
  );
}

/** Fills `slot` from a promise, with a loading state first (none if `what` is null) and an error state if it fails. */
export async function fill(slot, work, build, what) {
  const wait = what === null ? 0 : setTimeout(() => replace(slot, loading(what)), slot.childNodes.length ? 250 : 0);
  try {
    const value = await work();
    clearTimeout(wait);
    replace(slot, await build(value));
  } catch (problem) {
    clearTimeout(wait);
    if (problem.name === "AbortError") return;
    replace(
      slot,
      failed(problem, () => fill(slot, work, build, what)),
    );
    if (!problem.status) throw problem;
  }
}

/** `action`, at most once in `seconds`: news of a busy run come by the dozen. The last one is never lost. */
export function atMost(seconds, action) {
  let last = 0;
  let timer = 0;
  const now = () => {
    [last, timer] = [performance.now(), 0];
    return action();
  };
  return () => {
    const rest = last + 1000 * seconds - performance.now();
    if (rest <= 0) return now();
    timer ||= setTimeout(now, rest);
    return null;
  };
}

/** A short message at the corner of the page; `action` is [label, function]. A message with the `topic` of another takes its place. */
export function notify(text, action = null, seconds = 8, topic = "") {
  const box = document.getElementById("notices");
  if (topic) [...box.children].find((one) => one.dataset.topic === topic)?.remove();
  const note = h(
    "div",
    { dataset: { topic } },
    h("span", { class: "grow" }, text),
    action && h("button", { onclick: () => (note.remove(), action[1]()) }, action[0]),
  );
  box.append(note);
  while (box.childElementCount > 3) box.firstChild.remove();
  setTimeout(() => note.remove(), seconds * 1000);
}
