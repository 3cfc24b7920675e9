// The responses of a run: everything is filtered, sorted and paged by the address, so a view can be sent to somebody.

import * as api from "../../api/client.js";
import { histogram } from "../../components/charts.js";
import { h, replace, visible } from "../../core/dom.js";
import { compact, num, percent, plural, signed, words } from "../../core/format.js";
import { rowKeys } from "../../components/keys.js";
import { fateBadge, verdict } from "../../components/badges.js";
import { go, withQuery } from "../../core/router.js";
import { chips, groupLink, remember, responseLink, selection } from "./filters.js";
import { empty, fill, notify } from "../../components/states.js";
import { segmented, table } from "../../components/table.js";
import { filters } from "./filter-rail.js";

const HISTOGRAMS = [
  "reward",
  "response_tokens",
  "advantage",
  "entropy",
  "reward_seconds",
  "score_value",
  "gap",
  "repetition",
];
const NEWEST = "-step";
const RANGE = { reward: "score", response_tokens: "tokens" };

export default async function view({ run, query, signal }) {
  const grouped = query.get("view") === "groups";
  const info = await api.run(run, signal);
  const keys = [];
  let total = 0;
  const list = h("section", { class: "panel" });
  const counts = h("span", { class: "dim", role: "status" });
  const spread = h("div", { class: "histogram-slot" });
  const chosen = selection(query);
  if (!chosen.has("sort")) chosen.set("sort", NEWEST);
  const draw = () =>
    fill(
      list,
      () => search(run, chosen, query, grouped, signal, counts),
      (data) => {
        total = data.total;
        keys.splice(0, keys.length, ...pageKeys(data));
        replace(spread, !grouped && data.total > 0 && bars(data.histogram, query));
        if (grouped) return groupList(run, data, query, keys);
        remember(run, chosen, data);
        return responseList(run, data, query, chosen, keys);
      },
      "Reading",
    );
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
        filters(run, info, query),
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
                  onclick: () =>
                    go(withQuery(Object.fromEntries([...selection(query, false).keys()].map((k) => [k, null])))),
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
      const asked = new URLSearchParams([...chosen, ["size", "1"], ...(grouped ? [] : [["histogram", "none"]])]);
      const now = await (grouped ? api.groups : api.rollouts)(run, asked, signal).catch(() => null);
      // the list moves under the reader only when asked to
      if (now && now.total > total && !total) draw();
      else if (now && now.total > total)
        notify(`${num(now.total - total)} more match these filters`, ["Show them", draw], 30, "news");
    },
  };
}

function rescoreAddress(run, query) {
  return (
    withQuery({})
      .replace(/\/rollouts/, "/rescore")
      .replace(/\?.*$/, "") + (selection(query).toString() ? `?${selection(query)}` : "")
  );
}

/** Asks until a search is complete, showing how far it is. */
async function search(run, chosen, query, grouped, signal, counts) {
  const asked = new URLSearchParams(chosen);
  if (!grouped) asked.set("histogram", query.get("histogram") ?? "reward");
  for (let round = 0; ; round += 1) {
    const data = await (grouped ? api.groups : api.rollouts)(run, asked, signal);
    const more = data.search && !data.search.complete;
    counts.textContent = `${plural(data.total, grouped ? "group" : "response")}${more ? `, searched ${num(data.search.scanned)} of ${plural(data.search.of, "step")} …` : ""}${data.search?.capped ? " (the newest 100,000 hits)" : ""}`;
    if (!more || round > 300) return data;
  }
}

function bars(data, query) {
  const column = data?.column ?? "reward";
  const name = RANGE[column] ?? column;
  const range =
    query.has(`${name}_min`) && query.has(`${name}_max`)
      ? [Number(query.get(`${name}_min`)), Number(query.get(`${name}_max`))]
      : null;
  const picker = h(
    "select",
    {
      "aria-label": "Histogram of",
      onchange: (event) => go(withQuery({ histogram: event.target.value === "reward" ? null : event.target.value })),
    },
    HISTOGRAMS.map((one) => h("option", { value: one, selected: one === column }, words(one))),
  );
  const toggle = (bin, already) =>
    go(withQuery({ [`${name}_min`]: already ? null : bin.low, [`${name}_max`]: already ? null : bin.high }));
  return h(
    "div",
    { class: "panel histogram" },
    picker,
    histogram({
      title: "",
      bins: forFingers((data?.bins ?? []).map((b) => ({ ...b, part: b.correct }))),
      selected: range,
      onpick: toggle,
      height: 72,
    }),
    h(
      "div",
      { class: "legend" },
      h("span", { class: "legend-item" }, h("i", { class: "key c0" }), "correct"),
      h("span", { class: "legend-item" }, h("i", { class: "key c8" }), "not correct"),
    ),
  );
}

function indexing(index) {
  return index?.state === "building"
    ? h(
        "p",
        { class: "notice" },
        `The index is being built: ${plural(index.rows ?? 0, "response")} so far. What is not in it yet is not listed.`,
      )
    : null;
}

/** On a phone two bins become one, so that a finger can hit it. */
function forFingers(bins) {
  if (!matchMedia("(max-width: 760px)").matches) return bins;
  const out = [];
  for (let i = 0; i < bins.length; i += 2) {
    const [a, b = { ...a, low: a.high, count: 0, part: 0 }] = [bins[i], bins[i + 1]];
    out.push({ low: a.low, high: b.high, count: a.count + b.count, part: a.part + b.part });
  }
  return out;
}

