// One response in full: its text, why it got its score, its molecules or tests, its tokens and its labels.

import * as api from "../../api/client.js";
import { gradeBadge, groupBadge } from "../../components/badges.js";
import { crumbs, turnButtons } from "../../components/navigation.js";
import { notify } from "../../components/notices.js";
import { h, visible } from "../../core/dom.js";
import { chips, filtersOf } from "../../core/filters.js";
import { num, humanize } from "../../core/format.js";
import { groupLink, responseLink } from "../../core/links.js";
import { go, link, parse, withQuery } from "../../core/router.js";
import { neighbor } from "../rollouts/walk.js";
import { answerPanel } from "./answer.js";
import { labelEditor } from "./label-editor.js";
import { moleculePanel } from "./molecules.js";
import { promptPanel } from "./prompt.js";
import { aboutPanel } from "./record.js";
import { scorePanel, testPanel } from "./score.js";
import { tabsOf, textPanel, WINDOW } from "./text.js";

/** @typedef {import("../../api/types.js").ResponseInfo} ResponseInfo */
/** @typedef {import("../../components/keys.js").Key} Key */

/**
 * What the address says of the response that is shown.
 * @typedef {object} Place
 * @property {string} run
 * @property {import("../../api/types.js").ResponseKey} key
 * @property {URLSearchParams} query
 * @property {AbortSignal} signal
 * @property {string} tab
 * @property {[name: string, title: string][]} tabs
 * @property {number} offset the character at which the text begins
 * @property {URLSearchParams | null} chosen the filters of the list that the reader came from
 * @property {string} list the address of that list
 */

/**
 * @param {import("../types.js").Context} context
 * @returns {Promise<import("../types.js").View>}
 */
export default async function view({ run, parts: [step, uid, index], query, signal }) {
  const kind = query.get("kind") ?? "train";
  const key = { kind, step: Number(step), uid, sample_index: Number(index) };
  const offset = Math.max(0, Number(query.get("offset")) || 0);
  const data = await api.response(run, { ...key, offset, limit: WINDOW }, signal);
  const tabs = tabsOf(data);
  const tab = tabs.find(([name]) => name === query.get("tab"))?.[0] ?? tabs[0][0];
  const chosen = filtersOf(query);
  const walking = [...chosen.keys()].some((one) => one !== "kind");
  const list = link(["runs", run, "rollouts"], walking ? chosen : { step });
  const at = { run, key, query, signal, tab, tabs, offset, chosen: walking ? chosen : null, list };
  const text = textPanel(at, data);
  return {
    title: `${run}: response ${index}, step ${step}`,
    nodes: [
      where(at),
      head(at, data),
      siblingBar(run, key, data, query),
      h(
        "div",
        { class: "reading" },
        h("div", { class: "stack" }, column(data, text.element)),
        h(
          "aside",
          { class: "stack rail", "aria-label": "About this response" },
          data.molecules && moleculePanel(data.molecules, signal),
          scorePanel(data),
          labelEditor(run, key, data),
          aboutPanel(data.row),
        ),
      ),
    ],
    keys: [...keys(at, data), ...text.keys],
  };
}

/** @param {Place} at */
function where({ run, key, list }) {
  const atStep = link(["runs", run, "rollouts"], { step: key.step });
  return crumbs(
    run,
    ["Rollouts", list],
    [`Step ${num(key.step)}`, atStep],
    ["Group", groupLink(run, key)],
    [`Response ${key.sample_index}`],
  );
}

/**
 * @param {Place} at
 * @param {ResponseInfo} data
 */
function head(at, data) {
  const row = data.row;
  const among = at.chosen && chips(at.chosen).map(([text]) => visible(text));
  return h(
    "div",
    { class: "page-head" },
    h("h1", null, `${humanize(row.domain)}, response ${row.sample_index}`),
    gradeBadge(row),
    h("span", null, h("span", { class: "dim" }, "reward "), h("span", { class: "big" }, num(row.reward))),
    groupBadge(row),
    row.truncated && h("span", { class: "badge warn" }, "cut off"),
    h("span", { class: "grow" }),
    among && among.length > 0 && h("span", { class: "dim small wide" }, "among ", among.join(", ")),
    turnButtons(turn(at, data, -1), turn(at, data, 1)),
  );
}

