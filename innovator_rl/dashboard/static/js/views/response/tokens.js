// The tokens of a response, each colored by what was measured at it. Only a window of a long response is built.

import * as api from "../../api/client.js";
import { segmented } from "../../components/navigation.js";
import { empty, fill } from "../../components/states.js";
import { h, replace, visible } from "../../core/dom.js";
import { num, percent, signed } from "../../core/format.js";
import { go, withQuery } from "../../core/router.js";

/** @typedef {import("../../api/types.js").Tokens} Tokens */

const WINDOW = 2000;
/** @param {number} x */
const clamp = (x) => Math.max(0, Math.min(1, x));
/**
 * What the tokens can be colored by. `heat` is -1 to 1: below 0 is cold, above is hot, 0 is left plain.
 * @typedef {object} Measure
 * @property {string} title
 * @property {import("../../api/types.js").TokenSeries | null} series null: one value for the whole response
 * @property {(value: number, data: Tokens) => number} heat
 * @property {string} low what the cold end means
 * @property {string} high what the hot end means
 * @property {boolean} [two] whether there is a cold end
 */

/** @type {Record<string, Measure>} */
const MEASURES = {
  logprob: {
    title: "Log-probability",
    series: "logprob",
    heat: (v) => clamp(-v / 6),
    low: "certain",
    high: "unlikely (−6)",
  },
  ratio: {
    title: "Ratio",
    series: "ratio",
    heat: (v, d) => clip(Math.log(v), Math.log(1 + (d.clip?.high ?? 0.28))),
    low: "less likely now",
    high: "more likely now",
    two: true,
  },
  clip: { title: "Clip side", series: "clip_side", heat: (v) => v, low: "lower bound", high: "upper bound", two: true },
  entropy: {
    title: "Entropy",
    series: "entropy",
    heat: (v, d) => clamp(v / Math.max(1, d.ranges?.entropy?.[1] ?? 3)),
    low: "none",
    high: "greatest",
  },
  gap: {
    title: "Trainer gap",
    series: "gap",
    heat: (v) => clip(v, 0.5),
    low: "trainer lower (−0.5)",
    high: "trainer higher (+0.5)",
    two: true,
  },
  advantage: {
    title: "Advantage",
    series: null,
    heat: (_, d) => clip(d.advantage ?? 0, 2),
    low: "discouraged",
    high: "encouraged",
    two: true,
  },
};
/** @type {(v: number, most: number) => number} */
const clip = (v, most) => Math.max(-1, Math.min(1, v / most));
/** @param {number} heat */
const level = (heat) =>
  !Number.isFinite(heat) || Math.abs(heat) < 0.04
    ? ""
    : `${heat > 0 ? "h" : "k"}${Math.min(6, Math.ceil(Math.abs(heat) * 6))}`;

/**
 * The tokens of a response, or what to say where none were recorded.
 * @param {import("./page.js").Place} at
 * @param {import("../../api/types.js").ResponseInfo} data
 */
export function tokenPanel({ run, key, query, signal }, data) {
  const none = () =>
    empty("No token data was recorded for this response", "The tokens/ and updates/ folders of the run hold none.");
  if (!data.tokens) return none();
  const slot = h("div");
  const offset = Math.max(0, Number(query.get("from")) || 0);
  fill(
    slot,
    async () => {
      try {
        return await api.tokens(run, { ...key, offset, limit: WINDOW }, signal);
      } catch (problem) {
        if (problem instanceof api.ApiError && problem.status === 404) return null;
        throw problem;
      }
    },
    (found) => (found ? strip(found, query) : none()),
    "Reading the tokens",
  );
  return slot;
}

/** @type {(data: Tokens, measure: Measure, i: number) => number | null | undefined} */
const value = (data, measure, i) => (measure.series === null ? data.advantage : data.series[measure.series]?.[i]);

/**
 * @param {Tokens} data
 * @param {URLSearchParams} query
 */
function strip(data, query) {
  const there = Object.entries(MEASURES).filter(([, m]) =>
    m.series === null ? data.advantage !== null : data.series[m.series],
  );
  const name = (there.find(([n]) => n === query.get("metric")) ?? there[0])?.[0] ?? "logprob";
  const measure = MEASURES[name];
  const info = h("div", { class: "token-info", role: "status" });
  const tokens = data.text.map((text, i) => {
    const v = value(data, measure, i);
    return h(
      "span",
      { class: `t ${v === null || v === undefined ? "" : level(measure.heat(v, data))}`, dataset: { i } },
      shownToken(text),
    );
  });
  const box = h(
    "div",
    {
      class: "tokens",
      tabindex: "0",
      role: "application",
      "aria-label": "Tokens. Left and right move from token to token.",
    },
    tokens,
  );
  const map = miniature(data, measure, (i) => select(i, true));
  let at = -1;
  const select = (/** @type {number} */ i, scroll = false) => {
    tokens[at]?.classList.remove("at");
    at = Math.max(0, Math.min(tokens.length - 1, i));
    tokens[at]?.classList.add("at");
    if (scroll) tokens[at]?.scrollIntoView({ block: "center" });
    replace(info, describe(data, at));
  };
  /** @param {Event} event */
  const under = (event) => {
    const i = event.target instanceof HTMLElement ? event.target.dataset.i : undefined;
    return i === undefined ? null : Number(i);
  };
  box.addEventListener("pointerover", (event) => {
    const i = under(event);
    if (i !== null) select(i);
  });
  box.addEventListener("click", (event) => {
    const i = under(event);
    if (i !== null) go(withQuery({ token: data.offset + i }));
  });
  box.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    select(at + by, true);
  });
  const wanted = Number(query.get("token") ?? NaN) - data.offset;
  if (wanted >= 0 && wanted < tokens.length) queueMicrotask(() => select(wanted, true));
  replace(info, h("span", { class: "dim" }, "Point at a token to see its figures; click it for a link to it."));
  return h(
    "div",
    { class: "stack" },
    h(
      "div",
      { class: "line" },
      segmented(
        "Color by",
        there.map(([n, m]) => [n, m.title]),
        name,
        (v) => go(withQuery({ metric: v })),
      ),
      scale(measure),
    ),
    map,
    info,
    box,
    pager(data),
    ids(data),
  );
}

