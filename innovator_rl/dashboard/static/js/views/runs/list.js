// The list of all runs: the status, the progress and the reward of each. Two to four of them can be compared.

import { rowKeys } from "../../components/row-keys.js";
import * as api from "../../api/client.js";
import { progress, statusBadge } from "../../components/badges.js";
import { sparkline } from "../../components/charts/sparkline.js";
import { notifyProblem } from "../../components/notices.js";
import { atMost, empty } from "../../components/states.js";
import { table } from "../../components/table.js";
import { h, outsideLink, replace } from "../../core/dom.js";
import { compact, duration, num, plural, when } from "../../core/format.js";
import { go, link, withQuery } from "../../core/router.js";

/** @typedef {import("../../api/types.js").RunRow} RunRow */

/**
 * @param {import("../types.js").Context} context
 * @returns {Promise<import("../types.js").View>}
 */
export default async function view({ query, signal }) {
  /** @type {Set<string>} */
  const chosen = new Set();
  const archived = query.get("archived");
  const ask = () => api.runs(signal, { archived, tag: query.get("tag") });
  let listed = await ask();
  const find = (query.get("find") ?? "").toLowerCase();
  const matching = () =>
    listed.rows.filter((row) =>
      [row.name, row.model ?? "", ...(row.tags ?? [])].join(" ").toLowerCase().includes(find),
    );
  const body = h("div", { class: "panel" });
  const button = h("button", { disabled: true, onclick: () => go(link(["compare"], { run: [...chosen] })) }, "Compare");
  const where = h("span", { class: "dim mono" }, listed.runs_dir);
  /** @type {import("../../components/keys.js").Key[]} */
  const keys = [];
  const draw = () => {
    const rows = matching();
    const shown = runTable(rows, chosen, () => {
      button.disabled = chosen.size < 2 || chosen.size > 4;
      button.textContent = chosen.size
        ? `Compare ${chosen.size}${chosen.size === 1 ? " (choose another)" : chosen.size > 4 ? " (4 at most)" : ""}`
        : "Compare";
    });
    replace(
      body,
      shown?.element ??
        empty(
          "No run here yet",
          "A run appears as soon as ",
          h("code", null, "innovator train CONFIG"),
          " writes its directory to ",
          h("code", null, listed.runs_dir),
          ". To look around, start this page with ",
          h("code", null, "--demo"),
          ".",
        ),
    );
    keys.splice(0, keys.length, ...rowKeys(shown?.lines ?? [], (i) => go(link(["runs", rows[i].name]))));
  };
  draw();
  return {
    title: "Runs",
    nodes: [
      h(
        "div",
        { class: "page-head" },
        h("h1", null, "Runs"),
        where,
        h("span", { class: "grow" }),
        h("input", {
          id: "find-run",
          type: "search",
          placeholder: "name, model or tag",
          "aria-label": "Find runs by name, model or tag",
          value: query.get("find") ?? "",
          onchange: (event) => go(withQuery({ find: event.target.value.trim() })),
        }),
        (listed.archived > 0 || archived) &&
          h(
            "a",
            { href: withQuery({ archived: archived ? null : "show" }) },
            archived ? "hide archived" : `${listed.archived} archived`,
          ),
        listed.demo && h("span", { class: "badge note" }, "synthetic data"),
        button,
      ),
      body,
    ],
    keys,
    news: atMost(3, async () => {
      try {
        listed = await ask();
        draw();
      } catch (problem) {
        notifyProblem(problem);
      }
    }),
  };
}

/**
 * @param {RunRow[]} rows
 * @param {Set<string>} chosen
 * @param {() => void} changed called when the choice has changed
 */
