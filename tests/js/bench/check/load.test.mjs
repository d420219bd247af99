// The load for a moment: every sender puts it on a backend, and tells what came of it. How much of
// it is answered, and how fast, is not looked at.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { startSimulator } from "../../lib/servers.mjs";

const run = promisify(execFile);
const program = (name) => fileURLToPath(new URL(`../load/${name}`, import.meta.url));
const MAX = 4;
const SENDERS = [
  ["node", "fetch"], ["node", "p-limit"], ["node", "undici"], ["node", "edgepool"],
  ["workerd", "fetch"], ["workerd", "edgepool"],
];
const NAMES = ["goodput", "share", "refused", "refusedWarm", "peak", "cut", "turnedAway", "gaveUp",
  "failed", "latencyP50", "latencyP99", "firstP50", "firstP99"];

let project;

before(async () => {
  project = mkdtempSync(join(tmpdir(), "edgepool-load-"));
  await run(process.execPath, [program("prepare.mjs"), project]);
});
after(() => rmSync(project, { recursive: true, force: true }));

for (const [place, sender] of SENDERS) {
  test(`${sender} in ${place} sends, and tells what came of it`, { timeout: 60_000 }, async () => {
    const simulator = await startSimulator({
      max: MAX, "latency-ms": 20, "first-token-ms": 10, "chunk-ms": 5, chunks: 4,
    });
    try {
      const figures = await measured(place, sender, simulator);
      for (const name of NAMES) {
        assert.ok(Number.isFinite(figures[name]), `${name}: ${JSON.stringify(figures)}`);
      }
      assert.equal(figures.failed, 0, JSON.stringify(figures.reasons));
      assert.ok(figures.goodput > 0 && figures.peak <= MAX, JSON.stringify(figures));
      // Whoever is told the limit keeps to it.
      if (sender !== "fetch") assert.equal(figures.refused + figures.refusedWarm, 0);
      assert.ok(figures.latencyP50 >= figures.firstP50);
    } finally {
      await simulator.stop();
    }
  });
}

async function measured(place, sender, simulator) {
  const plan = {
    place, sender, project, backend: simulator.url, size: MAX, learn: false, queue: 50,
    acquireTimeout: 5_000, rate: 40, seed: 3, warmMs: 500, windowMs: 2_000, patienceMs: 30_000,
  };
  const { stdout } = await run(process.execPath, [program("client.mjs"), JSON.stringify(plan)]);
  const { figures, failed } = JSON.parse(stdout);
  assert.equal(failed, undefined);
  return figures;
}

test("provider objects are measured, and those that share open fewer connections", async () => {
  const args = [program("objects.mjs"), "1", project, "2"];
  const { stdout } = await run(process.execPath, args, { maxBuffer: 2 ** 24 });
  const cases = stdout.trim().split("\n").flatMap((line) => JSON.parse(line).case ?? []);
  assert.equal(cases.length, 5);
  const of = (id, name) => cases.find((each) => each.id === id).series
    .find(({ contender }) => contender.id === name).samples[0];
  assert.equal(of("objects-connections-node", "each"), 50);
  assert.ok(of("objects-connections-node", "edgepool") < 10);
  assert.ok(of("objects-memory-node", "each") > 0);
});
