// The responses or the groups of a run. The URL stores the filters, the order and the page, so a view can be shared.

import * as api from "../../api/client.js";
import { segmented } from "../../components/navigation.js";
import { notify } from "../../components/notices.js";
import { fill } from "../../components/states.js";
import { h, replace, visible } from "../../core/dom.js";
import { chips, filtersOf, noFilters } from "../../core/filters.js";
import { num, plural } from "../../core/format.js";
import { responseLink } from "../../core/links.js";
import { go, link, withQuery } from "../../core/router.js";
import { filterRail } from "./filter-rail.js";
import { bars } from "./histogram.js";
import { groupList, NEWEST, pageKeys, responseList } from "./lists.js";
import { remember } from "./walk.js";

/** @typedef {import("../../api/types.js").RunInfo} RunInfo */
/** @typedef {import("../../components/keys.js").Key} Key */

/**
 * @template Row
 * @typedef {import("../../api/types.js").Page<Row>} Page
 */

const MOST_ROUNDS = 300;

/**
 * @param {import("../types.js").Context} context
 * @returns {Promise<import("../types.js").View>}
 */
export default async function view({ run, query, signal }) {
  const grouped = query.get("view") === "groups";
  const info = await api.run(run, signal);
  /** @type {Key[]} */
  const keys = [];
  let total = 0;
  const list = h("section", { class: "panel" });
  const counts = h("span", { class: "dim", role: "status" });
  const spread = h("div", { class: "histogram-slot" });
  const chosen = filtersOf(query);
  if (!chosen.has("sort")) chosen.set("sort", NEWEST);
  const asked = new URLSearchParams(chosen);
  if (!grouped) asked.set("histogram", query.get("histogram") ?? "reward");
  const shortcut = query.get("open");
  if (shortcut && !grouped) await openFirst(run, shortcut, asked, chosen, signal);
  const note = (/** @type {Page<unknown>} */ data) => {
    total = data.total;
    keys.splice(0, keys.length, ...pageKeys(data));
    replace(spread, !grouped && data.total > 0 && bars(data.histogram, query));
  };
  const drawGroups = () =>
    fill(
      list,
      () => search(() => api.groups(run, asked, signal), "group", counts),
      (data) => {
        note(data);
        return groupList(run, data, query, keys);
      },
      "Reading",
    );
  const drawResponses = () =>
    fill(
      list,
      () => search(() => api.rollouts(run, asked, signal), "response", counts),
      (data) => {
        note(data);
        remember(run, chosen, data);
        return responseList(run, data, query, chosen, keys);
      },
      "Reading",
    );
  const draw = grouped ? drawGroups : drawResponses;
  const active = chips(query);
  return {
    title: `${run}: rollouts`,
    nodes: [
      h(
        "div",
        { class: "page-head" },
        h("h1", null, "Rollouts"),
        segmented(
          "List",
          [
            ["responses", "Responses"],
            ["groups", "Groups"],
          ],
          grouped ? "groups" : "responses",
          (v) => go(withQuery({ view: v === "groups" ? v : null, sort: null })),
        ),
        counts,
        h("span", { class: "grow" }),
        !grouped && h("a", { class: "button", href: rescoreAddress(run, query) }, "Re-score these"),
        !grouped && exportMenu(run, query),
      ),
      h(
        "div",
        { class: "reader" },
        filterRail(info, query),
        h(
          "div",
          { class: "stack" },
          active.length > 0 &&
            h(
              "div",
              { class: "line chips", role: "group", "aria-label": "Active filters" },
              active.map(([text, changes]) =>
                h(
                  "button",
                  { class: "chip", onclick: () => go(withQuery(changes)), "aria-label": `remove filter ${text}` },
                  visible(text),
                  h("span", { "aria-hidden": "true" }, "×"),
                ),
              ),
              h(
                "button",
                {
                  class: "plain",
                  onclick: () => go(withQuery(noFilters(query))),
                },
                "Clear all",
              ),
            ),
          indexing(info.index),
          spread,
          list,
        ),
      ),
    ],
    keys,
    shown: () => {
      draw();
      if (query.get("focus") === "search") document.getElementById("search")?.focus();
    },
    news: async (what) => {
      if (!what.has("rollouts") || query.has("regex")) return;
      const one = new URLSearchParams([...chosen, ["size", "1"]]);
      if (!grouped) one.set("histogram", "none");
      const now = await (grouped ? api.groups(run, one, signal) : api.rollouts(run, one, signal)).catch(() => null);
      // the list moves under the reader only when asked to
      if (now && now.total > total && !total) draw();
      else if (now && now.total > total)
        notify(`${num(now.total - total)} more match these filters`, ["Show them", draw], 30, "news");
    },
  };
}

/**
 * Leave the list for its first response, or for the prompt of it over time; where there is none, the list says so.
 * @param {string} run
 * @param {string} what `first` or `prompt`
 * @param {URLSearchParams} asked
 * @param {URLSearchParams} chosen
 * @param {AbortSignal} signal
 */
async function openFirst(run, what, asked, chosen, signal) {
  const one = new URLSearchParams([...asked, ["size", "1"]]);
  one.set("histogram", "none");
  const [row] = (await api.rollouts(run, one, signal)).rows;
  if (row && what === "first") location.replace(responseLink(run, row, chosen));
  if (row?.prompt_id && what === "prompt")
    location.replace(link(["runs", run, "prompt"], { prompt_id: row.prompt_id }));
}

/**
 * @param {string} run
 * @param {URLSearchParams} query
 */
const rescoreAddress = (run, query) => link(["runs", run, "rescore"], filtersOf(query));

/**
 * Ask until a search is complete, showing how far it is.
 * @template Row
 * @param {() => Promise<Page<Row>>} ask
 * @param {string} what
 * @param {Element} counts where the progress is shown
 */
async function search(ask, what, counts) {
  for (let round = 0; ; round += 1) {
    const data = await ask();
    const more = data.search && !data.search.complete;
    const far = more ? `, searched ${num(data.search?.scanned)} of ${plural(data.search?.of, "step")} …` : "";
    const capped = data.search?.capped ? " (the newest 100,000 hits)" : "";
    counts.textContent = `${plural(data.total, what)}${far}${capped}`;
    if (!more || round > MOST_ROUNDS) return data;
  }
}

/** @param {RunInfo["index"]} index */
function indexing(index) {
  return index?.state === "building"
    ? h(
        "p",
        { class: "notice" },
        `The index is being built: ${plural(index.rows ?? 0, "response")} so far. What is not in it yet is not listed.`,
      )
    : null;
}

/**
 * @param {string} run
 * @param {URLSearchParams} query
 */
function exportMenu(run, query) {
  const chosen = [...filtersOf(query, false)];
  const item = (/** @type {string} */ format) =>
    h(
      "a",
      {
        class: "button",
        href: api.exportAddress(run, new URLSearchParams([...chosen, ["format", format]])),
        download: "",
      },
      format.toUpperCase(),
    );
  return h(
    "details",
    { class: "menu" },
    h("summary", { class: "button" }, "Export"),
    h(
      "div",
      { class: "panel" },
      h("p", { class: "dim small" }, "All filtered responses with their text, 100,000 rows at most"),
      h("div", { class: "line" }, ["jsonl", "parquet", "csv"].map(item)),
      h(
        "a",
        { href: api.staticAddress(run, new URLSearchParams(chosen)), download: "" },
        "Pages that open from disk (ZIP)",
      ),
    ),
  );
}
