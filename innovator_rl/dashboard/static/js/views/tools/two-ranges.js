// Two ranges of steps to compare, of training or of validation: what they are by default, and the form that changes them.

import { segmented } from "../../components/navigation.js";
import { h } from "../../core/dom.js";
import { go, withQuery } from "../../core/router.js";

const MOST_NAMED = 12;

/** @typedef {{ kind: "train" | "validation", steps: number[], first: string, last: string }} Ranges */

/**
 * The kind and the steps that the address names, else the first and the last quarter of the steps. Steps that only training
 * has are of training.
 * @param {import("../../api/types.js").RunInfo} info
 * @param {URLSearchParams} query
 * @returns {Ranges}
 */
export function rangesOf(info, query) {
  // validation asks the same prompts at every step; training seldom does
  const repeated = (info.record?.validation?.steps.length ?? 0) > 1;
  const named = [query.get("step"), query.get("step2")].flatMap((text) => text ?? []);
  const validated = named.every((text) => covers(info.record?.validation?.steps ?? [], text));
  const kind =
    (query.get("kind") ?? (repeated && validated ? "validation" : "train")) === "validation" ? "validation" : "train";
  const steps = info.record?.[kind]?.steps ?? [];
  const span = Math.max(1, Math.floor(steps.length / 4));
  return { kind, steps, first: range(steps.slice(0, span)), last: range(steps.slice(-span)) };
}

/**
 * Whether one of the steps is in a range as the reader writes it, such as `12` or `1-10`.
 * @param {number[]} steps
 * @param {string} text
 */
function covers(steps, text) {
  const [low, high] = text.split("-").map(Number);
  return steps.some((step) => step >= low && step <= (high ?? low));
}

/**
 * Which steps there are, so that nobody has to guess.
 * @param {string} kind
 * @param {number[]} steps
 */
export function recordedSteps(kind, steps) {
  const gapless = steps.every((step, i) => i === 0 || step === steps[i - 1] + 1);
  const named = gapless || steps.length > MOST_NAMED ? `${steps[0]} to ${steps.at(-1)}` : steps.join(", ");
  return (
    steps.length > 0 && h("p", { class: "dim" }, `${kind === "train" ? "Training" : "Validation"}: steps ${named}`)
  );
}

/** @param {number[]} steps */
const range = (steps) => (steps.length > 1 ? `${steps[0]}-${steps.at(-1)}` : String(steps[0] ?? ""));

/**
 * A field for a range of steps.
 * @param {string} name of the parameter
 * @param {string} value
 * @param {string} title
 */
export const stepField = (name, value, title) =>
  h(
    "label",
    { class: "field" },
    h("span", null, title),
    h("input", {
      id: `steps-${name}`,
      type: "text",
      value,
      placeholder: "12 or 1-10",
      onchange: (event) => go(withQuery({ [name]: event.target.value.trim() })),
    }),
  );

/**
 * The choice between training and validation, where there is a choice.
 * @param {import("../../api/types.js").RunInfo} info
 * @param {string} kind
 */
export const kindField = (info, kind) =>
  (info.record?.validation?.rows ?? 0) > 0 &&
  h(
    "div",
    { class: "field" },
    h("span", null, "Kind"),
    segmented(
      "Kind",
      [
        ["train", "Training"],
        ["validation", "Validation"],
      ],
      kind,
      (v) => go(withQuery({ kind: v, step: null, step2: null })),
    ),
  );
