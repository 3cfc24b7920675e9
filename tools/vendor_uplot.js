// Copies uPlot from node_modules into the dashboard: `npm run vendor`, after `npm ci` and after a change of its version.
// package-lock.json holds the hash of the package, which npm verifies; tests/js/vendor.test.js compares the copy with it.

import { copyFileSync, mkdirSync } from "node:fs";

const target = new URL("../innovator_rl/dashboard/static/vendor/", import.meta.url);
mkdirSync(target, { recursive: true });
for (const name of ["uPlot.iife.min.js", "uPlot.min.css"])
  copyFileSync(new URL(`../node_modules/uplot/dist/${name}`, import.meta.url), new URL(name, target));
