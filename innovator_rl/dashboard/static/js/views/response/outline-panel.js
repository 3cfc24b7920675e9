// The outline of a text next to it, with jumps. The entry that is being read is marked while the reader scrolls.

import { h, visible } from "../../core/dom.js";
import { num, plural } from "../../core/format.js";

/** @typedef {import("../../text/outline.js").Entry} Entry */

const FEWEST = 3;
const BELOW_HEAD_PIXELS = 90;
const BESIDE_PIXELS = 1100; // as in narrow.css

/**
 * The drawn block that holds a line: the last one that begins at or before it.
 * @param {Element} prose
 * @param {number} line
 */
function blockAt(prose, line) {
  let found = null;
  for (const node of prose.querySelectorAll("[data-line]"))
    if (node instanceof HTMLElement && Number(node.dataset.line) <= line) found = node;
  return found;
}

/**
 * Show a block at the top of the window, unfolding what it lies in.
 * @param {HTMLElement | null} block
 */
function jump(block) {
  if (!block) return;
  const fold = block.closest("details");
  if (fold) fold.open = true;
  block.scrollIntoView({ block: "start" });
  block.classList.add("jumped");
  setTimeout(() => block.classList.remove("jumped"), 1600);
}

/**
 * The outline and the keys that go through it; null where the text has too few parts to need one.
 * @param {Element} prose the drawn text
 * @param {{ entries: Entry[], repeated: Set<number> }} found
 * @param {AbortSignal} signal
 */
export function outlinePanel(prose, { entries, repeated }, signal) {
  for (const line of repeated) blockAt(prose, line)?.classList.add("repeated");
  if (entries.length < FEWEST) return null;
  const blocks = entries.map((one) => blockAt(prose, one.line));
  const items = entries.map((one, i) =>
    h("button", { class: `entry ${one.kind}`, onclick: () => jump(blocks[i]) }, visible(one.title)),
  );
  const current = () =>
    blocks.findLastIndex((block) => block !== null && block.getBoundingClientRect().top < BELOW_HEAD_PIXELS);
  const mark = () => {
    const at = current();
    items.forEach((item, i) => item.setAttribute("aria-current", String(i === at)));
  };
  let waiting = 0;
  addEventListener("scroll", () => (waiting ||= requestAnimationFrame(() => ((waiting = 0), mark()))), {
    signal,
    passive: true,
  });
  const go = (/** @type {1 | -1} */ by) => () => {
    jump(blocks[Math.max(0, Math.min(blocks.length - 1, current() + by))]);
    mark();
  };
  return {
    element: h(
      "details",
      { class: "outline", open: innerWidth > BESIDE_PIXELS },
      h("summary", null, "Outline ", h("span", { class: "dim num" }, num(entries.length))),
      repeated.size > 0 && h("p", { class: "dim small" }, `${plural(repeated.size, "repeated passage")} marked`),
      h("nav", { "aria-label": "Outline of the response" }, items),
    ),
    next: go(1),
    previous: go(-1),
  };
}
