// The filters next to the list of responses. Every control changes the address and nothing else.

import { h } from "../../core/dom.js";
import { filterValue } from "../../core/filters.js";
import { humanize } from "../../core/format.js";
import { go, withQuery } from "../../core/router.js";

const STATUSES = ["kept", "dropped", "failed", "pending"];
const THREE = [
  ["", "any"],
  ["true", "yes"],
  ["false", "no"],
  ["none", "unknown"],
];

/**
 * Check boxes for the values of one column. Several may be on.
 * @param {string} title
 * @param {string} key
 * @param {string[] | undefined} values
 * @param {URLSearchParams} query
 */
function facet(title, key, values, query) {
  if (!values?.length) return null;
  const chosen = new Set(query.getAll(key));
  const flip = (/** @type {string} */ value, /** @type {boolean} */ on) => {
    if (on) chosen.add(value);
    else chosen.delete(value);
    go(withQuery({ [key]: [...chosen] }));
  };
  const boxes = values.map((value) => {
    const code = key === "label" ? value : filterValue(value);
    return h(
      "label",
      { class: "check" },
      h("input", {
        id: `filter-${key}-${code}`,
        type: "checkbox",
        checked: chosen.has(code),
        onchange: (event) => flip(code, event.target.checked),
      }),
      h("span", null, value === "" ? "none" : humanize(value)),
    );
  });
  const many = boxes.length > 8 && !boxes.slice(8).some((_, i) => chosen.has(values[i + 8]));
  return h(
    "fieldset",
    null,
    h("legend", null, title),
    boxes.slice(0, many ? 7 : undefined),
    many && h("details", null, h("summary", { class: "dim" }, `${boxes.length - 7} more`), boxes.slice(7)),
  );
}

/**
 * Yes, no or unknown.
 * @param {string} title
 * @param {string} key
 * @param {URLSearchParams} query
 */
function choice(title, key, query) {
  const chosen = query.get(key) ?? "";
  return h(
    "label",
    { class: "field" },
    h("span", null, title),
    h(
      "select",
      { id: `filter-${key}`, onchange: (event) => go(withQuery({ [key]: event.target.value })) },
      THREE.map(([value, text]) => h("option", { value, selected: value === chosen }, text)),
    ),
  );
}

/**
 * The least and the greatest value of a column.
 * @param {string} title
 * @param {string} name
 * @param {URLSearchParams} query
 */
function range(title, name, query) {
  const box = (/** @type {"min" | "max"} */ end) =>
    h("input", {
      id: `filter-${name}-${end}`,
      type: "number",
      step: "any",
      inputmode: "decimal",
      "aria-label": `${title}, ${end === "min" ? "at least" : "at most"}`,
      placeholder: end === "min" ? "from" : "to",
      value: query.get(`${name}_${end}`) ?? "",
      onchange: (event) => go(withQuery({ [`${name}_${end}`]: event.target.value })),
    });
  return h("div", { class: "field" }, h("span", null, title), h("span", { class: "range" }, box("min"), box("max")));
}

/**
 * Search the text of the responses, by words or by a regular expression. Enter starts it.
 * @param {URLSearchParams} query
 */
function searchField(query) {
  const expression = query.has("regex");
  /** @type {HTMLSelectElement} */
  const mode = h(
    "select",
    { "aria-label": "Search by", onchange: () => input.value && start() },
    h("option", { value: "word", selected: !expression }, "Words"),
    h("option", { value: "regex", selected: expression }, "Regex"),
  );
  const input = h("input", {
    id: "search",
    type: "search",
    placeholder: "in responses",
    "aria-label": "Search the responses",
    value: query.get("regex") ?? query.get("word") ?? "",
    spellcheck: "false",
    autocapitalize: "off",
    autocomplete: "off",
  });
  const start = () =>
    go(
      withQuery({
        word: mode.value === "word" ? input.value.trim() : null,
        regex: mode.value === "regex" ? input.value : null,
        focus: null,
      }),
    );
  const submit = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    input.blur();
    start();
  };
  return h("form", { class: "search", role: "search", onsubmit: submit }, mode, input);
}

/**
 * Whether a column adds to another: many runs name domain, source and rewarder alike.
 * @type {(values?: string[], others?: string[]) => boolean}
 */
const differs = (values, others) => values !== undefined && values.length > 1 && values.join() !== others?.join();

/** @type {boolean | null} on a phone the filters stay as the reader left them */
let unfolded = null;

/**
 * All filters, in the state that the query describes.
 * @param {import("../../api/types.js").RunInfo} info
 * @param {URLSearchParams} query
 */
export function filterRail(info, query) {
  const { values } = info;
  const step = h("input", {
    id: "filter-step",
    type: "text",
    placeholder: "12, 3-9 or last",
    value: query.get("step") ?? "",
    onchange: (event) => go(withQuery({ step: event.target.value.trim() })),
  });
  const reasons = (values.drop_reason ?? []).filter((one) => one !== "");
  const body = [
    h("label", { class: "field" }, h("span", null, "Steps"), step),
    (info.record?.validation?.rows ?? 0) > 0 &&
      h(
        "label",
        { class: "field" },
        h("span", null, "Kind"),
        h(
          "select",
          {
            onchange: (event) =>
              go(withQuery({ kind: event.target.value === "train" ? null : event.target.value, step: null })),
          },
          [
            ["train", "training"],
            ["validation", "validation"],
          ].map(([value, text]) => h("option", { value, selected: (query.get("kind") ?? "train") === value }, text)),
        ),
      ),
    choice("Correct", "correct", query),
    choice("Cut off", "truncated", query),
    range("Reward", "score", query),
    range("Tokens", "tokens", query),
    facet("Domain", "domain", values.domain, query),
    facet("Status", "status", STATUSES, query),
    facet("Why dropped", "drop_reason", reasons, query),
    facet("Reason", "reason", values.reason, query),
    (values.outcome ?? []).length > 1 && facet("Outcome", "outcome", values.outcome, query),
    differs(values.data_source, values.domain) && facet("Data source", "data_source", values.data_source, query),
    differs(values.rewarder, values.domain) && facet("Rewarder", "rewarder", values.rewarder, query),
    facet("Label", "label", values.label, query),
  ];
  unfolded ??= !matchMedia("(max-width: 900px)").matches;
  return h(
    "aside",
    { class: "filters", "aria-label": "Filters" },
    searchField(query),
    h(
      "details",
      {
        open: unfolded,
        ontoggle: (event) => {
          unfolded = event.target.open;
        },
      },
      h("summary", null, "Filters"),
      h("div", { class: "filter-body" }, body),
    ),
  );
}
