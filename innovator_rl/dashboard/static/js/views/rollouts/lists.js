// The two lists of the rollouts page, responses and groups, with their pages.

import { rowKeys } from "../../components/row-keys.js";
import { filtersOf, noFilters } from "../../core/filters.js";
import { gradeBadge, groupBadge } from "../../components/badges.js";
import { empty } from "../../components/states.js";
import { table } from "../../components/table.js";
import { h, visible } from "../../core/dom.js";
import { compact, num, percent, signed, withoutEnd } from "../../core/format.js";
import { groupLink, responseLink } from "../../core/links.js";
import { go, link, withQuery } from "../../core/router.js";

/** @typedef {import("../../api/types.js").ResponseRow} ResponseRow */
/** @typedef {import("../../api/types.js").GroupRow} GroupRow */
/** @typedef {import("../../components/keys.js").Key} Key */

/**
 * @template Row
 * @typedef {import("../../api/types.js").Page<Row>} Page
 */

export const NEWEST = "-step";

/**
 * @param {string} run
 * @param {Page<ResponseRow>} data
 * @param {URLSearchParams} query
 * @param {URLSearchParams} chosen the filters, the order and the page
 * @param {Key[]} keys gets those of the rows
 */
export function responseList(run, data, query, chosen, keys) {
  if (!data.rows.length) return nothing(query, data.indexing);
  const from = new URLSearchParams(chosen);
  /** @type {import("../../components/table.js").Column<ResponseRow>[]} */
  const columns = [
    { title: "Step", class: "num", sort: "step", cell: (r) => num(r.step) },
    { title: "Domain", class: "wide", sort: "domain", cell: (r) => r.domain ?? "–" },
    { title: "Grade", sort: "reason", cell: gradeBadge },
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
    {
      title: "Adv.",
      hint: "advantage",
      class: "num wide roomy",
      sort: "advantage",
      cell: (r) => signed(r.advantage, 2),
    },
    { title: "Status", class: "wide", sort: "drop_reason", cell: groupBadge },
    {
      title: "Prompt",
      class: "prompt-cell wide",
      cell: (r) => promptCell(run, r),
    },
    {
      title: "Response",
      class: "preview-cell",
      cell: (r) => [
        h(
          "a",
          { class: "preview", href: responseLink(run, r, from) },
          visible(withoutEnd(r.preview ?? "")) ||
            h("span", { class: "dim" }, r.preview === null ? `response ${r.sample_index}` : "empty response"),
        ),
        r.labels.map((one) => h("span", { class: "badge note" }, one)),
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
    cards: true,
    sort: chosen.get("sort"),
    open: (r) => go(responseLink(run, r, from)),
  });
  keys.push(...rowKeys(shown.lines, (i) => go(responseLink(run, data.rows[i], from))));
  return [shown.element, pager(data)];
}

/**
 * The prompt, which leads to all its responses over time.
 * @param {string} run
 * @param {ResponseRow} row
 */
function promptCell(run, { prompt_id: id, prompt_preview: text }) {
  const shown = visible(text ?? "");
  const preview = h("span", { class: "preview dim" }, shown);
  if (!id) return preview;
  const href = link(["runs", run, "prompt"], { prompt_id: id });
  return h("a", { class: "quiet", href, title: "This prompt over time" }, preview);
}

/**
 * @param {string} run
 * @param {Page<GroupRow>} data
 * @param {URLSearchParams} query
 * @param {Key[]} keys gets those of the rows
 */
export function groupList(run, data, query, keys) {
  if (!data.rows.length) return nothing(query, data.indexing);
  /** @type {import("../../components/table.js").Column<GroupRow>[]} */
  const columns = [
    { title: "Step", class: "num", sort: "step", cell: (g) => num(g.step) },
    { title: "Domain", sort: "domain", cell: (g) => h("a", { href: groupLink(run, g) }, g.domain || g.uid) },
    {
      title: "Prompt",
      class: "preview-cell",
      cell: (g) => h("a", { class: "preview", href: groupLink(run, g) }, visible(g.prompt_preview ?? "")),
    },
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
    {
      title: "Tokens",
      class: "num",
      sort: "tokens_mean",
      cell: (g) => num(g.tokens_mean && Math.round(g.tokens_mean)),
    },
    { title: "Status", sort: "drop_reason", cell: groupBadge },
  ];
  if (data.rows.some((g) => g.truncated))
    columns.push({ title: "Cut off", class: "num wide", cell: (g) => num(g.truncated) });
  if (data.rows.some((g) => g.failed)) columns.push({ title: "Failed", class: "num wide", cell: (g) => num(g.failed) });
  const shown = table({
    columns,
    rows: data.rows,
    caption: "Groups",
    cards: true,
    sort: query.get("sort") ?? NEWEST,
    open: (g) => go(groupLink(run, g)),
  });
  keys.push(...rowKeys(shown.lines, (i) => go(groupLink(run, data.rows[i]))));
  return [shown.element, pager(data)];
}

/**
 * @param {URLSearchParams} query
 * @param {boolean} building whether the index is being built
 */
function nothing(query, building) {
  if (building) return empty("Not indexed yet", "This list fills itself as soon as the index is built.");
  return [...filtersOf(query, false).keys()].length
    ? empty(
        "No response matches these filters",
        h(
          "button",
          {
            onclick: () => go(withQuery(noFilters(query))),
          },
          "Clear all filters",
        ),
      )
    : empty("No responses recorded yet", "They appear within a second of being scored.");
}

/** @type {(data: Page<unknown>, to: number) => () => unknown} */
const turn = (data, to) => () => to >= 1 && to <= data.pages && go(withQuery({ page: to === 1 ? null : to }));

/** @param {Page<unknown>} data */
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

/**
 * The keys that turn the page.
 * @param {Page<unknown>} data
 * @returns {Key[]}
 */
export function pageKeys(data) {
  return [
    ["n", "next page", turn(data, data.page + 1)],
    ["p", "previous page", turn(data, data.page - 1)],
    ["ArrowRight", "", turn(data, data.page + 1)],
    ["ArrowLeft", "", turn(data, data.page - 1)],
  ];
}
