// One prompt and all its responses side by side: the reward of each, whether the group was kept, and how any two differ.

import * as api from "../../api/client.js";
import { gradeBadge, groupBadge } from "../../components/badges.js";
import { crumbs, segmented, turnButtons } from "../../components/navigation.js";
import { empty } from "../../components/states.js";
import { h, replace, visible } from "../../core/dom.js";
import { duration, num, plural, signed, humanize, withoutEnd } from "../../core/format.js";
import { groupLink, responseLink } from "../../core/links.js";
import { go, link, withQuery } from "../../core/router.js";
import { markdown } from "../../text/markdown.js";
import { promptPanel } from "../response/prompt.js";
import { comparison } from "./group-diff.js";

/** @typedef {import("../../api/types.js").Group} Group */
/** @typedef {import("../../api/types.js").GroupRow} GroupRow */
/** @typedef {import("../../api/types.js").GroupResponse} GroupResponse */

/**
 * @param {import("../types.js").Context} context
 * @returns {Promise<import("../types.js").View>}
 */
export default async function view({ run, parts: [step, uid], query, signal }) {
  const kind = query.get("kind") ?? "train";
  const data = await api.group(run, { kind, step, uid, chars: 20000 }, signal);
  const { group, responses } = data;
  const comparing = query.get("view") === "diff";
  const raw = query.get("text") === "raw";
  const body = h("div");
  const cards = comparing ? [] : responses.map((r) => card(run, r, raw));
  replace(
    body,
    !responses.length
      ? empty("This group has no responses")
      : comparing
        ? comparison(run, responses, query)
        : h("div", { class: "cards", tabindex: "0", role: "region", "aria-label": "Responses side by side" }, cards),
  );
  const neighbor = (/** @type {import("../../api/types.js").GroupKey | null} */ other) => () =>
    other &&
    go(
      groupLink(run, { ...other, kind }, new URLSearchParams([...query].filter(([k]) => ["view", "text"].includes(k)))),
    );
  const walk = walker(cards);
  const flip = () => go(withQuery({ view: comparing ? null : "diff" }));
  return {
    title: `${run}: group, step ${step}`,
    nodes: [
      crumbs(
        run,
        ["Rollouts", link(["runs", run, "rollouts"], { step, kind: kind === "train" ? null : kind })],
        [`Step ${num(group.step)}`],
        ["Group"],
      ),
      head(group, turnButtons(data.previous && neighbor(data.previous), data.next && neighbor(data.next))),
      h(
        "div",
        { class: "stack" },
        promptPanel(data),
        rewardBars(run, responses, cards),
        switches(comparing, raw),
        body,
        otherSteps(run, data, kind),
      ),
    ],
    keys: [
      ["j", "next group", neighbor(data.next)],
      ["k", "previous group", neighbor(data.previous)],
      ["ArrowRight", "next response", walk.by(1)],
      ["ArrowLeft", "previous response", walk.by(-1)],
      ["l", "", walk.by(1)],
      ["h", "", walk.by(-1)],
      ["Enter", "open the response", () => walk.at() >= 0 && go(responseLink(run, responses[walk.at()]))],
      ["d", "differences or side by side", flip],
      ["r", "rendered or raw", () => go(withQuery({ text: raw ? null : "raw" }))],
    ],
  };
}

/**
 * @param {GroupRow} group
 * @param {import("../../core/dom.js").Child} turns
 */
function head(group, turns) {
  const tokens = num(Math.round(group.tokens_mean ?? 0));
  return h(
    "div",
    { class: "page-head" },
    h("h1", null, `${humanize(group.domain)}: ${num(group.correct)} of ${num(group.samples)} correct`),
    groupBadge(group),
    h(
      "span",
      { class: "dim" },
      `mean ${num(group.reward_mean)}, spread ${num(group.reward_std, 2)}, ${tokens} tokens on average`,
    ),
    h("span", { class: "grow" }),
    turns,
  );
}

/**
 * @param {boolean} comparing
 * @param {boolean} raw
 */
function switches(comparing, raw) {
  /** @type {[string, string][]} */
  const views = [
    ["side", "Side by side"],
    ["diff", "Differences"],
  ];
  /** @type {[string, string][]} */
  const texts = [
    ["rendered", "Rendered"],
    ["raw", "Raw"],
  ];
  const pick = (/** @type {string} */ key, /** @type {string} */ other) => (/** @type {string} */ value) =>
    go(withQuery({ [key]: value === other ? value : null }));
  return h(
    "div",
    { class: "line" },
    segmented("View", views, comparing ? "diff" : "side", pick("view", "diff")),
    !comparing && segmented("Text", texts, raw ? "raw" : "rendered", pick("text", "raw")),
  );
}

