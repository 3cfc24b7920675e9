// Addresses survive the way into the hash and back, whatever a run or a value is called.

import assert from "node:assert/strict";
import { test } from "node:test";

const ODD = ["a b", "100%", "../x", "é/?#&=", "<b>", "%2F"];
/** @type {{ hash: string }} the part of the browser's `location` that the router uses */
const place = { hash: "" };
Object.assign(globalThis, { location: place });

const { link, parse, search, withQuery, go } = await import("../../innovator_rl/dashboard/static/js/core/router.js");

test("a link is read back as it was written", () => {
  for (const part of ODD)
    for (const value of ODD) {
      const { parts, query } = parse(link(["runs", part, "rollouts"], { domain: [value, "x"], step: 3 }));
      assert.deepEqual(parts, ["runs", part, "rollouts"]);
      assert.deepEqual(query.getAll("domain"), [value, "x"]);
      assert.equal(query.get("step"), "3");
    }
});

test("empty values are left out, zero and false are not", () => {
  assert.equal(search({ a: null, b: undefined, c: "", d: [], e: 0, f: false }).toString(), "e=0&f=false");
});

test("a path that is not well encoded is taken as it is", () => {
  assert.deepEqual(parse("#/runs/%E0%A4%A/rollouts").parts, ["runs", "%E0%A4%A", "rollouts"]);
});

test("a change of the query keeps the rest and leads to the first page", () => {
  place.hash = "#/runs/a/rollouts?domain=math&step=3&page=7";
  assert.equal(withQuery({ step: null }), "#/runs/a/rollouts?domain=math");
  assert.equal(withQuery({ page: 8 }), "#/runs/a/rollouts?domain=math&step=3&page=8");
  assert.equal(withQuery({ domain: ["math", "physics"] }), "#/runs/a/rollouts?step=3&domain=math&domain=physics");
  assert.equal(withQuery({ domain: [] }), "#/runs/a/rollouts?step=3");
});

test("an address with a former name is read as today's", () => {
  const { query } = parse(
    "#/runs/a/rollouts?fate=kept&fate=failed&status=ok&drop_reason=unjudged&sort=-sample&domain=ok",
  );
  assert.deepEqual(
    [...query],
    [
      ["status", "kept"],
      ["status", "failed"],
      ["generation_status", "ok"],
      ["drop_reason", "unscored"],
      ["sort", "-sample_index"],
      ["domain", "ok"],
    ],
  );
});

test("going somewhere changes the hash", () => {
  go("#/runs/b");
  assert.equal(place.hash, "#/runs/b");
});
