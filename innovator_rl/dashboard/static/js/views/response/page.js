// One response, read closely: the text, why it got its score, its molecules or tests, its tokens, its labels.

import * as api from "../../api/client.js";
import { h, visible } from "../../core/dom.js";
import { duration, num, plural, signed, when, words } from "../../core/format.js";
import { copy, crumbs, fateBadge, turnButtons, verdict } from "../../components/badges.js";
import { go, link, parse, withQuery } from "../../core/router.js";
import { chips, groupLink, neighbour, responseLink, selection } from "../rollouts/filters.js";
import { notify } from "../../components/states.js";
import { facts, segmented } from "../../components/table.js";
import { markdown } from "../../text/markdown.js";
import { labelEditor } from "./label-editor.js";
import { moleculePanel } from "./molecules.js";
import { promptPanel } from "./prompt.js";
import { scorePanel, testPanel } from "./score.js";
import { tokenPanel } from "./tokens.js";

const WINDOW = 60000;
const TABS = [
  ["rendered", "Rendered"],
  ["raw", "Raw"],
  ["tokens", "Tokens"],
];

export default async function view({ run, parts: [step, uid, sample], query, signal }) {
  const kind = query.get("kind") ?? "train";
  const key = { kind, step: Number(step), uid, sample: Number(sample) };
  const offset = Math.max(0, Number(query.get("offset")) || 0);
  const data = await api.response(run, { ...key, offset, limit: WINDOW }, signal);
  const tab = TABS.some(([name]) => name === query.get("tab")) ? query.get("tab") : "rendered";
  const chosen = selection(query);
  const walking = [...chosen.keys()].some((one) => one !== "kind");
  const list = link(["runs", run, "rollouts"], walking ? chosen : { step });
  const at = { run, key, query, signal, tab, offset, chosen: walking ? chosen : null, list };
  return {
    title: `${run}: response ${sample}, step ${step}`,
    nodes: [
      where(at),
      head(at, data),
      siblingBar(run, key, data, query),
      h(
        "div",
        { class: "reading" },
        h("div", { class: "stack" }, column(at, data)),
        h(
          "aside",
          { class: "stack rail", "aria-label": "About this response" },
          scorePanel(data),
          labelEditor(run, key, data),
          aboutPanel(data.row),
        ),
      ),
    ],
    keys: keys(at, data),
  };
}

function where({ run, key, list }) {
  const atStep = link(["runs", run, "rollouts"], { step: key.step });
  return crumbs(
    run,
    ["Rollouts", list],
    [`Step ${num(key.step)}`, atStep],
    ["Group", groupLink(run, key)],
    [`Response ${key.sample}`],
  );
}

function head(at, data) {
  const row = data.row;
  const among = at.chosen && chips(at.chosen).map(([text]) => visible(text));
  return h(
    "div",
    { class: "page-head" },
    h("h1", null, `${words(row.domain)}, response ${row.sample}`),
    verdict(row),
    h("span", null, h("span", { class: "dim" }, "reward "), h("span", { class: "big" }, num(row.reward))),
    fateBadge(row),
    row.truncated && h("span", { class: "badge warn" }, "cut off"),
    h("span", { class: "grow" }),
    among?.length > 0 && h("span", { class: "dim small wide" }, "among ", among.join(", ")),
    turnButtons(turn(at, data, -1), turn(at, data, 1)),
  );
}

/** To the response before or after: of the list the reader came from, else of the step. The tab stays. */
function turn({ run, key, query, tab, chosen }, data, by) {
  return async () => {
    const other = by > 0 ? data.next : data.previous;
    const plain = other && responseLink(run, { ...other, kind: key.kind });
    const to = chosen ? await neighbour(run, key, chosen, by) : plain;
    if (!to) return notify(by > 0 ? "This is the last one" : "This is the first one", null, 3);
    const { parts, query: asked } = parse(to);
    if (tab !== "rendered") asked.set("tab", tab);
    if (query.has("metric")) asked.set("metric", query.get("metric"));
    return go(link(parts, asked));
  };
}

function sibling({ run, key, query }, data, by) {
  const all = data.siblings ?? [];
  const other = all[all.findIndex((one) => one.sample === key.sample) + by];
  return () => other && go(responseLink(run, { ...key, sample: other.sample }, query));
}

function keys(at, data) {
  return [
    ["j", at.chosen ? "next in the list" : "next response", turn(at, data, 1)],
    ["k", "previous", turn(at, data, -1)],
    ["ArrowRight", "next of this group", sibling(at, data, 1)],
    ["ArrowLeft", "previous of this group", sibling(at, data, -1)],
    ["g p", "the group", () => go(groupLink(at.run, at.key))],
    ...TABS.map(([name, title], i) => [
      String(i + 1),
      title.toLowerCase(),
      () => go(withQuery({ tab: i ? name : null })),
    ]),
    ["m", "label", () => document.getElementById("label-name")?.focus()],
    ["u", "back to the list", () => go(at.list)],
  ];
}

