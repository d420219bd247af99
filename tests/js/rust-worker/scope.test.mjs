// Rust in a Worker: the requests of one instance share a pool with one place, and whoever waited
// for it does its I/O in its own request, with and without the flag by which workerd lets a promise
// go on in the request that made it. Without scopes it does not.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { eventually, sleep } from "../lib/time.mjs";
import { cut, startWorker } from "./workerd.mjs";

const FLAG = "handle_cross_request_promise_resolution";
const SETTINGS = [
  { label: "with the flag", date: "2026-11-01", doorbell: true },
  { label: "before the flag", date: "2024-09-02" },
  { label: "with the flag turned off", date: "2026-11-01", flags: [`no_${FLAG}`] },
  { label: "before navigator", date: "2021-11-03" },
  { label: "with the flag turned on", date: "2021-11-03", flags: [FLAG], doorbell: true },
];
/** How long a scope may be silent, and what finding that takes. */
const STILL_MS = 5_000;
const GOOD = { status: 200, text: "mine: plain" };

/** Two visits, the second of which waits for the place of the first, and is handed it. */
async function handOver(worker, how, { options = "", ms } = {}) {
  const first = worker.ask(`/${how}?hold=300${options}`);
  await sleep(100);
  const second = worker.ask(`/${how}?hold=100${options}`, ms).catch((error) => error.name);
  return [await first, await second];
}

const quiet = (worker) =>
  eventually(5_000, "nobody holds or waits", async () => {
    const { text } = await worker.ask("/standing");
    return text === "0 in use, 0 waiting";
  });

for (const { label, doorbell = false, ...setting } of SETTINGS) {
  describe(label, () => {
    let worker;
    before(async () => (worker = await startWorker(setting)));
    after(() => worker.stop());

    test("a scope does its I/O in its own request", async () => {
      assert.deepEqual(await handOver(worker, "scoped"), [GOOD, GOOD]);
      await quiet(worker);
    });

    test("a scope that polls does so everywhere", async () => {
      assert.deepEqual(await handOver(worker, "polling"), [GOOD, GOOD]);
    });

    test("a scope keeps a request alive that has no timer of its own", async () => {
      assert.deepEqual(await handOver(worker, "scoped", { options: "&patient" }), [GOOD, GOOD]);
    });

    test("outside of a request a scope that has to wait is rejected", async () => {
      const { text } = await worker.ask("/outside");
      assert.match(text, /Disallowed operation called within global scope/);
    });
  });

  describe(`${label}, without a scope`, () => {
    let worker;
    before(async () => (worker = await startWorker(setting)));
    after(() => worker.stop());

    test("a task of the shared queue does its I/O in another request", async () => {
      const [first, second] = await handOver(worker, "unscoped", { ms: 2_000 });
      assert.deepEqual(first, GOOD);
      if (doorbell) {
        assert.equal(second.status, 500);
        assert.match(second.text, /Cannot perform I\/O on behalf of a different request/);
      } else {
        // Its answer goes to the other request as well.
        assert.equal(second, "TimeoutError");
      }
    });

    test("a task of the shared queue does not keep its request alive", async () => {
      const [, second] = await handOver(worker, "unscoped", { options: "&patient" });
      assert.equal(second.status, 500);
      assert.match(worker.child.output, /your Worker's code had hung/);
    });
  });

  if (!doorbell) {
    test(`${label}, a doorbell wakes a scope in another request`, async () => {
      const worker = await startWorker(setting);
      try {
        const [first, second] = await handOver(worker, "doorbell", { ms: 2_000 });
        assert.deepEqual(first, GOOD);
        assert.notDeepEqual(second, GOOD);
      } finally {
        await worker.stop();
      }
    });
  }
}

for (const { label, ...setting } of SETTINGS.slice(0, 2)) {
  describe(`${label}, many requests`, () => {
    let worker;
    before(async () => (worker = await startWorker(setting)));
    after(() => worker.stop());

    test("all are served, one at a time", async () => {
      worker.origin.peak = 0;
      const all = Array.from({ length: 40 }, (_, i) => worker.ask(`/scoped?hold=${i % 3}`));
      for (const answer of await Promise.all(all)) assert.deepEqual(answer, GOOD);
      assert.equal(worker.origin.peak, 1);
      await quiet(worker);
    });

    test("what requests held and waited for goes on when they are cut off", async () => {
      const cuts = [1, 2, 3].map((i) => cut(`${worker.at}/scoped?hold=60000`, 100 + 20 * i));
      await sleep(50);
      const live = [1, 2, 3].map(() => worker.ask("/scoped"));
      await Promise.all(cuts);
      const cutOff = performance.now();
      for (const answer of await Promise.all(live)) assert.deepEqual(answer, GOOD);
      const took = performance.now() - cutOff;
      assert.ok(took > STILL_MS - 500, `one that may have lived lost its place in ${took} ms`);
      assert.ok(took < STILL_MS * 2, `it took ${took} ms`);
      await quiet(worker);
    });

    test("a fetch client that was cut off gives its place back", async () => {
      await cut(`${worker.at}/fetched?path=/silent`, 200);
      assert.equal((await worker.ask("/standing")).text, "1 in use, 0 waiting");
      const { text } = await worker.ask("/fetched");
      assert.equal(text, "plain");
      await quiet(worker);
    });

    test("a panic rejects the promise", async () => {
      const { status, text } = await worker.ask("/broken", 2_000);
      assert.deepEqual([status, text], [500, "RuntimeError: unreachable"]);
    });
  });
}