/**
 * Go to the response before or after in the list the reader came from, else in the step. The tab stays.
 * @param {Place} at
 * @param {ResponseInfo} data
 * @param {1 | -1} by
 */
function turn({ run, key, query, tab, chosen }, data, by) {
  return async () => {
    const other = by > 0 ? data.next : data.previous;
    const plain = other && responseLink(run, { ...other, kind: key.kind });
    const to = chosen ? await neighbor(run, key, chosen, by) : plain;
    if (!to) return notify(by > 0 ? "This is the last one" : "This is the first one", null, 3);
    const { parts, query: asked } = parse(to);
    if (query.has("tab")) asked.set("tab", tab);
    if (query.has("metric")) asked.set("metric", query.get("metric") ?? "");
    return go(link(parts, asked));
  };
}

/**
 * @param {Place} at
 * @param {ResponseInfo} data
 * @param {1 | -1} by
 */
function sibling({ run, key, query }, data, by) {
  const all = data.siblings;
  const other = all[all.findIndex((one) => one.sample_index === key.sample_index) + by];
  return () => other && go(responseLink(run, { ...key, sample_index: other.sample_index }, query));
}

/**
 * @param {Place} at
 * @param {ResponseInfo} data
 * @returns {Key[]}
 */
function keys(at, data) {
  return [
    ["j", at.chosen ? "next in the list" : "next response", turn(at, data, 1)],
    ["k", "previous", turn(at, data, -1)],
    ["ArrowRight", "next of this group", sibling(at, data, 1)],
    ["ArrowLeft", "previous of this group", sibling(at, data, -1)],
    ["g p", "the group", () => go(groupLink(at.run, at.key))],
    ...at.tabs.map(
      ([name, title], i) =>
        /** @type {Key} */ ([String(i + 1), title.toLowerCase(), () => go(withQuery({ tab: i ? name : null }))]),
    ),
    ["m", "label", () => document.getElementById("label-name")?.focus()],
    ["u", "back to the list", () => go(at.list)],
  ];
}

/**
 * @param {ResponseInfo} data
 * @param {Element} text
 */
function column(data, text) {
  const failure =
    data.error &&
    h(
      "section",
      { class: "panel" },
      h("header", null, h("h2", null, "Error")),
      h("pre", { class: "raw body" }, visible(data.error)),
    );
  return [
    answerPanel(data),
    data.text_error && h("p", { class: "notice bad" }, data.text_error),
    failure,
    promptPanel(data, { answer: false }),
    text,
    data.code && testPanel(data.code),
  ];
}

/**
 * The other responses of the group, one small mark each.
 * @param {string} run
 * @param {Place["key"]} key
 * @param {ResponseInfo} data
 * @param {URLSearchParams} query
 */
function siblingBar(run, key, data, query) {
  const all = data.siblings;
  if (all.length < 2) return null;
  return h(
    "nav",
    { class: "siblings", "aria-label": "Responses of this group" },
    all.map((s) =>
      h(
        "a",
        {
          href: responseLink(run, { ...key, sample_index: s.sample_index }, query),
          class: s.correct ? "right" : "wrong",
          "aria-current": s.sample_index === key.sample_index ? "page" : null,
          "aria-label": `response ${s.sample_index}, ${s.correct ? "correct" : "not correct"}, reward ${num(s.reward)}`,
        },
        h("span", { "aria-hidden": "true" }, s.correct ? "✓" : "✗"),
        ` ${s.sample_index}`,
      ),
    ),
    h("a", { class: "dim", href: groupLink(run, key) }, "side by side"),
  );
}