function column(at, data) {
  const failure =
    data.error &&
    h(
      "section",
      { class: "panel" },
      h("header", null, h("h2", null, "Error")),
      h("pre", { class: "raw body" }, visible(data.error)),
    );
  return [
    promptPanel(data),
    data.text_error && h("p", { class: "notice bad" }, data.text_error),
    failure,
    data.molecules && moleculePanel(data.molecules, at.signal),
    textPanel(at, data),
    data.code && testPanel(data.code),
  ];
}

function copyButton(title, text, said) {
  const done = () => notify(said, null, 2);
  const refused = () => notify("The browser did not allow it", null, 4);
  return h("button", { class: "plain", onclick: () => copy(text()).then(done, refused) }, title);
}

function textPanel(at, data) {
  const pick = (tab) => go(withQuery({ tab: tab === "rendered" ? null : tab, metric: null, token: null }));
  const size = `${plural(data.response_chars ?? 0, "character")}, ${plural(data.row.response_tokens ?? 0, "token")}`;
  return h(
    "section",
    { class: "panel" },
    h(
      "header",
      null,
      h("h2", null, "Response"),
      segmented("Shown as", TABS, at.tab, pick),
      h("span", { class: "dim" }, size),
      h("span", { class: "grow" }),
      copyButton("Copy text", () => data.response ?? "", "Copied"),
      copyButton("Copy link", () => location.href, "Link copied"),
    ),
    h("div", { class: "body" }, at.tab === "tokens" ? tokenPanel(at, data) : written(data, at.tab, at.offset)),
  );
}

function written(data, tab, offset) {
  const text = data.response;
  if (text === null || text === undefined) return h("p", { class: "dim" }, "The text cannot be read.");
  if (!data.response_chars) return h("p", { class: "dim" }, "The response is empty.");
  const end = offset + text.length;
  const turn = (to) => () => go(withQuery({ offset: to || null }));
  const windowed = offset > 0 || end < data.response_chars;
  const pager = () =>
    windowed &&
    h(
      "nav",
      { class: "pager", "aria-label": "Parts of the text" },
      h("button", { disabled: offset <= 0, onclick: turn(Math.max(0, offset - WINDOW)) }, "← Earlier"),
      h("span", { class: "dim num" }, `characters ${num(offset)} to ${num(end)} of ${num(data.response_chars)}`),
      h("button", { disabled: end >= data.response_chars, onclick: turn(end) }, "Later →"),
    );
  return [
    pager(),
    tab === "raw"
      ? h("pre", { class: "raw", tabindex: "0" }, visible(text))
      : h("div", { class: "prose" }, markdown(text)),
    windowed && text.length > 3000 && pager(),
  ];
}

/** The other responses of the group, one small mark each. */
function siblingBar(run, key, data, query) {
  const all = data.siblings ?? [];
  if (all.length < 2) return null;
  return h(
    "nav",
    { class: "siblings", "aria-label": "Responses of this group" },
    all.map((s) =>
      h(
        "a",
        {
          href: responseLink(run, { ...key, sample: s.sample }, query),
          class: s.correct ? "right" : "wrong",
          "aria-current": s.sample === key.sample ? "page" : null,
          "aria-label": `response ${s.sample}, ${s.correct ? "correct" : "not correct"}, reward ${num(s.reward)}`,
        },
        h("span", { "aria-hidden": "true" }, s.correct ? "✓" : "✗"),
        ` ${s.sample}`,
      ),
    ),
    h("a", { class: "dim", href: groupLink(run, key) }, "side by side"),
  );
}

function aboutPanel(row) {
  return h(
    "section",
    { class: "panel" },
    h("header", null, h("h2", null, "Record")),
    h(
      "div",
      { class: "body" },
      facts([
        ["Advantage", row.advantage === null || row.advantage === undefined ? null : signed(row.advantage)],
        ["Tokens", `${num(row.prompt_tokens)} prompt, ${num(row.response_tokens)} response`],
        ["Ended by", words(row.finish_reason)],
        ["Entropy", row.entropy === null ? null : num(row.entropy)],
        [
          "Clipped",
          row.clip_high === null || row.clip_high === undefined
            ? null
            : `${num(100 * row.clip_high, 2)} % above, ${num(100 * (row.clip_low ?? 0), 2)} % below`,
        ],
        ["Trainer gap", row.gap === null ? null : num(row.gap, 2)],
        [
          "Repetition",
          row.repetition === null || row.repetition === undefined ? null : `${num(100 * row.repetition, 2)} %`,
        ],
        ["Generated in", duration(row.generate_seconds)],
        ["Queued", row.queued_seconds ? duration(row.queued_seconds) : null],
        [
          "Weights of update",
          row.weight_version_min === row.weight_version_max
            ? num(row.weight_version_min)
            : `${num(row.weight_version_min)} to ${num(row.weight_version_max)}`,
        ],
        ["Data source", row.data_source],
        ["Attempt", num(row.attempt)],
        ["Written", when(row.written_at)],
      ]),
    ),
  );
}
