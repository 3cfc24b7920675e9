// The page: picks the view for the address, draws the head, and tells the view when the server announces new data.

import { follow } from "../api/announcements.js";
import { isAbort } from "../api/client.js";
import { setPageKeys, setViewKeys, showHelp } from "../components/keys.js";
import { notify } from "../components/notices.js";
import { empty, failed, loading } from "../components/states.js";
import { byId, h, replace } from "../core/dom.js";
import { parse } from "../core/router.js";
import { goKeys, viewOf } from "./views.js";
import { drawHead } from "./head.js";

/** @typedef {import("../views/types.js").View} View */

const SLOW_MS = 150;

const main = byId("main");
main.dataset.started = "";
/** @type {{ controller: AbortController, view: View | null }} */
let shown = { controller: new AbortController(), view: null };
let stop = () => {};
/** @type {string | null | undefined} the run whose news are awaited; null: the list of runs */
let following;

/**
 * Await new data of a run, or of the list of runs. The view decides what to do with them.
 * @param {string | null} run
 */
function listen(run) {
  if (following === run) return;
  stop();
  following = run;
  stop = follow(
    run,
    (news) => shown.view?.news?.(news),
    (up) =>
      up
        ? notify("The server answers again", null, 4, "link")
        : notify("The server does not answer. What is shown stays; new data will not appear.", null, 3600, "link"),
  );
}

/** Draw the view that the address names. */
async function render() {
  const { parts, query } = parse();
  shown.controller.abort();
  /** @type {typeof shown} */
  const mine = { controller: new AbortController(), view: null };
  shown = mine;
  setViewKeys([]);
  main.setAttribute("aria-busy", "true");
  const run = parts[0] === "runs" ? (parts[1] ?? null) : null;
  const { tab, load } = viewOf(run, parts);
  const flipTheme = drawHead(run, tab);
  setPageKeys([["?", "this help", showHelp], ["t", "light or dark", flipTheme], ...goKeys(run)]);
  listen(run);
  const slow = setTimeout(() => replace(main, loading()), SLOW_MS);
  try {
    const module = load && (await load());
    const context = { run: run ?? "", parts: parts.slice(run ? 3 : 0), query, signal: mine.controller.signal };
    const view = module ? await module.default(context) : notFound();
    if (shown !== mine) return;
    show(view);
    mine.view = view;
  } catch (problem) {
    if (shown !== mine || isAbort(problem)) return;
    document.title = "Error";
    replace(main, failed(problem, render));
    if (!(problem instanceof Error && "status" in problem)) console.error(problem);
  } finally {
    clearTimeout(slow);
    if (shown === mine) main.setAttribute("aria-busy", "false");
  }
}

/** @returns {View} */
const notFound = () => ({
  title: "Not found",
  nodes: [
    h("h1", { class: "visually-hidden" }, "Not found"),
    empty("There is no such page", h("a", { href: "#/" }, "All runs")),
  ],
});

/** @param {View} view */
function show(view) {
  document.title = view.title;
  const focused = document.activeElement?.id;
  replace(main, view.nodes);
  // a filter keeps the focus although the list was drawn again
  if (focused && focused !== "main") document.getElementById(focused)?.focus({ preventScroll: true });
  setViewKeys(view.keys ?? []);
  view.shown?.();
}

let place = parse().parts.join("/");
addEventListener("hashchange", () => {
  const before = place;
  place = parse().parts.join("/");
  render();
  if (before === place) return;
  scrollTo(0, 0);
  main.focus({ preventScroll: true });
});
document.querySelector(".skip")?.addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
// A page without an address shows the list, even of a single run: going straight to the run would hide that there may be more.
if (!location.hash) history.replaceState(null, "", "#/");
render();
