import assert from "node:assert/strict";
import test from "node:test";

import { chips, filtersOf, noFilters } from "../../innovator_rl/dashboard/static/js/core/filters.js";

test("filters that alerts and notices link to are kept, shown and removed", () => {
  for (const one of ["superseded=only", "not_finite=true", "failed=true", "zero_spread=true", "reward_min=0.5"]) {
    const query = new URLSearchParams(`step=3-9&${one}&view=groups`);
    const [name] = one.split("=");
    assert.ok(filtersOf(query).has(name), name);
    assert.ok(chips(query).some(([, change]) => name in change));
    assert.deepEqual(Object.keys(noFilters(query)), ["step", name]);
  }
});
