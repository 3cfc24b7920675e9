// The health of a run: its alerts, most urgent first, each with its rule, its value and the rows behind it.

import { rowKeys } from "../../components/row-keys.js";
import * as api from "../../api/client.js";
import { notifyProblem, problemsNotice } from "../../components/notices.js";
import { atMost } from "../../components/states.js";
import { h, replace, visible } from "../../core/dom.js";
import { duration, num, percent, plural, when, humanize } from "../../core/format.js";
import { go, link } from "../../core/router.js";

/** @typedef {import("../../api/types.js").Alert} Alert */
/** @typedef {import("../../api/types.js").Check} Check */
/** @typedef {import("../../api/types.js").Health} Health */

/** @type {Record<Alert["severity"], string>} */
const TONES = { error: "bad", warning: "warn", info: "note" };
/**
 * A value with its unit.
 * @type {(value: number | null | undefined, unit?: string) => string}
 */
const show = (value, unit) =>
  unit === "share"
    ? percent(value)
    : unit === "seconds" || unit === "s"
      ? duration(value)
      : `${num(value)}${unit && !["number", "ratio"].includes(unit) ? ` ${unit}` : ""}`;

/**
 * @param {import("../types.js").Context} context
 * @returns {Promise<import("../types.js").View>}
 */
export default async function view({ run, signal }) {
  let [data, info] = await Promise.all([api.health(run, signal), api.run(run, signal)]);
  const body = h("div", { class: "stack" });
  /** @type {import("../../components/keys.js").Key[]} */
  const keys = [];
  const draw = () => {
    const cards = data.alerts.map((one) => alertCard(run, one));
    replace(
      body,
      problemsNotice(info.problems),
      data.stalled &&
        h(
          "p",
          { class: "notice bad" },
          "The trainer has stalled. Advice about tuning is grayed out until it writes again, because its figures describe the past.",
        ),
      cards.length
        ? cards
        : h(
            "div",
            { class: "panel" },
            h(
              "p",
              { class: "state" },
              h("span", { class: "good" }, "✓ "),
              "No alert. ",
              plural(data.passed.length, "check"),
              " passed.",
            ),
          ),
      checks(data),
    );
    keys.splice(0, keys.length, ...rowKeys(cards, (i) => go(target(run, data.alerts[i].link))));
  };
  draw();
  return {
    title: `${run}: health`,
    nodes: [
      h(
        "div",
        { class: "page-head" },
        h("h1", null, "Health"),
        h("span", { class: "dim" }, `checked ${when(data.checked_at)}`),
      ),
      body,
    ],
    keys,
    news: atMost(5, async () => {
      try {
        [data, info] = await Promise.all([api.health(run, signal), api.run(run, signal)]);
        draw();
      } catch (problem) {
        notifyProblem(problem);
      }
    }),
  };
}

/**
 * The address of the rows behind an alert.
 * @param {string} run
 * @param {Alert["link"]} to
 */
function target(run, to) {
  if (!to || to.view === "run") return link(["runs", run]);
  const query = new URLSearchParams(to.query ?? "");
  if (to.view === "groups") query.set("view", "groups");
  return link(["runs", run, "rollouts"], query);
}

/**
 * @param {string} run
 * @param {Alert} one
 */
function alertCard(run, one) {
  return h(
    "article",
    { class: `panel alert ${one.silenced ? "silenced" : `tone-${TONES[one.severity] ?? "note"}`}` },
    h(
      "header",
      null,
      h("span", { class: `badge ${TONES[one.severity] ?? ""}` }, one.severity),
      h("h2", null, one.title),
      one.domain && h("span", { class: "badge" }, humanize(one.domain)),
      one.silenced && h("span", { class: "badge" }, "silenced by the stall"),
      h("span", { class: "grow" }),
      h("span", { class: "big" }, show(one.value, one.unit)),
      h("span", { class: "dim" }, `threshold ${show(one.threshold, one.unit)}`),
    ),
    h(
      "div",
      { class: "body" },
      h("p", { class: "dim" }, visible(one.rule)),
      one.advice && h("p", null, visible(one.advice)),
      h(
        "p",
        { class: "line" },
        one.link &&
          h(
            "a",
            { class: "button", href: target(run, one.link) },
            one.rows ? `Read the ${plural(one.rows, one.link.view === "groups" ? "group" : "response")}` : "Show",
          ),
        one.steps !== null &&
          one.steps.length > 0 &&
          h(
            "span",
            { class: "dim" },
            one.steps[0] === one.steps.at(-1) ? `step ${one.steps[0]}` : `steps ${one.steps[0]} to ${one.steps.at(-1)}`,
          ),
      ),
    ),
  );
}

/**
 * The checks that found nothing, and those that could not be made.
 * @param {Health} data
 */
function checks(data) {
  const line = (/** @type {Check} */ one, /** @type {import("../../core/dom.js").Child} */ right) =>
    h(
      "tr",
      null,
      h("td", null, one.title, h("div", { class: "dim small" }, visible(one.rule ?? one.why ?? ""))),
      h("td", { class: "num" }, right),
    );
  return h(
    "section",
    { class: "panel" },
    h("header", null, h("h2", null, "Other checks")),
    h(
      "div",
      { class: "table-wrap", tabindex: "0", role: "region", "aria-label": "Other checks" },
      h(
        "table",
        { class: "grid" },
        h(
          "tbody",
          null,
          data.passed.map((one) =>
            line(one, [
              h("span", { class: "good" }, "✓ "),
              show(one.value, one.unit),
              one.threshold !== null &&
                one.threshold !== undefined &&
                h("div", { class: "dim small" }, `threshold ${show(one.threshold, one.unit)}`),
            ]),
          ),
          (data.unknown ?? []).map((one) => line(one, h("span", { class: "dim" }, "not known"))),
        ),
      ),
    ),
  );
}
