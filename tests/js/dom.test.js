import assert from "node:assert/strict";
import test from "node:test";

import { bounded, visible } from "../../innovator_rl/dashboard/static/js/core/dom.js";

test("a flood of combining marks is cut, and real text is not", () => {
  const flood = `e${"\u0301".repeat(50000)}x`;
  assert.ok(bounded(flood).length < 60);
  assert.match(visible(flood), /49984 more marks/);
  for (const text of ["Việt Nam", "क्षत्रिय", "e\u0301\u0323", "x".repeat(100)]) assert.equal(bounded(text), text);
});

test("characters that hide or reorder text are written out", () => {
  assert.equal(visible("a\u061cb\u3164c\u00add\u2028e\u202ef"), "a‹U+061C›b‹U+3164›c‹U+00AD›d‹U+2028›e‹U+202E›f");
  assert.equal(visible("tab\tand\nline, می‌خواهم, 👩‍👧"), "tab\tand\nline, می‌خواهم, 👩‍👧");
});
