// One prompt and all its responses, side by side: what was rewarded, what was kept and why, and how any two differ.

import * as api from "../../api/client.js";
import { h, replace, visible } from "../../core/dom.js";
import { duration, num, percent, plural, signed, words } from "../../core/format.js";
import { crumbs, fateBadge, turnButtons, verdict } from "../../components/badges.js";
import { go, link, withQuery } from "../../core/router.js";
import { groupLink, responseLink } from "./filters.js";
import { empty } from "../../components/states.js";
import { segmented } from "../../components/table.js";
import { difference } from "../../text/diff.js";
import { markdown } from "../../text/markdown.js";
import { promptPanel } from "../response/prompt.js";

const KEEP_AROUND = 60;

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
  const neighbour = (other) => () =>
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
      head(group, turnButtons(data.previous && neighbour(data.previous), data.next && neighbour(data.next))),
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
      ["j", "next group", neighbour(data.next)],
      ["k", "previous group", neighbour(data.previous)],
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

function head(group, turns) {
  const tokens = num(Math.round(group.tokens_mean ?? 0));
  return h(
    "div",
    { class: "page-head" },
    h("h1", null, `${words(group.domain)}: ${num(group.correct)} of ${num(group.samples)} correct`),
    fateBadge(group),
    h(
      "span",
      { class: "dim" },
      `mean ${num(group.reward_mean)}, spread ${num(group.reward_std, 2)}, ${tokens} tokens on average`,
    ),
    h("span", { class: "grow" }),
    turns,
  );
}

function switches(comparing, raw) {
  const views = [
    ["side", "Side by side"],
    ["diff", "Differences"],
  ];
  const texts = [
    ["rendered", "Rendered"],
    ["raw", "Raw"],
  ];
  const pick = (key, other) => (value) => go(withQuery({ [key]: value === other ? value : null }));
  return h(
    "div",
    { class: "line" },
    segmented("View", views, comparing ? "diff" : "side", pick("view", "diff")),
    !comparing && segmented("Text", texts, raw ? "raw" : "rendered", pick("text", "raw")),
  );
}

/** A cursor over the cards. */
function walker(cards) {
  let at = -1;
  const by = (step) => () => {
    if (!cards.length) return;
    cards[at]?.classList.remove("current");
    at = Math.max(0, Math.min(cards.length - 1, at + step));
    cards[at].classList.add("current");
    cards[at].scrollIntoView({ block: "nearest", inline: "center" });
  };
  return { by, at: () => at };
}

/** A bar a response, best first: the reward at a glance; a click goes to its card. */
function rewardBars(run, responses, cards) {
  const values = responses.map((r) => r.reward ?? 0);
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  return h(
    "div",
    { class: "reward-bars", role: "group", "aria-label": "Rewards" },
    responses.map((r, i) => {
      const share = high > low ? ((r.reward ?? 0) - low) / (high - low) : 0;
      const text = `response ${r.sample}: reward ${num(r.reward)}, ${r.correct ? "correct" : "not correct"}`;
      const show = () =>
        cards[i]
          ? cards[i].scrollIntoView({ block: "nearest", inline: "center", behavior: "smooth" })
          : go(responseLink(run, r));
      return h(
        "button",
        { class: r.correct ? "right" : "wrong", "aria-label": text, title: text, onclick: show },
        h("span", { class: "fill", style: { height: `${Math.max(3, 100 * share)}%` } }),
        h("span", { class: "name" }, r.sample),
      );
    }),
  );
}

function card(run, r, raw) {
  const cut = r.response !== null && r.response !== undefined && r.response.length < r.response_chars;
  const text = r.response ?? "";
  return h(
    "article",
    { class: `card ${r.correct ? "right" : ""}` },
    h(
      "header",
      null,
      h("a", { class: "sample", href: responseLink(run, r) }, `#${r.sample}`),
      verdict(r),
      h("b", { class: "num" }, num(r.reward)),
      h("span", { class: "dim num", title: "advantage" }, `A ${signed(r.advantage, 2)}`),
      h("span", { class: "dim num" }, plural(r.response_tokens ?? 0, "token")),
      r.truncated && h("span", { class: "badge warn" }, "cut off"),
      r.kept === false && h("span", { class: "badge" }, r.drop_reason ? words(r.drop_reason) : "dropped"),
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
      { class: "card-text", tabindex: "0", role: "region", "aria-label": `response ${r.sample}` },
      text === ""
        ? h("p", { class: "dim" }, r.response === null ? "the text cannot be read" : "empty response")
        : raw
          ? h("pre", { class: "raw" }, visible(text))
          : h("div", { class: "prose" }, markdown(text)),
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

function comparison(run, responses, query) {
  const best = responses[0];
  const a = responses.find((r) => String(r.sample) === query.get("a")) ?? best;
  const b =
    responses.find((r) => String(r.sample) === query.get("b")) ??
    responses.findLast((r) => r.sample !== a.sample) ??
    best;
  const pick = (name, chosen) =>
    h(
      "select",
      { "aria-label": `Response ${name}`, onchange: (event) => go(withQuery({ [name]: event.target.value })) },
      responses.map((r) =>
        h(
          "option",
          { value: r.sample, selected: r.sample === chosen.sample },
          `#${r.sample}  ${r.correct ? "✓" : "✗"}  ${num(r.reward)}`,
        ),
      ),
    );
  const found = difference(a.response ?? "", b.response ?? "");
  return h(
    "section",
    { class: "panel" },
    h(
      "header",
      null,
      h("span", { class: "del-key" }, "from"),
      pick("a", a),
      h("span", { class: "ins-key" }, "to"),
      pick("b", b),
      h("a", { href: responseLink(run, a) }, "open first"),
      h("a", { href: responseLink(run, b) }, "open second"),
      h(
        "span",
        { class: "dim" },
        `${percent(found.shared)} in common${found.rough ? "; so different that whole sentences were compared first" : ""}`,
      ),
    ),
    h(
      "div",
      { class: "body" },
      h(
        "div",
        { class: "diff" },
        found.runs.map((one, i) => piece(one, i === 0, i === found.runs.length - 1)),
      ),
    ),
  );
}

/** Long common stretches are folded away, to be opened by a click. */
function piece([kind, text], first, last) {
  if (kind) return h(kind > 0 ? "ins" : "del", null, visible(text));
  if (text.length < 4 * KEEP_AROUND + 100) return visible(text);
  const head = first ? "" : text.slice(0, 2 * KEEP_AROUND);
  const tail = last ? "" : text.slice(-2 * KEEP_AROUND);
  const hidden = text.slice(head.length, text.length - tail.length);
  const fold = h(
    "button",
    { class: "fold", onclick: () => fold.replaceWith(visible(hidden)) },
    `${plural(hidden.length, "character")} in common`,
  );
  return [visible(head), fold, visible(tail)];
}

function otherSteps(run, data, kind) {
  if (!data.other_steps?.length) return null;
  return h(
    "section",
    { class: "panel" },
    h("header", null, h("h2", null, "The same prompt at other steps")),
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
