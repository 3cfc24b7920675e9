// Two to four runs next to each other: their curves in one chart each, and the configuration keys that differ.

import * as api from "../../api/client.js";
import { lineChart } from "../../components/charts/line.js";
import { segmented } from "../../components/navigation.js";
import { empty } from "../../components/states.js";
import { table } from "../../components/table.js";
import { h, replace } from "../../core/dom.js";
import { num, percent } from "../../core/format.js";
import { go, link, withQuery } from "../../core/router.js";

/** @type {[key: string, title: string, format: import("../../components/charts/axes.js").Format][]} */
const MEASURES = [
  ["reward", "Reward, all samples", num],
  ["accuracy", "Accuracy", percent],
  ["length", "Response tokens", num],
  ["entropy", "Entropy", num],
  ["truncated", "Truncated", percent],
  ["clip_high", "Clipped above", percent],
];

/**
 * @param {import("../types.js").Context} context
 * @returns {Promise<import("../types.js").View>}
 */
export default async function view({ query, signal }) {
  const names = query.getAll("run");
  const domain = query.get("domain") ?? "all";
  if (names.length < 2)
    return { title: "Compare", nodes: [empty("Choose two to four runs", h("a", { href: "#/" }, "All runs"))] };
  const [differences, ...all] = await Promise.all([
    api.compare(names, signal),
    ...names.map((name) => api.curves(name, { by: "domain" }, signal)),
  ]);
  const known = [
    "all",
    ...new Set(
      all
        .flatMap((c) => c.series.map((one) => one.name))
        .filter((name) => name !== "all")
        .sort(),
    ),
  ];
  const charts = MEASURES.map(([key, title, format]) =>
    lineChart({
      title,
      format,
      series: names.map((name, i) => {
        const points = all[i].series.find((one) => one.name === domain)?.points[key] ?? [];
        return { name, color: i, points: all[i].steps.map((x, j) => ({ x, y: points[j] })) };
      }),
      onpick: (step, one) =>
        one && go(link(["runs", one.name, "rollouts"], { step, domain: domain === "all" ? null : domain })),
    }),
  );
  const keyTable = (/** @type {import("../../api/types.js").Difference[]} */ rows, /** @type {string} */ caption) =>
    rows.length
      ? table({
          caption,
          cards: true,
          rows,
          columns: [
            { title: "Key", cell: (row) => h("code", null, row.key) },
            ...names.map((name, i) => ({
              title: name,
              class: "titled whole",
              cell: (/** @type {import("../../api/types.js").Difference} */ row) =>
                h("code", null, show(row.values[i])),
            })),
          ],
        }).element
      : h("p", { class: "state" }, "Nothing differs");
  const body = h("div", { class: "charts" });
  replace(body, charts);
  return {
    title: `Compare ${names.join(", ")}`,
    nodes: [
      h(
        "nav",
        { class: "crumbs", "aria-label": "Breadcrumbs" },
        h("a", { href: "#/" }, "Runs"),
        h("span", null, "Compare"),
      ),
      h(
        "div",
        { class: "page-head" },
        h(
          "h1",
          null,
          names.map((name, i) => [i ? " · " : "", h("a", { href: link(["runs", name]) }, name)]),
        ),
        known.length > 2 &&
          segmented(
            "Domain",
            known.map((n) => /** @type {const} */ ([n, n])),
            domain,
            (value) => go(withQuery({ domain: value === "all" ? null : value })),
          ),
        names.length === 2 &&
          h(
            "a",
            { class: "button", href: link(["runs", names[0], "change"], { run2: names[1] }) },
            "Newly solved and lost",
          ),
      ),
      h(
        "div",
        { class: "stack" },
        body,
        h(
          "section",
          { class: "panel" },
          h("header", null, h("h2", null, "Configuration keys that differ")),
          keyTable(differences.config, "Configuration differences"),
        ),
        differences.packages?.length > 0 &&
          h(
            "section",
            { class: "panel" },
            h("header", null, h("h2", null, "Packages that differ")),
            keyTable(differences.packages, "Package differences"),
          ),
      ),
    ],
  };
}

/** @param {unknown} value */
const show = (value) =>
  value === null || value === undefined
    ? "–"
    : typeof value === "string"
      ? value
      : typeof value === "number" && value !== 0 && Math.abs(value) < 1e-3
        ? value.toExponential()
        : JSON.stringify(value);
