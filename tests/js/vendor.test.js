// The chart library that the page loads is the one that package-lock.json pins, byte for byte.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const HASHES = {
  "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
  "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
};
const read = (/** @type {string} */ path) => readFileSync(new URL(`../../${path}`, import.meta.url));
const hash = (/** @type {Buffer} */ bytes) => createHash("sha256").update(bytes).digest("hex");

test("the copy of uPlot is that of the locked package and has the committed hash", () => {
  for (const [name, expected] of Object.entries(HASHES)) {
    assert.equal(hash(read(`innovator_rl/dashboard/static/vendor/${name}`)), expected);
    assert.equal(hash(read(`node_modules/uplot/dist/${name}`)), expected);
  }
});
