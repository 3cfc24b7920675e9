// One response, read closely: the text, why it got its score, its molecules or tests, its tokens, its labels.

import * as api from "../api.js";
import { h, replace, visible } from "../dom.js";
import { duration, num, plural, signed, when, words } from "../format.js";
import { copy, crumbs, fateBadge, turnButtons, verdict } from "../parts.js";
import { go, link, withQuery } from "../router.js";
import { chips, groupLink, neighbour, responseLink, selection } from "../selection.js";
import { notify } from "../state.js";
import { facts, segmented } from "../table.js";
import { markdown } from "../text/markdown.js";
import { labelEditor } from "./label-editor.js";
import { moleculePanel } from "./molecules.js";
import { promptPanel } from "./prompt.js";
import { scorePanel, testPanel } from "./score.js";
import { tokenPanel } from "./tokens.js";

const WINDOW = 60000;
const TABS = [["rendered", "Rendered"], ["raw", "Raw"], ["tokens", "Tokens"]];

export default async function view({ run, parts: [step, uid, sample], query, signal }) {
  const kind = query.get("kind") ?? "train";
  const key = { kind, step: Number(step), uid, sample: Number(sample) };
  const offset = Math.max(0, Number(query.get("offset")) || 0);
  const data = await api.response(run, { ...key, offset, limit: WINDOW }, signal);
  const tab = TABS.some(([name]) => name === query.get("tab")) ? query.get("tab") : "rendered";
  const chosen = selection(query);
  const walking = [...chosen.keys()].some((one) => one !== "kind");
  const text = h("div");
  const context = { run, key, query, signal };
  replace(text, tab === "tokens" ? tokenPanel(context, data) : written(data, tab, offset));
  const step_ = (by) => async () => {
    const other = by > 0 ? data.next : data.previous;
    const to = walking ? await neighbour(run, key, chosen, by) : other && responseLink(run, { ...other, kind });
    if (to) go(to + (tab === "rendered" ? "" : `${to.includes("?") ? "&" : "?"}tab=${tab}${query.has("metric") ? `&metric=${query.get("metric")}` : ""}`));
    else notify(by > 0 ? "This is the last one" : "This is the first one", null, 3);
  };
  const sibling = (by) => () => {
    const all = data.siblings ?? [];
    const other = all[all.findIndex((s) => s.sample === key.sample) + by];
    if (other) go(responseLink(run, { ...key, sample: other.sample }, query));
  };
  const row = data.row;
  return {
    title: `${run}: response ${sample}, step ${step}`,
    nodes: [crumbs(run, ["Rollouts", link(["runs", run, "rollouts"], walking ? chosen : { step })], [`Step ${num(row.step)}`, link(["runs", run, "rollouts"], { step })], ["Group", groupLink(run, key)], [`Response ${sample}`]),
      h("div", { class: "page-head" }, h("h1", null, `${words(row.domain)}, response ${sample}`), verdict(row), h("span", null, h("span", { class: "dim" }, "reward "), h("span", { class: "big" }, num(row.reward))), fateBadge(row), row.truncated && h("span", { class: "badge warn" }, "cut off"), h("span", { class: "grow" }),
        walking && chips(chosen).length > 0 && h("span", { class: "dim small wide" }, "among ", chips(chosen).map(([t]) => visible(t)).join(", ")), turnButtons(step_(-1), step_(1))),
      siblingBar(run, key, data, query),
      h("div", { class: "reading" }, h("div", { class: "stack" }, promptPanel(data, query.has("prompt") ? true : null), data.text_error && h("p", { class: "notice bad" }, data.text_error), data.error && h("section", { class: "panel" }, h("header", null, h("h2", null, "Error")), h("pre", { class: "raw body" }, visible(data.error))),
        data.molecules && moleculePanel(data.molecules, signal),
        h("section", { class: "panel" }, h("header", null, h("h2", null, "Response"), segmented("Shown as", TABS, tab, (v) => go(withQuery({ tab: v === "rendered" ? null : v, metric: null, token: null, offset: query.get("offset") }))), h("span", { class: "dim" }, `${plural(data.response_chars ?? 0, "character")}, ${plural(row.response_tokens ?? 0, "token")}`), h("span", { class: "grow" }),
          h("button", { class: "plain", onclick: () => copy(data.response ?? "").then(() => notify("Copied", null, 2), () => notify("The browser did not allow it", null, 4)) }, "Copy text"), h("button", { class: "plain", onclick: () => copy(location.href).then(() => notify("Link copied", null, 2), () => notify("The browser did not allow it", null, 4)) }, "Copy link")), h("div", { class: "body" }, text)),
        data.code && testPanel(data.code)),
      h("aside", { class: "stack rail", "aria-label": "About this response" }, scorePanel(data), labelEditor(run, key, data), aboutPanel(row)))],
    keys: [["j", walking ? "next in the list" : "next response", step_(1)], ["k", "previous", step_(-1)], ["ArrowRight", "next of this group", sibling(1)], ["ArrowLeft", "previous of this group", sibling(-1)], ["g p", "the group", () => go(groupLink(run, key))],
      ...TABS.map(([name, title], i) => [String(i + 1), title.toLowerCase(), () => go(withQuery({ tab: i ? name : null }))]), ["m", "label", () => document.getElementById("label-name")?.focus()], ["u", "back to the list", () => go(link(["runs", run, "rollouts"], walking ? chosen : { step }))]],
  };
}