/**
 * The text of a token. Line ends are kept, and marked, so that the strip reads like the text.
 * @param {string} text
 * @returns {import("../../core/dom.js").Child}
 */
function shownToken(text) {
  if (!text.includes("\n")) return visible(text) || "∅";
  return text
    .split("\n")
    .flatMap((part, i) =>
      i ? [h("span", { class: "nl", "aria-hidden": "true" }, "⏎"), "\n", visible(part)] : [visible(part)],
    );
}

/**
 * The figures of one token.
 * @param {Tokens} data
 * @param {number} i
 */
function describe(data, i) {
  /** @type {(label: string, x: number | null | undefined, format?: (x: number) => string) => Node | false} */
  const figure = (label, x, format = num) =>
    x !== undefined &&
    x !== null &&
    !Number.isNaN(x) &&
    h("span", null, h("span", { class: "dim" }, `${label} `), h("b", null, format(x)));
  const { logprob, old_logprob: old, ratio, clip_side: side, entropy, gap } = data.series;
  return [
    h(
      "span",
      null,
      h("b", null, `#${num(data.offset + i)}`),
      " ",
      h("code", null, visible(JSON.stringify(data.text[i]))),
    ),
    figure("id", data.ids[i], String),
    figure("log p", logprob?.[i]),
    figure("p", Math.exp(logprob?.[i] ?? NaN), percent),
    figure("trainer's log p", old?.[i]),
    figure("ratio", ratio?.[i], (v) => num(v, 4)),
    side?.[i] ? h("span", { class: "badge warn" }, side[i] > 0 ? "clipped above" : "clipped below") : null,
    figure("entropy", entropy?.[i]),
    figure("gap", gap?.[i], signed),
    figure("advantage", data.advantage, signed),
  ];
}

/** @param {Measure} measure */
function scale(measure) {
  const levels = measure.two ? ["k6", "k4", "k2", "", "h2", "h4", "h6"] : ["", "h1", "h2", "h3", "h4", "h5", "h6"];
  return h(
    "span",
    { class: "scale" },
    measure.low,
    h(
      "span",
      { class: "ramp", "aria-hidden": "true" },
      levels.map((c) => h("i", { class: c })),
    ),
    measure.high,
  );
}

/**
 * The whole window in one line, which shows where the colored tokens are. A click goes there.
 * @param {Tokens} data
 * @param {Measure} measure
 * @param {(i: number) => void} pick
 */
function miniature(data, measure, pick) {
  const count = data.text.length;
  const canvas = h("canvas", {
    class: "token-map",
    width: Math.min(1600, Math.max(1, count)),
    height: 1,
    "aria-hidden": "true",
  });
  const paint = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const style = getComputedStyle(document.documentElement);
  const [hot, cold] = [style.getPropertyValue("--heat"), style.getPropertyValue("--cold")];
  for (let x = 0; x < canvas.width; x += 1) {
    let most = 0;
    for (let i = Math.floor((x * count) / canvas.width); i < ((x + 1) * count) / canvas.width; i += 1) {
      const v = value(data, measure, i);
      const heat = v === null || v === undefined ? 0 : measure.heat(v, data);
      if (Math.abs(heat) > Math.abs(most)) most = heat;
    }
    paint.globalAlpha = Math.min(1, Math.abs(most));
    paint.fillStyle = most > 0 ? hot : cold;
    paint.fillRect(x, 0, 1, 1);
  }
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    pick(Math.floor(((event.clientX - box.left) / box.width) * count));
  });
  return canvas;
}

/** @param {Tokens} data */
function pager(data) {
  const end = data.offset + data.text.length;
  if (data.offset === 0 && end >= data.total) return null;
  const turn = (/** @type {number} */ to) => () => go(withQuery({ from: to || null, token: null }));
  return h(
    "nav",
    { class: "pager", "aria-label": "Parts of the response" },
    h("button", { disabled: data.offset <= 0, onclick: turn(Math.max(0, data.offset - WINDOW)) }, "← Earlier"),
    h("span", { class: "dim num" }, `tokens ${num(data.offset)} to ${num(end)} of ${num(data.total)}`),
    h("button", { disabled: end >= data.total, onclick: turn(end) }, "Later →"),
  );
}

/** @param {Tokens} data */
const ids = (data) =>
  h(
    "details",
    null,
    h(
      "summary",
      { class: "dim" },
      "Token ids",
      data.text_source === "ids" ? " (no tokenizer.json was found, so only ids are shown)" : "",
    ),
    h("div", { class: "ids" }, data.ids.join(" ")),
  );