function responseList(run, data, query, chosen, keys) {
  if (!data.rows.length) return nothing(query, data.indexing);
  const from = new URLSearchParams(chosen);
  const columns = [
    { title: "Step", class: "num", sort: "step", cell: (r) => num(r.step) },
    { title: "Domain", class: "wide", sort: "domain", cell: (r) => r.domain ?? "–" },
    { title: "Verdict", sort: "reason", cell: verdict },
    { title: "Reward", class: "num", sort: "reward", cell: (r) => h("b", null, num(r.reward)) },
    {
      title: "Tokens",
      class: "num wide",
      sort: "response_tokens",
      cell: (r) => [
        num(r.response_tokens),
        r.truncated && h("span", { class: "warn", title: "cut off at the limit" }, " ✂"),
      ],
    },
    { title: "Adv.", hint: "advantage", class: "num wide", sort: "advantage", cell: (r) => signed(r.advantage, 2) },
    { title: "Fate", class: "wide", sort: "drop_reason", cell: fateBadge },
    {
      title: "Response",
      class: "preview-cell",
      cell: (r) => [
        h(
          "a",
          { class: "preview", href: responseLink(run, r, from) },
          visible(r.preview ?? "") ||
            h("span", { class: "dim" }, r.preview === "" ? "empty response" : `response ${r.sample}`),
        ),
        r.labels?.map((one) => h("span", { class: "badge note" }, one)),
      ],
    },
    {
      title: h("span", { class: "visually-hidden" }, "Group"),
      class: "wide",
      cell: (r) =>
        h("a", { class: "dim small", href: groupLink(run, r), title: "All responses to this prompt" }, "group"),
    },
  ];
  const shown = table({
    columns,
    rows: data.rows,
    caption: "Responses",
    sort: chosen.get("sort"),
    open: (r) => go(responseLink(run, r, from)),
  });
  keys.push(...rowKeys(shown.lines, (i) => go(responseLink(run, data.rows[i], from))));
  return [shown.element, pager(data)];
}

function groupList(run, data, query, keys) {
  if (!data.rows.length) return nothing(query, data.indexing);
  const columns = [
    { title: "Step", class: "num", sort: "step", cell: (g) => num(g.step) },
    { title: "Domain", sort: "domain", cell: (g) => h("a", { href: groupLink(run, g) }, g.domain ?? g.uid) },
    {
      title: "Correct",
      sort: "correct",
      cell: (g) =>
        h(
          "span",
          { class: "share", title: percent(g.correct / g.samples) },
          h(
            "span",
            { class: "track", "aria-hidden": "true" },
            h("span", { style: { width: `${(100 * g.correct) / g.samples}%` } }),
          ),
          `${num(g.correct)} of ${num(g.samples)}`,
        ),
    },
    { title: "Mean reward", class: "num", sort: "reward_mean", cell: (g) => num(g.reward_mean) },
    { title: "Spread", class: "num", sort: "reward_std", cell: (g) => num(g.reward_std, 2) },
    { title: "Tokens", class: "num", sort: "tokens_mean", cell: (g) => num(Math.round(g.tokens_mean)) },
    { title: "Fate", cell: fateBadge },
    { title: "Cut off", class: "num wide", cell: (g) => num(g.truncated) },
    { title: "Failed", class: "num wide", cell: (g) => num(g.failed) },
  ];
  const shown = table({
    columns,
    rows: data.rows,
    caption: "Groups",
    sort: query.get("sort") ?? NEWEST,
    open: (g) => go(groupLink(run, g)),
  });
  keys.push(...rowKeys(shown.lines, (i) => go(groupLink(run, data.rows[i]))));
  return [shown.element, pager(data)];
}

function nothing(query, building) {
  if (building) return empty("Not indexed yet", "This list fills itself as soon as the index is built.");
  return [...selection(query, false).keys()].length
    ? empty(
        "No response matches these filters",
        h(
          "button",
          {
            onclick: () => go(withQuery(Object.fromEntries([...selection(query, false).keys()].map((k) => [k, null])))),
          },
          "Clear all filters",
        ),
      )
    : empty("No responses recorded yet", "They appear within a second of being scored.");
}

const turn = (data, to) => () => to >= 1 && to <= data.pages && go(withQuery({ page: to === 1 ? null : to }));

function pager(data) {
  const first = (data.page - 1) * data.size + 1;
  return h(
    "nav",
    { class: "pager", "aria-label": "Pages" },
    h("button", { disabled: data.page <= 1, onclick: turn(data, data.page - 1) }, "← Previous"),
    h("span", { class: "dim num" }, `${num(first)} to ${num(first + data.rows.length - 1)} of ${compact(data.total)}`),
    h("button", { disabled: data.page >= data.pages, onclick: turn(data, data.page + 1) }, "Next →"),
    h("span", { class: "dim small wide" }, data.milliseconds !== undefined && `${num(data.milliseconds, 2)} ms`),
  );
}

function pageKeys(data) {
  return [
    ["n", "next page", turn(data, data.page + 1)],
    ["p", "previous page", turn(data, data.page - 1)],
    ["ArrowRight", "", turn(data, data.page + 1)],
    ["ArrowLeft", "", turn(data, data.page - 1)],
  ];
}

function exportMenu(run, query) {
  const chosen = [...selection(query, false)];
  const item = (format) =>
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
      h("p", { class: "dim small" }, "The whole selection, texts included, 100,000 rows at most"),
      h("div", { class: "line" }, ["jsonl", "parquet", "csv"].map(item)),
      h(
        "a",
        { href: api.staticAddress(run, new URLSearchParams(chosen)), download: "" },
        "Pages that open from disk (ZIP)",
      ),
    ),
  );
}
