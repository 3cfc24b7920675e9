// Small pieces several views share: badges for a verdict, a fate, a run's status; notices about damaged files.

import { h } from "../core/dom.js";
import { NONE, age, duration, num, percent, plural, words } from "../core/format.js";
import { link } from "../core/router.js";

const STATUS = {
  running: "good live",
  starting: "note live",
  finished: "note",
  failed: "bad",
  dead: "bad",
  stopped: "warn",
  unknown: "warn",
};

export function statusBadge(row) {
  if (row.silent && row.status !== "dead")
    return h(
      "span",
      { class: "badge warn", title: row.detail },
      `silent for ${duration(row.heartbeat_age ?? age(row.heartbeat))}`,
    );
  return h(
    "span",
    { class: `badge ${STATUS[row.status] ?? ""}`, title: row.detail || null },
    row.status === "dead" ? "crashed" : row.status,
  );
}

/** Right, wrong or unjudged, with the reason code. */
export function verdict(row) {
  const unjudged =
    row.correct === null || row.correct === undefined || row.outcome === "error" || row.status === "failed";
  const [kind, mark, text] = unjudged
    ? ["warn", "?", "not judged"]
    : row.correct
      ? ["good", "✓", "correct"]
      : ["bad", "✗", "wrong"];
  const reason = row.reason && row.reason !== text ? words(row.reason) : text;
  return h(
    "span",
    { class: `badge ${kind}`, title: `${text}${row.reason ? `, ${words(row.reason)}` : ""}` },
    h("span", { "aria-hidden": "true" }, mark),
    h("span", { class: "visually-hidden" }, `${text}: `),
    reason,
  );
}

const FATE = { kept: "note", dropped: "", failed: "bad", pending: "" };

export function fateBadge(row) {
  if (!row.fate) return h("span", { class: "dim" }, NONE);
  return h(
    "span",
    { class: `badge ${FATE[row.fate] ?? ""}` },
    row.fate === "dropped" && row.drop_reason ? `dropped: ${words(row.drop_reason)}` : row.fate,
  );
}

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

/** Which files could not be read; the good rows stay readable. */
export function problemsNotice(problems) {
  if (!problems?.length) return null;
  const lost = problems.reduce((sum, p) => sum + (p.rows_lost ?? 0), 0);
  return h(
    "details",
    { class: "notice warn problems" },
    h(
      "summary",
      null,
      `${plural(problems.length, "file")} of this run cannot be read`,
      lost ? ` (${plural(lost, "row")} lost)` : "",
      ". Everything else is shown.",
    ),
    h(
      "ul",
      null,
      problems.map((p) =>
        h("li", null, h("code", null, p.file), " ", p.why, p.rows_lost ? `; ${plural(p.rows_lost, "row")} lost` : ""),
      ),
    ),
  );
}

export function crumbs(run, ...rest) {
  return h(
    "nav",
    { class: "crumbs", "aria-label": "Where this is" },
    h("a", { href: link(["runs", run]) }, run),
    rest.map(([text, href]) => (href ? h("a", { href }, text) : h("span", null, text))),
  );
}

/** Domain names always get the same colour: by their place in the run's sorted list. "all" is grey. */
export function colours(names) {
  const sorted = [...names].filter((n) => n !== "all").sort();
  return (name) => (name === "all" ? 8 : sorted.indexOf(name) % 8);
}

export async function copy(text) {
  await navigator.clipboard.writeText(text);
}

/** Previous and next, side by side; null for either end. */
export function turnButtons(back, on) {
  return h(
    "span",
    { class: "nowrap" },
    h("button", { disabled: !back, onclick: back }, "← Previous"),
    " ",
    h("button", { disabled: !on, onclick: on }, "Next →"),
  );
}
