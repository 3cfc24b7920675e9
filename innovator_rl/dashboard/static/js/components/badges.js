// Badges: the status of a run, the grade of a response, what became of a group, and how far a run is.

import { h } from "../core/dom.js";
import { age, duration, NONE, num, percent, humanize } from "../core/format.js";

/** @typedef {import("../api/types.js").RunRow} RunRow */
/** @typedef {import("../api/types.js").GroupOutcome} GroupOutcome */
/** @typedef {Pick<import("../api/types.js").ResponseRow, "correct" | "outcome" | "reason"> & { generation_status?: string | null }} Graded */

/** @type {Record<RunRow["status"], string>} */
const RUN_TONES = {
  running: "good live",
  starting: "note live",
  finished: "note",
  failed: "bad",
  dead: "bad",
  stopped: "warn",
  unknown: "warn",
};

/**
 * The status of a run; "no heartbeat" where its trainer has not written for too long.
 * @param {RunRow} row
 */
export function statusBadge(row) {
  if (row.silent && row.status !== "dead")
    return h(
      "span",
      { class: "badge warn", title: row.detail },
      `no heartbeat for ${duration(row.heartbeat_age ?? age(row.heartbeat))}`,
    );
  return h(
    "span",
    { class: `badge ${RUN_TONES[row.status] ?? ""}`, title: row.detail || null },
    row.status === "dead" ? "crashed" : row.status,
  );
}

/**
 * Correct, wrong or unscored, with the reason code.
 * @param {Graded} row
 */
export function gradeBadge(row) {
  const unscored =
    row.correct === null || row.correct === undefined || row.outcome === "error" || row.generation_status === "failed";
  const [kind, mark, text] = unscored
    ? ["warn", "?", "unscored"]
    : row.correct
      ? ["good", "✓", "correct"]
      : ["bad", "✗", "wrong"];
  const reason = row.reason && row.reason !== text ? humanize(row.reason) : text;
  return h(
    "span",
    { class: `badge ${kind}`, title: `${text}${row.reason ? `, ${humanize(row.reason)}` : ""}` },
    h("span", { "aria-hidden": "true" }, mark),
    h("span", { class: "visually-hidden" }, `${text}: `),
    reason,
  );
}

/** @type {Record<string, string>} */
const GROUP_TONES = { kept: "note", dropped: "", failed: "bad", pending: "" };

/**
 * What the update made of a group: kept, dropped and why, or failed.
 * @param {GroupOutcome} row
 */
export function groupBadge(row) {
  if (!row.status) return h("span", { class: "dim" }, NONE);
  if (row.superseded)
    return h("span", { class: "badge warn", title: "a resumed attempt did this step again" }, "superseded");
  return h(
    "span",
    { class: `badge ${GROUP_TONES[row.status] ?? ""}` },
    row.status === "dropped" && row.drop_reason ? `dropped: ${humanize(row.drop_reason)}` : row.status,
  );
}

/**
 * How far a run is, as numbers and as a bar.
 * @param {RunRow} row
 */
export function progress(row) {
  if (!row.total_steps) return h("span", { class: "num" }, num(row.step));
  const share = Math.min(1, (row.step ?? 0) / row.total_steps);
  return h(
    "span",
    { class: "progress", title: percent(share) },
    h("span", { class: "num" }, `${num(row.step)} / ${num(row.total_steps)}`),
    h("span", { class: "track", "aria-hidden": "true" }, h("span", { style: { width: `${100 * share}%` } })),
  );
}
