// Numbers read the same everywhere, and nothing is ever shown as "null" or "NaN".

import assert from "node:assert/strict";
import { test } from "node:test";

import * as format from "../../innovator_rl/dashboard/static/js/core/format.js";

test("a missing value is an en dash", () => {
  for (const show of [format.num, format.signed, format.percent, format.compact, format.duration])
    for (const missing of [null, undefined, NaN, Infinity]) assert.equal(show(missing), format.NONE);
  for (const missing of [null, undefined, "", "not a time"]) assert.equal(format.when(missing), format.NONE);
  assert.equal(format.humanize(""), format.NONE);
});

test("numbers", () => {
  assert.deepEqual(
    [0.031234, 12.44, 8192, -0.5, 0, 1e-5, 3.4e38].map((x) => format.num(x)),
    ["0.0312", "12.4", "8,192", "−0.5", "0", "1.0e-5", "3.4e+38"],
  );
  assert.deepEqual(
    [0.5, -0.5, 0].map((x) => format.signed(x)),
    ["+0.5", "−0.5", "0"],
  );
  assert.deepEqual([0, 0.005, 0.5, 0.995, 1].map(format.percent), ["0 %", "0.5 %", "50 %", "99.5 %", "100 %"]);
  assert.deepEqual([999, 1234, 8.1e6, 2e9].map(format.compact), ["999", "1.23k", "8.1M", "2G"]);
});

test("durations", () => {
  assert.deepEqual([0, 0.0001, 0.3, 4.25, 42, 185, 7800, 273600, 86400].map(format.duration), [
    "0 s",
    "< 1 ms",
    "300 ms",
    "4.3 s",
    "42 s",
    "3 min 5 s",
    "2 h 10 min",
    "3 d 4 h",
    "1 d",
  ]);
});

test("a time to come is no time ago", () => {
  assert.deepEqual([null, 0.2, 42, -2541].map(format.ago), [
    "–",
    "200 ms ago",
    "42 s ago",
    "clock ahead by 42 min 21 s",
  ]);
  assert.equal(format.duration(-5), "−5 s");
});

test("compared figures have the same decimals, and nothing has no sign", () => {
  assert.deepEqual(
    [0.43, -0.0004, -0.2114, 0].map((x) => format.fixed(x, 3, true)),
    ["+0.430", "0.000", "−0.211", "0.000"],
  );
  assert.equal(format.fixed(null, 3), "–");
});

test("what ends a turn is left out, and nothing else", () => {
  assert.equal(format.withoutEnd("True<|im_end|>\n<|endoftext|>\n"), "True");
  assert.equal(format.withoutEnd("<|im_end|>"), "");
  assert.equal(format.withoutEnd("a <|im_end|> b"), "a <|im_end|> b");
});
