// Why a response got its score: the terms of the reward, the extracted answer next to the reference, and the tests of a program.

import { gradeBadge } from "../../components/badges.js";
import { facts } from "../../components/table.js";
import { h } from "../../core/dom.js";
import { duration, num, plural, signed, humanize } from "../../core/format.js";
import { codeBlock } from "../../text/markdown.js";
import { long } from "./values.js";

/** @typedef {import("../../api/types.js").Term} Term */
/** @typedef {import("../../api/types.js").CodeTest} CodeTest */

/** @type {Record<string, [tone: string, text: string]>} */
const RESULTS = {
  passed: ["good", "passed"],
  wrong_output: ["bad", "wrong output"],
  error: ["bad", "error"],
  timeout: ["bad", "too slow"],
  memory: ["bad", "too much memory"],
  not_run: ["", "not run"],
  unknown: ["", "unknown"],
};
const SHOWN = 40;

/** @param {import("../../api/types.js").ResponseInfo} data */
export function scorePanel({ score }) {
  const { terms } = score;
  const sum = score.overlong_penalty
    ? [
        h("div", { class: "sum" }, h("span", null, "Rewarder's value"), h("b", { class: "num" }, num(score.value))),
        h(
          "div",
          { class: "sum" },
          h("span", null, "Overlong penalty"),
          h("b", { class: "num" }, signed(score.overlong_penalty)),
        ),
        h("div", { class: "sum total" }, h("span", null, "Reward"), h("b", { class: "num" }, num(score.reward))),
      ]
    : [h("div", { class: "sum total" }, h("span", null, "Reward"), h("b", { class: "num" }, num(score.reward)))];
  return h(
    "section",
    { class: "panel score" },
    h("header", null, h("h2", null, "Score"), gradeBadge(score)),
    h(
      "div",
      { class: "body stack" },
      h("div", null, sum),
      terms.length > 0 && h("div", null, h("h3", null, "Terms"), terms.map(termBar)),
      facts([
        ["Rewarder", score.rewarder],
        ["Outcome", humanize(score.outcome)],
        ["Scored in", duration(score.seconds)],
      ]),
    ),
  );
}

/** @param {Term} term */
function termBar(term) {
  const share = Math.max(0, Math.min(1, term.value ?? 0));
  return h(
    "div",
    { class: "term" },
    h(
      "span",
      null,
      humanize(term.name),
      term.weight !== null &&
        term.weight !== undefined &&
        h("span", { class: "dim" }, term.weight === 0 ? " not in the reward" : ` × ${num(term.weight)}`),
    ),
    h("span", { class: "track", "aria-hidden": "true" }, h("span", { style: { width: `${100 * share}%` } })),
    h("b", { class: "num" }, num(term.value)),
  );
}

/**
 * The program that was run and the result of each test, the first failing one on top.
 * @param {import("../../api/types.js").CodeReport} code
 */
export function testPanel(code) {
  const failing = code.tests.filter((t) => !["passed", "not_run", "unknown"].includes(t.result));
  const rest = code.tests.filter((t) => !failing.includes(t));
  const ordered = [...failing, ...rest];
  return h(
    "section",
    { class: "panel tests" },
    h(
      "header",
      null,
      h("h2", null, "Tests"),
      h(
        "span",
        { class: `badge ${code.passed === code.total ? "good" : "bad"}` },
        `${num(code.passed)} of ${num(code.total)} passed`,
      ),
    ),
    h(
      "div",
      { class: "body stack" },
      h(
        "div",
        { class: "test-strip", "aria-hidden": "true" },
        code.tests
          .slice(0, 200)
          .map((t) => h("i", { class: RESULTS[t.result]?.[0], title: `test ${t.index}: ${humanize(t.result)}` })),
      ),
      ordered.slice(0, SHOWN).map((t, i) => testCase(t, i === 0 && failing.length > 0)),
      ordered.length > SHOWN && h("p", { class: "dim" }, `and ${plural(ordered.length - SHOWN, "more test")}`),
      code.program &&
        h(
          "details",
          null,
          h("summary", null, "The program that was run"),
          codeBlock(code.program, code.language ?? ""),
        ),
    ),
  );
}

/**
 * @param {CodeTest} test
 * @param {boolean} open
 */
function testCase(test, open) {
  const [kind, text] = RESULTS[test.result] ?? ["", humanize(test.result)];
  const part = (/** @type {string} */ name, /** @type {unknown} */ value) =>
    value !== null &&
    value !== undefined &&
    h("div", null, h("h3", null, name), long(typeof value === "string" ? value : JSON.stringify(value)));
  return h(
    "details",
    { class: "test", open },
    h(
      "summary",
      null,
      `Test ${test.index}`,
      h("span", { class: `badge ${kind}` }, text),
      test.seconds !== null && test.seconds !== undefined && h("span", { class: "dim" }, duration(test.seconds)),
    ),
    h(
      "div",
      { class: "versus three" },
      part("Input", test.input),
      part("Expected", test.expected),
      part("Output", test.output),
    ),
  );
}
