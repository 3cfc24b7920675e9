// A difference rebuilds both sides exactly, whatever they hold, and says how much they share.

import assert from "node:assert/strict";
import { test } from "node:test";

import { difference } from "../../innovator_rl/dashboard/static/js/text/diff.js";

/**
 * Check that the runs hold the whole of both sides, in order and without empty or equal neighbors.
 * @param {string} a
 * @param {string} b
 */
function rebuilds(a, b) {
  const found = difference(a, b);
  const side = (/** @type {number} */ other) =>
    found.runs
      .filter(([kind]) => kind !== other)
      .map(([, text]) => text)
      .join("");
  assert.equal(side(1), a);
  assert.equal(side(-1), b);
  assert.ok(found.runs.every(([kind, text], i) => text !== "" && kind !== found.runs[i + 1]?.[0]));
  assert.ok(found.shared >= 0 && found.shared <= 1);
  return found;
}

/**
 * A repeatable source of whole numbers below `most`.
 * @param {number} seed
 */
function numbers(seed) {
  let state = seed;
  return (/** @type {number} */ most) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * most);
  };
}

test("equal and empty texts", () => {
  assert.deepEqual(rebuilds("the same", "the same"), { runs: [[0, "the same"]], shared: 1, rough: false });
  assert.deepEqual(rebuilds("", ""), { runs: [], shared: 1, rough: false });
  assert.equal(rebuilds("only here", "").shared, 0);
});

test("one changed word is one change", () => {
  assert.deepEqual(rebuilds("The answer is 42 meters.", "The answer is 43 meters.").runs, [
    [0, "The answer is "],
    [-1, "42"],
    [1, "43"],
    [0, " meters."],
  ]);
});

test("random edits of random texts are rebuilt", () => {
  const WORDS = ["mass", "energy", "x", "=", "2", "\n\n", "é", "𝒙", ".", "the"];
  for (let seed = 1; seed <= 200; seed += 1) {
    const below = numbers(seed);
    const text = () => Array.from({ length: below(60) }, () => WORDS[below(WORDS.length)]).join(below(2) ? " " : "");
    rebuilds(text(), text());
  }
});

test("texts with nothing in common are compared in bounded time, by sentences first", () => {
  const below = numbers(7);
  const text = () => Array.from({ length: 6000 }, () => `w${below(1e6)}${below(9) ? "" : "."}`).join(" ");
  assert.equal(rebuilds(text(), text()).rough, true);
});
