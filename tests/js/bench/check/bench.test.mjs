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
import { CONTENDERS } from "../contenders/index.mjs";

const run = promisify(execFile);
const program = fileURLToPath(new URL("../run.mjs", import.meta.url));
const ALL = CONTENDERS.map(({ id }) => id);
// In Node every contender is tried; elsewhere ours, what it is judged by, and the peer that asks
// most of a runtime: timers, and two of Node's own modules.
const FEW = ["bound", "edgepool", "edgepool-defaults", "tarn"];
const WITHOUT_SYNC = ["lightning-pool", "generic-pool", "tarn", "p-limit"];
const OUTSIDE_OF_CASES = ["cold", "first-pool", "clock"];

const TRIED = { node: ALL, deno: FEW, bun: FEW, workerd: FEW };

for (const [runtime, contenders] of Object.entries(TRIED)) {
  test(`every case runs in ${runtime}`, { timeout: 120_000 }, async () => {
    const cases = await measured(runtime, contenders);
    for (const id of expectedIds(runtime)) {
      const found = cases.find((each) => each.id === id);
      assert.ok(found, `${id} is measured in ${runtime}`);
      if (id === "clock") continue;
      const names = contenders.filter((name) => id !== "sync" || !WITHOUT_SYNC.includes(name));
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

function expectedIds(runtime) {
  const there = CASES.filter(({ runtimes }) => runtimes?.includes(runtime) ?? true);
  const more = runtime === "node" ? ["bytes"] : [];
  return [...there.map(({ id }) => id), ...OUTSIDE_OF_CASES, ...more];
}

async function measured(runtime, contenders) {
  const project = mkdtempSync(join(tmpdir(), "edgepool-bench-"));
  try {
    const args = [program, "--small", "--rounds=1", `--runtime=${runtime}`, `--project=${project}`];
    const named = contenders.map((id) => `--contender=${id}`);
    const { stdout } = await run(process.execPath, [...args, ...named], { maxBuffer: 2 ** 24 });
    const lines = stdout.trim().split("\n").map((line) => JSON.parse(line));
    return lines.flatMap((line) => line.case ?? []).filter((each) => each.runtime === runtime);
  } finally {
    rmSync(project, { recursive: true, force: true });
  }
}
