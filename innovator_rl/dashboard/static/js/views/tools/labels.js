// Every label that people put on responses of this run.

import * as api from "../../api/client.js";
import { rowKeys } from "../../components/row-keys.js";
import { empty } from "../../components/states.js";
import { table } from "../../components/table.js";
import { h, visible } from "../../core/dom.js";
import { num, plural, when } from "../../core/format.js";
import { responseLink } from "../../core/links.js";
import { go, link, withQuery } from "../../core/router.js";

/**
 * @param {import("../types.js").Context} context
 * @returns {Promise<import("../types.js").View>}
 */
export default async function view({ run, query, signal }) {
  const data = await api.labels(run, signal);
  const only = query.get("label");
  const rows = only ? data.rows.filter((r) => r.label === only) : data.rows;
  const shown =
    rows.length > 0 &&
    table({
      caption: "Labels",
      rows,
      open: (r) => go(responseLink(run, r, { label: r.label })),
      columns: [
        { title: "Label", cell: (r) => h("span", { class: "badge note" }, visible(r.label)) },
        {
          title: "Response",
          cell: (r) =>
            h("a", { href: responseLink(run, r, { label: r.label }) }, `step ${num(r.step)}, #${num(r.sample_index)}`),
        },
        { title: "By", cell: (r) => visible(r.author || "–") },
        { title: "Note", class: "preview-cell", cell: (r) => h("span", { class: "preview" }, visible(r.note ?? "")) },
        { title: "When", class: "wide", cell: (r) => when(r.time) },
      ],
    });
  return {
    title: `${run}: labels`,
    nodes: [
      h(
        "div",
        { class: "page-head" },
        h("h1", null, "Labels"),
        h("span", { class: "dim" }, plural(rows.length, "label")),
        h("span", { class: "grow" }),
        rows.length > 0 &&
          h("a", { class: "button", href: link(["runs", run, "rollouts"], { label: only ?? "*" }) }, "Read them"),
        rows.length > 0 &&
          h(
            "a",
            { class: "button", href: api.exportAddress(run, { label: only ?? "*", format: "jsonl" }), download: "" },
            "Export",
          ),
      ),
      h(
        "div",
        { class: "stack" },
        data.names?.length > 0 &&
          h(
            "div",
            { class: "line chips" },
            data.names.map((name) =>
              h(
                "button",
                {
                  class: "chip",
                  "aria-pressed": String(name === only),
                  onclick: () => go(withQuery({ label: name === only ? null : name })),
                },
                visible(name),
              ),
            ),
          ),
        h(
          "div",
          { class: "panel" },
          shown
            ? shown.element
            : empty(
                "No label yet",
                "Open a response and press ",
                h("kbd", null, "m"),
                " to give it one. Labels are kept in the run directory, in labels.jsonl.",
              ),
        ),
      ),
    ],
    keys: shown ? rowKeys(shown.lines, (i) => go(responseLink(run, rows[i], { label: rows[i].label }))) : [],
  };
}
