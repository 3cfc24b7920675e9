// The outline of a long text, and floods of marks that no browser lays out in time.

import assert from "node:assert/strict";
import { test } from "node:test";

import { bounded } from "../../innovator_rl/dashboard/static/js/core/dom.js";
import { outline } from "../../innovator_rl/dashboard/static/js/text/outline.js";

const filler = (/** @type {string} */ word) => `${word} is a line of reasoning that says little. `.repeat(20);

test("headings, steps, changes of mind and the answer are entries, in their order", () => {
  const text = [
    "## Plan",
    filler("a"),
    "Step 1: expand",
    filler("b"),
    "Wait, that is wrong.",
    filler("c"),
    "So \\boxed{42}.",
  ].join("\n");
  const found = outline(text).entries;
  assert.deepEqual(
    found.map((one) => [one.line, one.kind]),
    [
      [0, "heading"],
      [2, "step"],
      [4, "turn"],
      [6, "answer"],
    ],
  );
  assert.equal(found[0].title, "Plan");
});

test("the extracted answer is marked where it last stands", () => {
  const text = ["it may be 17", filler("a"), "it is 17", "done"].join("\n");
  assert.deepEqual(
    outline(text, "17").entries.map((one) => one.line),
    [2],
  );
});

test("a passage that repeats an earlier one is named, a long stretch gets an entry, and nothing inside code does", () => {
  const lines = Array.from({ length: 40 }, (_, i) => filler(`n${i % 30}`));
  const found = outline(["```", "# not a heading", "```", ...lines].join("\n"));
  assert.equal(found.repeated.size, 10);
  assert.ok(found.entries.length > 5);
  assert.ok(found.entries.every((one) => one.kind === "passage"));
});

test("a text of thousands of headings keeps few entries, the last one among them", () => {
  const found = outline("# A heading\n".repeat(4000)).entries;
  assert.ok(found.length <= 80 && found.length > 20);
});

test("floods of marks, joiners and jamo on one letter are cut, and ordinary text is not", () => {
  for (const flood of ["\u0301", "\u200d👨", "\u1100", "\ufe0f"])
    assert.ok(bounded(`e${flood.repeat(5000)}`).length < 120, flood);
  for (const plain of ["e\u0301a\u0308", "👨‍👩‍👧‍👦 family", "한국어 문장", "q\u0323\u0307"])
    assert.equal(bounded(plain), plain);
});
