// A chart of lines over steps, each with an optional band between a low and a high value. uPlot draws it; this module adds
// the caption, a legend whose names hide lines, the keyboard, and the numbers as a table.

import { h, replace } from "../../core/dom.js";
import { num, humanize } from "../../core/format.js";
import { finite } from "./axes.js";
import { figuresOf } from "./figures.js";
import { plot } from "./plot.js";

/** @typedef {import("./axes.js").Format} Format */
/** @typedef {import("./axes.js").Series} Series */

/**
 * Called with the step that was picked and its series; null where no line was near.
 * @typedef {(step: number, series: Series | null) => unknown} PickStep
 */

/** @param {Series} one */
const lastPoint = (one) => one.points.findLast((p) => finite(p.y));

/**
 * The last value of a step that is complete, or of any step where none is.
 * @param {Series} one
 */
const closedPoint = (one) => one.points.findLast((p) => finite(p.y) && !p.open) ?? lastPoint(one);

/**
 * What the reader chose for a chart; it outlives the redrawing that new data cause.
 * @typedef {{ hidden: Set<string>, log: boolean, range: [low: number, high: number] | null }} Choice
 */

/** @type {Map<string, Choice>} by title */
const choices = new Map();

/** @param {string} title */
function choiceOf(title) {
  const choice = choices.get(title) ?? { hidden: new Set(), log: false, range: null };
  choices.set(title, choice);
  return choice;
}

/**
 * A chart of lines over steps. A drag zooms into a range of steps; a name in the legend hides its line.
 * @param {object} options
 * @param {string} options.title
 * @param {Series[]} options.series
 * @param {number} [options.height]
 * @param {PickStep | null} [options.onpick] called by a click or the Enter key
 * @param {number} [options.weight] of the moving average; 0: no smoothing
 * @param {Format} [options.format]
 * @param {string} [options.hint] what to say where there is no value
 * @param {string} [options.note] what the chart shows beyond its lines, such as its band
 * @param {((low: number, high: number) => Node | null) | null} [options.onrange] makes a link about the steps zoomed into
 */
export function lineChart({
  title,
  series,
  height = 190,
  onpick = null,
  weight = 0,
  format = num,
  hint = "",
  note = "",
  onrange = null,
}) {
  const recorded = series.filter(lastPoint);
  const figure = h("figure", { class: "chart" });
  if (!recorded.length)
    return replace(
      figure,
      h("figcaption", null, title),
      h("p", { class: "chart-empty" }, hint || "Nothing recorded yet"),
    );
  const choice = choiceOf(title);
  const steps = [...new Set(recorded.flatMap((one) => one.points.map((p) => p.x)))].sort((a, b) => a - b);
  const ends = recorded.map((one) => `${one.name}: ${format(lastPoint(one)?.y)} at the end`).join("; ");
  const host = h("div", {
    class: onpick ? "plot pickable" : "plot",
    style: { height: `${height}px` },
    tabindex: "0",
    role: "img",
    "aria-label": `${title}, steps ${steps[0]} to ${steps.at(-1)}. ${ends}`,
  });
  const caption = h("span", { class: "at-step" });
  const legend = h("div", { class: "legend", "aria-live": "off" });
  const tools = h("span", { class: "line" });
  const drawn = plot(host, {
    series: recorded,
    steps,
    weight,
    height,
    format,
    choice,
    onpick,
    onstep: (step) => show(step),
    onzoom: () => draw(),
  });
  const show = (/** @type {number | null} */ step) => {
    caption.textContent = step === null ? "" : `step ${num(step)}`;
    replace(
      legend,
      recorded.map((one) => legendItem(one, step, choice, format, changed)),
    );
  };
  const changed = (/** @type {(names: Set<string>) => void} */ change) => {
    change(choice.hidden);
    drawn.redraw();
    show(null);
  };
  const draw = () => {
    replace(
      tools,
      choice.range && onrange?.(...choice.range),
      choice.range && h("button", { class: "plain small", onclick: () => drawn.zoom(null) }, "all steps"),
      h(
        "button",
        {
          class: "plain small",
          "aria-pressed": String(choice.log),
          onclick: () => {
            choice.log = !choice.log;
            drawn.redraw();
            draw();
          },
        },
        "log",
      ),
    );
  };
  show(null);
  draw();
  return replace(
    figure,
    h("figcaption", null, h("span", { title: note || null }, title), caption, h("span", { class: "grow" }), tools),
    host,
    legend,
    note && h("p", { class: "dim chart-note" }, note),
    figuresOf(title, recorded, format),
  );

  /**
   * @param {Series} one
   * @param {number | null} step
   * @param {Choice} chosen
   * @param {Format} shown
   * @param {(change: (names: Set<string>) => void) => void} change
   */
  function legendItem(one, step, chosen, shown, change) {
    const point = step === null ? closedPoint(one) : one.points.find((p) => p.x === step);
    const hidden = chosen.hidden.has(one.name);
    const others = recorded.map((other) => other.name).filter((name) => name !== one.name);
    return h(
      "button",
      {
        class: "legend-item",
        "aria-pressed": String(!hidden),
        title: hidden ? "Show this line" : "Hide this line; with a double click, show it alone",
        onclick: () => change((names) => names.delete(one.name) || names.add(one.name)),
        ondblclick: () => change((names) => (names.delete(one.name), others.forEach((name) => names.add(name)))),
      },
      h("i", { class: `key c${one.color}` }),
      h("span", { class: "one-line", title: one.name }, humanize(one.name)),
      h("b", null, hidden ? "" : shown(point?.y)),
    );
  }
}
