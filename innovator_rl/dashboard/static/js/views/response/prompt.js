// The prompt and the reference answer, above everything else in the views of a group and of a response.

import { h, visible } from "../../core/dom.js";
import { markdown } from "../../text/markdown.js";
import { reference } from "./values.js";

const LONG = 700;

/**
 * The conversation as the model saw it: the messages where they are recorded, else the flat prompt.
 * @param {import("../../api/types.js").Prompt} data
 * @param {{ answer?: boolean }} [options] whether the reference answer is shown with it
 */
export function promptPanel(data, { answer = true } = {}) {
  /** @type {import("../../api/types.js").Message[]} */
  const messages =
    Array.isArray(data.messages) && data.messages.length
      ? data.messages
      : [{ role: "prompt", content: data.prompt ?? "" }];
  const length = messages.reduce((sum, m) => sum + String(m.content ?? "").length, 0);
  const info = asText(data.info);
  return h(
    "section",
    { class: "panel prompt", "aria-label": "Prompt" },
    h(
      "details",
      { open: length < LONG },
      h(
        "summary",
        null,
        h("h2", null, "Prompt"),
        h("span", { class: "dim one-line" }, visible(String(messages.at(-1)?.content ?? "").slice(0, 160))),
      ),
      messages.map((m) =>
        h(
          "div",
          { class: "message" },
          messages.length > 1 && h("div", { class: "role dim" }, visible(String(m.role ?? ""))),
          h("div", { class: "prose" }, markdown(flat(m.content))),
        ),
      ),
    ),
    answer &&
      data.answer !== null &&
      data.answer !== undefined &&
      h(
        "div",
        { class: "answer" },
        h("h3", null, "Reference answer"),
        h("div", { class: "prose" }, reference(String(data.answer).slice(0, 5000))),
      ),
    info &&
      h(
        "details",
        { class: "small-fold" },
        h("summary", { class: "dim" }, "Other inputs of the rewarder"),
        h("pre", { class: "raw short", tabindex: "0" }, visible(info.slice(0, 20000))),
      ),
  );
}

/**
 * A recorded value as text, objects as JSON; empty where there is none.
 * @param {unknown} value
 */
function asText(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value, null, 1) : String(value);
}

/**
 * The content of a message as text.
 * @param {unknown} content
 */
function flat(content) {
  if (typeof content === "string") return content;
  if (Array.isArray(content)) return content.map((part) => part?.text ?? JSON.stringify(part)).join("\n");
  return content === null || content === undefined ? "" : JSON.stringify(content);
}