function runTable(rows, chosen, changed) {
  if (!rows.length) return null;
  /** @type {import("../../components/table.js").Column<RunRow>[]} */
  const columns = [
    {
      title: h("span", { class: "visually-hidden" }, "Compare"),
      class: "wide",
      cell: (row) =>
        h("input", {
          type: "checkbox",
          "aria-label": `compare ${row.name}`,
          checked: chosen.has(row.name),
          onchange: (event) => {
            if (event.target.checked) chosen.add(row.name);
            else chosen.delete(row.name);
            changed();
          },
        }),
    },
    {
      title: "Run",
      cell: (row) => [
        h("a", { class: "run-title", href: link(["runs", row.name]) }, row.name),
        (row.tags ?? []).map((tag) => h("a", { class: "badge note", href: withQuery({ tag }) }, tag)),
        row.archived && h("span", { class: "badge" }, "archived"),
        [row.model, row.created && when(row.created)].map(
          (text) => text && h("div", { class: "dim small nowrap" }, text),
        ),
      ],
    },
    {
      title: "Status",
      cell: (row) => [
        statusBadge(row),
        ["dead", "failed", "stopped", "unknown"].includes(row.status) || row.silent
          ? h("div", { class: "dim small clip-2 wide" }, row.detail)
          : h("div", { class: "dim small" }, row.phase && row.status === "running" ? row.phase : ""),
      ],
    },
    { title: "Step", cell: progress },
    {
      title: "Reward, all",
      class: "num",
      cell: (row) => reward(row.reward, row.reward_history, "of all scored responses"),
    },
    {
      title: "Reward, trained",
      class: "num wide",
      cell: (row) => reward(row.reward_trained, row.reward_trained_history, "of the responses trained on"),
    },
    { title: "By domain", class: "wide", cell: domains },
    { title: "Tokens/s", class: "num wide", cell: (row) => compact(row.tokens_per_second) },
    {
      title: "Left",
      class: "num wide",
      cell: (row) => (["running", "starting"].includes(row.status) ? duration(row.seconds_left) : "–"),
    },
    { title: "Alerts", cell: alerts },
    {
      title: "Job",
      class: "wide",
      cell: (row) =>
        row.ray?.url
          ? h(
              "span",
              { class: "nowrap", title: row.ray.submission_id ?? row.ray.job_id },
              outsideLink(row.ray.url, "Ray job"),
            )
          : h("span", { class: "dim" }, "local"),
    },
  ];
  return table({ columns, rows, caption: "Runs", cards: true, open: (row) => go(link(["runs", row.name])) });
}

/**
 * A mean reward with its course.
 * @param {number | null} value
 * @param {(number | null)[]} history
 * @param {string} what
 */
function reward(value, history, what) {
  return h(
    "span",
    { class: "with-spark", title: `mean reward ${what}` },
    history?.length > 1 && sparkline(history, { label: `reward ${what} over ${history.length} steps` }),
    h("b", null, num(value)),
  );
}

/** @param {RunRow} row */
function domains(row) {
  if (!row.domains) return h("span", { class: "dim" }, "open the run to index it");
  return h(
    "span",
    { class: "domain-list" },
    Object.entries(row.domains).map(([name, d]) =>
      h(
        "span",
        { title: `${name}: ${plural(d.responses ?? 0, "response")}` },
        h("span", { class: "dim" }, name),
        " ",
        h("b", null, num(d.reward, 2)),
      ),
    ),
  );
}

/** @param {RunRow} row */
function alerts(row) {
  const href = link(["runs", row.name, "health"]);
  const { error = 0, warning = 0 } = row.alerts ?? {};
  return h(
    "span",
    { class: "line" },
    error > 0 && h("a", { class: "badge bad", href }, plural(error, "error")),
    warning > 0 && h("a", { class: "badge warn", href }, plural(warning, "warning")),
    row.alerts && !error && !warning && h("span", { class: "dim" }, "no alert"),
    row.problem && h("span", { class: "badge bad", title: row.problem }, "unreadable"),
    (row.problems ?? 0) > 0 &&
      h("span", { class: "badge warn", title: "files that cannot be read" }, plural(row.problems, "bad file")),
  );
}
