// What was recorded of a response besides its text: lengths, timings and figures of the update.

import { facts } from "../../components/table.js";
import { h } from "../../core/dom.js";
import { duration, num, signed, when, humanize } from "../../core/format.js";

/** @param {import("../../api/types.js").ResponseRow} row */
export function aboutPanel(row) {
  return h(
    "section",
    { class: "panel" },
    h("header", null, h("h2", null, "Record")),
    h(
      "div",
      { class: "body" },
      facts([
        ["Advantage", row.advantage === null || row.advantage === undefined ? null : signed(row.advantage)],
        ["Tokens", `${num(row.prompt_tokens)} prompt, ${num(row.response_tokens)} response`],
        ["Ended by", humanize(row.finish_reason)],
        ["Entropy", row.entropy === null ? null : num(row.entropy)],
        [
          "Clipped",
          row.clip_high === null || row.clip_high === undefined
            ? null
            : `${num(100 * row.clip_high, 2)} % above, ${num(100 * (row.clip_low ?? 0), 2)} % below`,
        ],
        ["Trainer gap", row.gap === null ? null : num(row.gap, 2)],
        [
          "Repetition",
          row.repetition === null || row.repetition === undefined ? null : `${num(100 * row.repetition, 2)} %`,
        ],
        ["Generated in", duration(row.generate_seconds)],
        ["Queued", row.queued_seconds ? duration(row.queued_seconds) : null],
        [
          "Weights of update",
          row.weight_version_min === row.weight_version_max
            ? num(row.weight_version_min)
            : `${num(row.weight_version_min)} to ${num(row.weight_version_max)}`,
        ],
        ["Data source", row.data_source],
        ["Attempt", num(row.attempt)],
        ["Written", when(row.written_at)],
      ]),
    ),
  );
}
