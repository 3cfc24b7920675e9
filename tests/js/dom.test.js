import assert from "node:assert/strict";
import test from "node:test";

import { bounded, visible } from "../../innovator_rl/dashboard/static/js/core/dom.js";

test("a flood of combining marks is cut, and real text is not", () => {
  const flood = `e${"\u0301".repeat(50000)}x`;
  assert.ok(bounded(flood).length < 60);
  assert.match(visible(flood), /49984 more marks/);
  assert.ok(bounded("ᬓ᭄".repeat(20000)).length < 100);
  assert.ok(bounded("क्".repeat(20000)).length < 100);
  for (const text of ["Việt Nam", "संस्कृत वाक्य", "ᬩᬮᬶ ᬓ᭄ᬭᬫ", "क्षत्रिय", "e\u0301\u0323", "x".repeat(100)])
    assert.equal(bounded(text), text);
});

test("an endless word of joined letters is divided, once", () => {
  const shown = visible("ل".repeat(1000));
  assert.equal(shown.split("\u2009").length, 3);
  assert.equal(visible(shown), shown);
  assert.equal(visible("السلام عليكم"), "السلام عليكم");
});

test("a flood of invisible characters stays short", () => {
  const shown = visible("a\u3164".repeat(50000));
  assert.ok(shown.length < 110_000);
  assert.ok(shown.startsWith("a‹U+3164›a"));
  assert.ok(!shown.includes("\u3164"));
});

test("characters that hide or reorder text are written out", () => {
  assert.equal(visible("a\u061cb\u3164c\u00add\u2028e\u202ef"), "a‹U+061C›b‹U+3164›c‹U+00AD›d‹U+2028›e‹U+202E›f");
  assert.equal(visible("tab\tand\nline, می‌خواهم, 👩‍👧"), "tab\tand\nline, می‌خواهم, 👩‍👧");
});