/**
 * A cursor over the cards.
 * @param {HTMLElement[]} cards
 */
function walker(cards) {
  let at = -1;
  const by = (/** @type {number} */ step) => () => {
    if (!cards.length) return;
    cards[at]?.classList.remove("current");
    at = Math.max(0, Math.min(cards.length - 1, at + step));
    cards[at].classList.add("current");
    cards[at].scrollIntoView({ block: "nearest", inline: "center" });
  };
  return { by, at: () => at };
}

/**
 * One bar per response, best first. A click goes to its card.
 * @param {string} run
 * @param {GroupResponse[]} responses
 * @param {HTMLElement[]} cards
 */
function rewardBars(run, responses, cards) {
  const values = responses.map((r) => r.reward ?? 0);
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  return h(
    "div",
    { class: "reward-bars", role: "group", "aria-label": "Rewards" },
    responses.map((r, i) => {
      const share = high > low ? ((r.reward ?? 0) - low) / (high - low) : 0;
      const text = `response ${r.sample_index}: reward ${num(r.reward)}, ${r.correct ? "correct" : "not correct"}`;
      const show = () =>
        cards[i]
          ? cards[i].scrollIntoView({ block: "nearest", inline: "center", behavior: "smooth" })
          : go(responseLink(run, r));
      return h(
        "button",
        { class: r.correct ? "right" : "wrong", "aria-label": text, title: text, onclick: show },
        h("span", { class: "fill", style: { height: `${Math.max(3, 100 * share)}%` } }),
        h("span", { class: "name" }, r.sample_index),
      );
    }),
  );
}

/**
 * @param {string} run
 * @param {GroupResponse} r
 * @param {boolean} raw
 */
function card(run, r, raw) {
  const cut = r.response !== null && r.response !== undefined && r.response.length < r.response_chars;
  const text = r.response ?? "";
  return h(
    "article",
    { class: `card ${r.correct ? "right" : ""}` },
    h(
      "header",
      null,
      h("a", { class: "sample", href: responseLink(run, r) }, `#${r.sample_index}`),
      gradeBadge(r),
      h("b", { class: "num" }, num(r.reward)),
      h("span", { class: "dim num", title: "advantage" }, `A ${signed(r.advantage, 2)}`),
      h("span", { class: "dim num" }, plural(r.response_tokens ?? 0, "token")),
      r.truncated && h("span", { class: "badge warn" }, "cut off"),
      r.kept === false && h("span", { class: "badge" }, r.drop_reason ? humanize(r.drop_reason) : "dropped"),
      r.overlong_penalty ? h("span", { class: "badge warn" }, `overlong ${signed(r.overlong_penalty, 2)}`) : null,
    ),
    r.extracted !== null &&
      r.extracted !== undefined &&
      h(
        "div",
        { class: "extracted" },
        h("span", { class: "dim" }, "read as "),
        h("code", null, visible(r.extracted.slice(0, 200))),
      ),
    r.error && h("pre", { class: "raw short" }, visible(r.error)),
    h(
      "div",
      { class: "card-text", tabindex: "0", role: "region", "aria-label": `response ${r.sample_index}` },
      text === ""
        ? h("p", { class: "dim" }, r.response === null ? "the text cannot be read" : "empty response")
        : raw
          ? h("pre", { class: "raw" }, visible(text))
          : h("div", { class: "prose" }, markdown(withoutEnd(text))),
      cut &&
        h(
          "p",
          { class: "dim" },
          `cut at ${num(text.length)} of ${num(r.response_chars)} characters; `,
          h("a", { href: responseLink(run, r) }, "read on"),
        ),
    ),
    h(
      "footer",
      { class: "dim" },
      [
        r.generate_seconds && `generated in ${duration(r.generate_seconds)}`,
        r.reward_seconds && `scored in ${duration(r.reward_seconds)}`,
      ]
        .filter(Boolean)
        .join(", "),
    ),
  );
}

/**
 * @param {string} run
 * @param {Group} data
 * @param {string} kind
 */
function otherSteps(run, data, kind) {
  if (!data.other_steps.length) return null;
  const id = data.group.prompt_id;
  return h(
    "section",
    { class: "panel" },
    h(
      "header",
      null,
      h("h2", null, "The same prompt at other steps"),
      id && h("a", { href: link(["runs", run, "prompt"], { prompt_id: id }) }, "over time, with a diff"),
    ),
    h(
      "div",
      { class: "body line" },
      data.other_steps.map((one) =>
        h(
          "a",
          { class: "button", href: groupLink(run, { ...one, kind }) },
          `step ${num(one.step)}`,
          h("span", { class: "dim" }, `${num(one.correct)} of ${num(one.samples)}`),
        ),
      ),
    ),
  );
}
