// Labels on a response: short names with an optional note, stored in the run directory.

import * as api from "../../api/client.js";
import { notifyProblem } from "../../components/notices.js";
import { h, replace, visible } from "../../core/dom.js";

/** @typedef {import("../../api/types.js").ResponseKey} ResponseKey */
/** @typedef {import("../../api/types.js").LabelRow} LabelRow */

/**
 * @param {string} run
 * @param {ResponseKey} key
 * @param {{ labels: LabelRow[] }} data
 */
export function labelEditor(run, key, data) {
  const list = h("div", { class: "line" });
  const name = h("input", {
    id: "label-name",
    type: "text",
    maxlength: 40,
    placeholder: "hack, wrong gold, …",
    "aria-label": "New label",
    list: "label-names",
    autocomplete: "off",
  });
  const note = h("input", { type: "text", maxlength: 2000, placeholder: "note (may be empty)", "aria-label": "Note" });
  const author = h("input", {
    type: "text",
    maxlength: 40,
    placeholder: "your name (may be empty)",
    "aria-label": "Your name",
    autocomplete: "name",
    value: localStorage.getItem("author") ?? "",
    onchange: (event) => localStorage.setItem("author", event.target.value.trim()),
  });
  const known = h("datalist", { id: "label-names" });
  const send = async (/** @type {{ label: string, note?: string, remove?: boolean }} */ body) => {
    try {
      draw((await api.label(run, { ...key, note: "", remove: false, author: author.value.trim(), ...body })).rows);
      return true;
    } catch (problem) {
      notifyProblem(problem);
      return false;
    }
  };
  const draw = (/** @type {LabelRow[]} */ rows) =>
    replace(
      list,
      rows.length
        ? rows.map((one) =>
            h(
              "span",
              {
                class: "badge note",
                title: [one.note, one.author && `by ${one.author}`].filter(Boolean).join(" ") || null,
              },
              visible(one.label),
              one.note && h("span", { class: "dim" }, visible(one.note)),
              h(
                "button",
                {
                  class: "remove",
                  "aria-label": `remove label ${one.label}`,
                  onclick: () => send({ label: one.label, remove: true }),
                },
                "×",
              ),
            ),
          )
        : h("span", { class: "dim" }, "none yet"),
    );
  draw(data.labels);
  name.addEventListener(
    "focus",
    async () => {
      const all = await api.labels(run).catch(() => ({ names: [] }));
      replace(
        known,
        all.names.map((one) => h("option", { value: one })),
      );
    },
    { once: true },
  );
  const submit = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    if (name.value.trim() && (await send({ label: name.value.trim(), note: note.value.trim() })))
      [name.value, note.value] = ["", ""];
  };
  return h(
    "section",
    { class: "panel" },
    h("header", null, h("h2", null, "Labels")),
    h(
      "div",
      { class: "body stack" },
      list,
      h("form", { class: "label-form", onsubmit: submit }, name, note, author, known, h("button", null, "Add")),
    ),
  );
}
