// The benches for a moment: every case of every contender gives a figure, or none on purpose. How
// fast anything is, is not looked at.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { CASES } from "../cases.mjs";
import { CONTENDERS, SHARERS } from "../contenders/index.mjs";
import { FAIR, jain, percentile } from "../fair.mjs";

const run = promisify(execFile);
const program = fileURLToPath(new URL("../run.mjs", import.meta.url));
const ALL = CONTENDERS.map(({ id }) => id);
// In Node every contender is tried; elsewhere ours, what it is judged by, and the peer that asks
// most of a runtime: timers, and two of Node's own modules.
const FEW = ["bound", "edgepool", "edgepool-defaults", "tarn"];
const WITHOUT_SYNC = ["lightning-pool", "generic-pool", "tarn", "p-limit"];
const WITH_MODULE = ["edgepool", "edgepool-defaults"];
const OUTSIDE_OF_CASES = ["cold", "first-pool", "clock"];

const TRIED = { node: ALL, deno: FEW, bun: FEW, workerd: FEW };

for (const [runtime, contenders] of Object.entries(TRIED)) {
  test(`every case runs in ${runtime}`, { timeout: 120_000 }, async () => {
    const cases = await measured(runtime, contenders);
    for (const id of expectedIds(runtime)) {
      const found = cases.find((each) => each.id === id);
      assert.ok(found, `${id} is measured in ${runtime}`);
      if (id === "clock") continue;
      const names = contenders.filter((name) => isMeasured(id, name));
      for (const name of names) {
        const series = found.series.find(({ contender }) => contender.id === name);
        assert.ok(series, `${name} has a place in ${id}`);
        assert.equal(series.failed, null, `${name} in ${id}`);
        assert.equal(series.samples.length, 1, `samples of ${name} in ${id}`);
        assert.ok(Number.isFinite(series.samples[0]), `${name} in ${id}: ${series.samples[0]}`);
      }
    }
  });
}

for (const runtime of ["node", "deno", "bun", "workerd"]) {
  test(`who shares among tenants is measured in ${runtime}`, { timeout: 120_000 }, async () => {
    const cases = await measured(runtime, [], ["--case=fair"]);
    const there = FAIR.filter(({ runtimes }) => runtimes?.includes(runtime) ?? true);
    assert.deepEqual(cases.map(({ id }) => id), there.map(({ id }) => id));
    for (const { id, series } of cases) {
      const names = series.map(({ contender }) => contender.id).filter((name) => name !== "bound");
      assert.deepEqual(names, SHARERS.map(({ id }) => id), id);
      for (const { contender, samples, failed } of series) {
        assert.equal(failed, null, `${contender.id} in ${id}`);
        const isOne = samples.length === 1 && Number.isFinite(samples[0]);
        assert.ok(isOne, `${contender.id} in ${id}: ${samples}`);
      }
    }
    const alone = cases.find(({ id }) => id === "fair-alone")?.series;
    if (alone !== undefined) assert.deepEqual(alone.map(({ samples }) => samples[0]), [7, 7, 1]);
  });
}

test("how even figures are, and their ranks", () => {
  assert.equal(jain([3, 3, 3]), 1);
  assert.equal(jain([5, 0]), 0.5);
  const all = Array.from({ length: 1_000 }, (_, at) => 1_000 - at);
  assert.deepEqual([percentile(all, 0.5), percentile(all, 0.99), percentile([], 0.5)], [500, 990, 0]);
});

function isMeasured(id, name) {
  if (id === "instance") return WITH_MODULE.includes(name);
  return id !== "sync" || !WITHOUT_SYNC.includes(name);
}

function expectedIds(runtime) {
  const there = CASES.filter(({ runtimes }) => runtimes?.includes(runtime) ?? true);
  const more = runtime === "node" ? ["bytes"] : [];
  if (runtime !== "workerd") more.push("instance");
  return [...there.map(({ id }) => id), ...OUTSIDE_OF_CASES, ...more];
}

async function measured(runtime, contenders, more = []) {
  const project = mkdtempSync(join(tmpdir(), "edgepool-bench-"));
  try {
    const args = [program, "--small", "--rounds=1", `--runtime=${runtime}`, `--project=${project}`];
    args.push(...contenders.map((id) => `--contender=${id}`), ...more);
    const { stdout } = await run(process.execPath, args, { maxBuffer: 2 ** 24 });
    const lines = stdout.trim().split("\n").map((line) => JSON.parse(line));
    return lines.flatMap((line) => line.case ?? []).filter((each) => each.runtime === runtime);
  } finally {
    rmSync(project, { recursive: true, force: true });
  }
}