function written(data, tab, offset) {
  const text = data.response;
  if (text === null || text === undefined) return h("p", { class: "dim" }, "The text cannot be read.");
  if (!data.response_chars) return h("p", { class: "dim" }, "The response is empty.");
  const end = offset + text.length;
  const turn = (to) => () => go(withQuery({ offset: to || null }));
  const windowed = offset > 0 || end < data.response_chars;
  const pager = () => windowed && h("nav", { class: "pager", "aria-label": "Parts of the text" }, h("button", { disabled: offset <= 0, onclick: turn(Math.max(0, offset - WINDOW)) }, "← Earlier"), h("span", { class: "dim num" }, `characters ${num(offset)} to ${num(end)} of ${num(data.response_chars)}`), h("button", { disabled: end >= data.response_chars, onclick: turn(end) }, "Later →"));
  return [pager(), tab === "raw" ? h("pre", { class: "raw", tabindex: "0" }, visible(text)) : h("div", { class: "prose" }, markdown(text)), windowed && text.length > 3000 && pager()];
}

/** The other responses of the group, one small mark each. */
function siblingBar(run, key, data, query) {
  const all = data.siblings ?? [];
  if (all.length < 2) return null;
  return h("nav", { class: "siblings", "aria-label": "Responses of this group" }, all.map((s) => h("a", { href: responseLink(run, { ...key, sample: s.sample }, query), class: s.correct ? "right" : "wrong", "aria-current": s.sample === key.sample ? "page" : null,
    "aria-label": `response ${s.sample}, ${s.correct ? "correct" : "not correct"}, reward ${num(s.reward)}` }, h("span", { "aria-hidden": "true" }, s.correct ? "✓" : "✗"), ` ${s.sample}`)), h("a", { class: "dim", href: groupLink(run, key) }, "side by side"));
}

function aboutPanel(row) {
  return h("section", { class: "panel" }, h("header", null, h("h2", null, "Record")), h("div", { class: "body" }, facts([
    ["Advantage", row.advantage === null || row.advantage === undefined ? null : signed(row.advantage)], ["Tokens", `${num(row.prompt_tokens)} prompt, ${num(row.response_tokens)} response`], ["Ended by", words(row.finish_reason)],
    ["Entropy", row.entropy === null ? null : num(row.entropy)], ["Clipped", row.clip_high === null || row.clip_high === undefined ? null : `${num(100 * row.clip_high, 2)} % above, ${num(100 * (row.clip_low ?? 0), 2)} % below`], ["Trainer gap", row.gap === null ? null : num(row.gap, 2)], ["Repetition", row.repetition === null || row.repetition === undefined ? null : `${num(100 * row.repetition, 2)} %`],
    ["Generated in", duration(row.generate_seconds)], ["Queued", row.queued_seconds ? duration(row.queued_seconds) : null], ["Weights of update", row.weight_version_min === row.weight_version_max ? num(row.weight_version_min) : `${num(row.weight_version_min)} to ${num(row.weight_version_max)}`],
    ["Data source", row.data_source], ["Attempt", num(row.attempt)], ["Written", when(row.written_at)],
  ])));
}
