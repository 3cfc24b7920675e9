// Recorded responses scored again with the reward function that is installed now, and which scores would change.

import { rowKeys } from "../../components/row-keys.js";
import * as api from "../../api/client.js";
import { segmented } from "../../components/navigation.js";
import { empty, fill } from "../../components/states.js";
import { table } from "../../components/table.js";
import { h, replace, visible } from "../../core/dom.js";
import { chips, filtersOf } from "../../core/filters.js";
import { num, plural, humanize } from "../../core/format.js";
import { responseLink } from "../../core/links.js";
import { go, link } from "../../core/router.js";

/** @typedef {import("../../api/types.js").Rescored} Rescored */
/** @typedef {import("../../api/types.js").RescoredRow} RescoredRow */
/** @typedef {import("../../components/keys.js").Key} Key */

/**
 * @param {import("../types.js").Context} context
 * @returns {Promise<import("../types.js").View>}
 */
export default async function view({ run, query, signal }) {
  const chosen = filtersOf(query);
  if (!chosen.has("step")) chosen.set("step", "last");
  const asked = new URLSearchParams([...chosen, ["size", "200"], ["histogram", "none"]]);
  asked.delete("page");
  const [found, known] = await Promise.all([api.rollouts(run, asked, signal), api.rewarders(signal)]);
  const body = h("div", { class: "stack" });
  /** @type {Key[]} */
  const keys = [];
  const select = h(
    "select",
    { id: "rewarder" },
    h("option", { value: "" }, "the one recorded"),
    known.rows.map((name) => h("option", { value: name }, name)),
  );
  const start = () => {
    button.disabled = true;
    return fill(
      body,
      () =>
        api.rescore(
          run,
          found.rows.map(({ kind, step, uid, sample_index }) => ({ kind, step, uid, sample_index })),
          select.value || null,
        ),
      (data) => result(run, data, keys),
      `Scoring ${plural(found.rows.length, "response")}`,
    ).finally(() => {
      button.disabled = false;
    });
  };
  const button = h(
    "button",
    { class: "primary", onclick: start, disabled: !found.rows.length },
    `Re-score ${plural(found.rows.length, "response")}`,
  );
  replace(
    body,
    h(
      "div",
      { class: "panel" },
      found.rows.length
        ? empty("Nothing scored yet", "Runs the installed rewarder over these responses. The record is not changed.")
        : empty("No response matches", h("a", { href: link(["runs", run, "rollouts"]) }, "Choose others")),
    ),
  );
  return {
    title: `${run}: re-score`,
    nodes: [
      h("div", { class: "page-head" }, h("h1", null, "Re-score")),
      h(
        "div",
        { class: "stack" },
        h(
          "div",
          { class: "panel form" },
          h(
            "div",
            { class: "field" },
            h("span", null, "Responses"),
            h(
              "span",
              null,
              chips(chosen)
                .map(([text]) => visible(text))
                .join(", "),
              found.total > found.rows.length
                ? ` (the first ${num(found.rows.length)} of ${num(found.total)})`
                : ` (${num(found.total)})`,
            ),
          ),
          h("label", { class: "field" }, h("span", null, "Rewarder"), select),
          button,
          h("a", { class: "button", href: link(["runs", run, "rollouts"], chosen) }, "Choose others"),
        ),
        body,
      ),
    ],
    keys: [
      ["s", "start", () => !button.disabled && start()],
      ...rowKeys([], () => null).map(
        ([key, text]) => /** @type {Key} */ ([key, text, () => keys.find(([one]) => one === key)?.[2]()]),
      ),
    ],
  };
}

/**
 * @param {string} run
 * @param {Rescored} data
 * @param {Key[]} keys replaced by those of the rows shown
 */
function result(run, data, keys) {
  const { summary } = data;
  const slot = h("div");
  const draw = (/** @type {boolean} */ only) => {
    const rows = only ? data.rows.filter((r) => r.changed) : data.rows;
    const shown = rows.length ? rowTable(run, rows) : null;
    keys.splice(0, keys.length, ...rowKeys(shown?.lines ?? [], (i) => go(responseLink(run, rows[i]))));
    const nothing = "The installed rewarder scores all of these as recorded.";
    replace(slot, shown?.element ?? empty("Nothing would change", nothing));
  };
  draw(summary.changed > 0);
  const tiles = [
    ["changed", `${num(summary.changed)} of ${num(summary.rows)}`],
    ["newly correct", num(summary.newly_correct)],
    ["newly wrong", num(summary.newly_wrong)],
    ["mean before", num(summary.mean_old)],
    ["mean now", num(summary.mean_new)],
    ["errors", num(summary.errors)],
  ];
  return [
    h(
      "dl",
      { class: "tiles" },
      tiles.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))),
    ),
    h(
      "section",
      { class: "panel" },
      h(
        "header",
        null,
        h("h2", null, "Before and now"),
        segmented(
          "Rows",
          [
            ["changed", "Changed"],
            ["all", "All"],
          ],
          summary.changed > 0 ? "changed" : "all",
          (v) => draw(v === "changed"),
        ),
      ),
      slot,
    ),
  ];
}

/**
 * @param {string} run
 * @param {RescoredRow[]} rows
 */
function rowTable(run, rows) {
  const grade = (/** @type {RescoredRow["old"]} */ one) =>
    h(
      "span",
      { class: `badge ${one.correct ? "good" : one.correct === null ? "warn" : "bad"}` },
      one.correct ? "✓" : one.correct === null ? "?" : "✗",
      " ",
      humanize(one.reason),
    );
  /**
   * @template T
   * @param {T} before
   * @param {T} now
   * @param {(value: T) => string} format
   */
  const change = (before, now, format) =>
    format(before) === format(now)
      ? format(now)
      : [h("span", { class: "dim" }, format(before), " → "), h("b", null, format(now))];
  return table({
    caption: "Re-scored responses",
    rows,
    open: (r) => go(responseLink(run, r)),
    columns: [
      { title: "Step", class: "num", cell: (r) => num(r.step) },
      { title: "Response", cell: (r) => h("a", { href: responseLink(run, r) }, `#${r.sample_index}`) },
      { title: "Rewarder", class: "wide", cell: (r) => r.rewarder },
      { title: "Before", cell: (r) => grade(r.old) },
      { title: "Now", cell: (r) => grade(r.new) },
      { title: "Value", class: "num", cell: (r) => change(r.old.value, r.new.value, (x) => num(x)) },
      {
        title: "Read as",
        class: "preview-cell",
        cell: (r) =>
          h(
            "code",
            { class: "preview" },
            change(r.old.extracted, r.new.extracted, (x) => visible(String(x ?? "nothing").slice(0, 200))),
          ),
      },
    ],
  });
}
