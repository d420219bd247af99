// The package is as small as it is meant to be.

import assert from "node:assert/strict";
import { test } from "node:test";

import { weigh } from "../../lib/weights.mjs";
import { esbuild, userProject } from "./lib.mjs";

const project = userProject();
const weights = await weigh(project.folder, esbuild).finally(project.remove);
for (const { what, raw, gzip } of weights) console.log(`${what}: ${raw} B, compressed ${gzip} B`);

for (const { what, gzip, limit } of weights.filter(({ limit }) => limit !== undefined)) {
  test(`${what} weighs at most ${limit} B, compressed`, () => {
    assert.ok(gzip <= limit, `it weighs ${gzip} B, ${gzip - limit} B over its limit of ${limit} B`);
  });
}
