// A Worker in Rust whose requests call a provider by one client pool with one place: whoever had to
// wait for it sends its request, and reads the answer, in a request of its own, with and without
// the flag by which workerd lets a promise go on in the request that made it.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { eventually, sleep } from "../lib/time.mjs";
import { startProvider } from "./provider.mjs";
import { cut, startWorker } from "./workerd.mjs";

const FLAG = "handle_cross_request_promise_resolution";
const SETTINGS = [
  { label: "with the flag", date: "2026-11-01" },
  { label: "before the flag", date: "2024-09-02" },
  { label: "with the flag turned off", date: "2026-11-01", flags: [`no_${FLAG}`] },
];
const SAID = { status: 200, text: "you said mine" };
/** In which a scope that is silent is found. */
const STILL_MS = 10_000;

for (const { label, ...setting } of SETTINGS) {
  describe(label, () => {
    let provider;
    let worker;
    before(async () => {
      provider = await startProvider();
      worker = await startWorker({ ...setting, provider: provider.at });
    });
    after(async () => {
      await worker.stop();
      provider.stop();
    });

    const ask = (path, ms) => worker.ask(path, ms);
    const standing = async () => JSON.parse((await ask("/clients")).text);
    /** Waits until every place is back and nobody waits. */
    const quiet = (ms = 2_000) =>
      eventually(ms, "nobody holds or waits", async () => {
        const { inFlight, waiting } = await standing();
        return inFlight === 0 && waiting === 0;
      });

    test("two requests fetch in turn, the second with the place of the first", async () => {
      provider.seen.peak = 0;
      const first = ask("/chat/slow");
      await sleep(100);
      const second = ask("/chat/slow");
      await sleep(100);
      const { inFlight, waiting } = await standing();
      assert.deepEqual({ inFlight, waiting }, { inFlight: 1, waiting: 1 });
      assert.deepEqual([await first, await second], [SAID, SAID]);
      assert.equal(provider.seen.peak, 1);
      assert.deepEqual([...provider.seen.keys], ["Bearer sk-worker"]);
      await quiet();
    });

    test("so do two answers that are passed on as they come", async () => {
      provider.seen.peak = 0;
      const answers = await Promise.all([ask("/stream/plain"), ask("/stream/plain")]);
      for (const { status, text } of answers) {
        assert.equal(status, 200);
        assert.equal(text.match(/data: /g).length, 4);
        assert.ok(text.endsWith("data: [DONE]\n\n"), text);
      }
      assert.equal(provider.seen.peak, 1);
      await quiet();
    });

    test("an answer is passed on while it comes", async () => {
      const response = await fetch(`${worker.at}/stream/ticking`, { method: "POST", body: "mine" });
      assert.equal(response.headers.get("content-type"), "text/event-stream");
      assert.equal(response.headers.get("x-request-id"), "r-1");
      const reader = response.body.getReader();
      const { value } = await reader.read();
      assert.match(Buffer.from(value).toString(), /^data: .*"tick "/);
      assert.equal((await standing()).inFlight, 1, "its place is held");
      const { closed } = provider.seen;
      // It closes its side alone, which is noticed as more is written.
      await reader.cancel();
      await quiet(STILL_MS);
      await eventually(2_000, "the provider sees the end", () => provider.seen.closed > closed);
    });

    test("embeddings come in their order", async () => {
      const response = await fetch(`${worker.at}/embed`, { method: "POST", body: "a bcd ef" });
      const vectors = await response.json();
      assert.deepEqual(vectors.flat(), [1, 0.5, 3, 0.5, 2, 0.5]);
    });

    test("a request that is cut off while it waits leaves the queue", async () => {
      const first = ask("/chat/slow");
      await sleep(50);
      const gone = cut(`${worker.at}/chat/plain`, 150);
      await sleep(50);
      const next = ask("/chat/plain");
      await gone;
      assert.deepEqual([await first, await next], [SAID, SAID]);
      await quiet(STILL_MS);
    });

    test("a request that is cut off while it streams gives its place back", async () => {
      const gone = cut(`${worker.at}/stream/endless`, 200);
      await sleep(100);
      assert.equal((await standing()).inFlight, 1);
      const { closed } = provider.seen;
      const next = ask("/chat/plain");
      await gone;
      assert.deepEqual(await next, SAID);
      await eventually(2_000, "the provider sees the end", () => provider.seen.closed > closed);
      await quiet();
    });

    test("a request that is cut off before the headers gives its place back", async () => {
      await cut(`${worker.at}/chat/silent`, 200);
      assert.deepEqual(await ask("/chat/plain"), SAID);
      await quiet(STILL_MS);
    });

    test("a provider that fails is asked again", async () => {
      const before = await standing();
      assert.deepEqual(await ask("/chat/fails"), SAID);
      // A request that is passed on may not happen twice.
      assert.equal((await ask("/stream/fails-too")).status, 502);
      const { sent, retries } = await standing();
      assert.deepEqual([sent - before.sent, retries - before.retries], [3, 1]);
    });

    test("a failure says what is wrong, and takes no place", async () => {
      const { status, text } = await ask("/chat/broken");
      assert.equal(status, 502);
      assert.match(text, /it broke \(status 500\)/);
      const { asked } = provider.seen;
      const moved = await ask("/chat/moved");
      assert.equal(moved.status, 502);
      assert.match(moved.text, /redirects/);
      assert.equal(provider.seen.asked, asked + 1, "no key is sent elsewhere");
      await quiet();
    });

    test("many requests take their turns", async () => {
      provider.seen.peak = 0;
      const all = Array.from({ length: 30 }, () => ask("/chat/plain"));
      for (const answer of await Promise.all(all)) assert.deepEqual(answer, SAID);
      assert.equal(provider.seen.peak, 1);
      await quiet();
    });
  });
}
