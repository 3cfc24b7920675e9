// A read-only SQL console over the index of the run. The statement is in the URL, so a result can be shared by its link.

import * as api from "../../api/client.js";
import { empty, fill } from "../../components/states.js";
import { table } from "../../components/table.js";
import { h, visible } from "../../core/dom.js";
import { num, plural } from "../../core/format.js";
import { responseLink } from "../../core/links.js";
import { go, withQuery } from "../../core/router.js";

/**
 * @param {import("../types.js").Context} context
 * @returns {Promise<import("../types.js").View>}
 */
export default async function view({ run, query, signal }) {
  const schema = await api.tables(run, signal);
  const body = h(
    "section",
    { class: "panel" },
    empty("No statement run yet", "One SELECT, five seconds, 1,000 rows at most."),
  );
  const text = h("textarea", {
    id: "sql",
    rows: 5,
    spellcheck: "false",
    "aria-label": "SQL",
    class: "mono",
    value: query.get("sql") ?? schema.examples[0] ?? "",
  });
  const start = () => (query.get("sql") === text.value ? ask() : go(withQuery({ sql: text.value })));
  const ask = () =>
    fill(
      body,
      () => api.sql(run, text.value),
      (data) => result(run, data),
      "Asking",
    );
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      start();
    }
  });
  return {
    title: `${run}: SQL`,
    nodes: [
      h("div", { class: "page-head" }, h("h1", null, "SQL")),
      h(
        "div",
        { class: "reader" },
        h(
          "aside",
          { class: "filters", "aria-label": "Tables" },
          schema.tables.map((t, i) =>
            h(
              "details",
              { open: i === 0 && !matchMedia("(max-width: 900px)").matches },
              h("summary", null, h("code", null, t.name)),
              h(
                "ul",
                { class: "columns" },
                t.columns.map((c) =>
                  h("li", null, h("code", null, c.name), " ", h("span", { class: "dim" }, c.type.toLowerCase())),
                ),
              ),
            ),
          ),
        ),
        h(
          "div",
          { class: "stack" },
          h(
            "div",
            { class: "panel body-pad stack" },
            text,
            h(
              "div",
              { class: "line" },
              h("button", { class: "primary", onclick: start }, "Run"),
              h("span", { class: "dim" }, h("kbd", null, "Ctrl"), " ", h("kbd", null, "Enter")),
              h("span", { class: "grow" }),
              schema.examples.length > 0 &&
                h(
                  "select",
                  {
                    "aria-label": "Examples",
                    onchange: (event) => {
                      text.value = event.target.value;
                      event.target.selectedIndex = 0;
                      text.focus();
                    },
                  },
                  h("option", { value: "" }, "Examples"),
                  schema.examples.map((one) =>
                    h("option", { value: one }, one.length > 70 ? `${one.slice(0, 70)}…` : one),
                  ),
                ),
            ),
          ),
          body,
        ),
      ),
    ],
    keys: [["e", "edit the statement", () => text.focus()]],
    shown: () => query.get("sql") && ask(),
  };
}

/**
 * The rows of a result. A row that names a response opens it.
 * @param {string} run
 * @param {import("../../api/types.js").SqlResult} data
 */
function result(run, data) {
  if (!data.rows.length) return empty("No rows", data.columns.join(", "));
  const at = (/** @type {string[]} */ ...names) => data.columns.findIndex((one) => names.includes(one));
  const [kind, step, uid, index] = [at("kind"), at("step"), at("uid", "prompt_uid"), at("sample_index", "sample")];
  const linked = step >= 0 && uid >= 0 && index >= 0;
  const open = (/** @type {unknown[]} */ row) =>
    go(
      responseLink(run, {
        kind: kind < 0 ? "train" : String(row[kind]),
        step: Number(row[step]),
        uid: String(row[uid]),
        sample_index: Number(row[index]),
      }),
    );
  const cell = (/** @type {number} */ i) => (/** @type {unknown[]} */ row) =>
    typeof row[i] === "number"
      ? num(Number(row[i]), 5)
      : row[i] === null
        ? h("span", { class: "dim" }, "null")
        : h(
            "span",
            { class: "preview" },
            visible(String(typeof row[i] === "object" ? JSON.stringify(row[i]) : row[i]).slice(0, 1000)),
          );
  const numeric = (/** @type {number} */ i) => /INT|DOUBLE|FLOAT|DECIMAL/.test(data.types?.[i] ?? "");
  const shown = table({
    caption: "Result",
    rows: data.rows,
    open: linked ? open : null,
    columns: data.columns.map((name, i) => ({ title: name, class: numeric(i) ? "num" : null, cell: cell(i) })),
  });
  return [
    shown.element,
    h(
      "p",
      { class: "dim small body-pad" },
      `${plural(data.rows.length, "row")}${data.truncated ? ", more were cut off" : ""}, ${num(data.milliseconds, 2)} ms${linked ? "; a row opens its response" : ""}`,
    ),
  ];
}
