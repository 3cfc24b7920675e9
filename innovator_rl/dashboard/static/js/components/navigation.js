// Controls that lead from one page to another: breadcrumbs, previous and next, and a row of choices.

import { h } from "../core/dom.js";
import { link } from "../core/router.js";

/**
 * Breadcrumbs below a run. The last one has no address.
 * @param {string} run
 * @param {[text: string, href?: string][]} rest
 */
export function crumbs(run, ...rest) {
  return h(
    "nav",
    { class: "crumbs", "aria-label": "Breadcrumbs" },
    h("a", { href: link(["runs", run]) }, run),
    rest.map(([text, href]) => (href ? h("a", { href }, text) : h("span", null, text))),
  );
}

/**
 * Previous and next, side by side; null at either end.
 * @param {(() => unknown) | null} back
 * @param {(() => unknown) | null} on
 */
export function turnButtons(back, on) {
  return h(
    "span",
    { class: "nowrap" },
    h("button", { disabled: !back, onclick: back }, "← Previous"),
    " ",
    h("button", { disabled: !on, onclick: on }, "Next →"),
  );
}

/**
 * Buttons of which one is pressed.
 * @template {string | number} V
 * @param {string} label
 * @param {readonly (readonly [V, string])[]} options the value and the text of each button
 * @param {V} chosen
 * @param {(value: V) => unknown} onpick
 */
export function segmented(label, options, chosen, onpick) {
  const buttons = options.map(([value, text]) => {
    const button = h(
      "button",
      {
        id: `${label}-${value}`.toLowerCase().replaceAll(" ", "-"),
        "aria-pressed": String(value === chosen),
        onclick: () => {
          for (const one of buttons) one.setAttribute("aria-pressed", String(one === button));
          onpick(value);
        },
        dataset: { value },
      },
      text,
    );
    return button;
  });
  return h("div", { class: "segmented", role: "group", "aria-label": label }, buttons);
}
