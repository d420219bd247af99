// Cases of several real requests to one Worker.
import assert from "node:assert/strict";
import { request as open } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const text = async (url) => {
  const response = await fetch(url);
  const body = await response.text();
  assert.equal(response.status, 200, body);
  return body;
};
const stats = async (at, path = "/stats") => JSON.parse(await text(at + path));

/** Waits until `check` holds, and tells how long that took, in ms. */
async function until(check, limit) {
  const started = performance.now();
  for (;;) {
    if (await check()) return performance.now() - started;
    if (performance.now() - started > limit) throw new Error(`not so within ${limit} ms`);
    await sleep(20);
  }
}

/** Opens a request and cuts it off: `how` is "reset" (RST) or "end" (FIN), `when` ms later. */
function cut(url, how, when) {
  return new Promise((resolve) => {
    const request = open(url, { agent: false });
    request.on("error", () => undefined);
    request.on("response", (response) => {
      response.on("error", () => undefined);
      response.resume();
    });
    request.end();
    setTimeout(() => {
      if (how === "reset") request.socket?.resetAndDestroy();
      else request.destroy();
      resolve();
    }, when);
  });
}

async function quiet(at) {
  await until(async () => (await stats(at)).inUse === 0, 3_000);
}

export const requestCases = [
  {
    name: "waiter_without_io_survives",
    async run({ at }) {
      const held = text(`${at}/hold?ms=600`);
      await sleep(50);
      const waits = await Promise.all([1, 2, 3, 4].map(() => text(`${at}/wait`)));
      for (const waited of waits) assert.ok(Number(waited) > 300, `waited ${waited}`);
      assert.equal(await held, "held");
    },
  },
  {
    name: "io_stays_in_its_request",
    async run({ at }) {
      const held = text(`${at}/hold?ms=200`);
      await sleep(50);
      const answers = await Promise.all([1, 2, 3].map(() => text(`${at}/wait-then-fetch`)));
      assert.deepEqual(answers, ["plain", "plain", "plain"]);
      await held;
    },
  },
  {
    name: "async_context_is_the_waiters",
    async run({ at }) {
      const held = text(`${at}/hold?ms=200`);
      await sleep(50);
      assert.equal(await text(`${at}/context`), "mine");
      await held;
    },
  },
  {
    name: "dead_request_gives_its_slot_back",
    async run({ at }) {
      await text(`${at}/leak`);
      const started = performance.now();
      await text(`${at}/wait`);
      const took = performance.now() - started;
      assert.ok(took < 300 + 400, `took ${took} ms`);
      const after = await stats(at);
      assert.equal(after.expired >= 2, true, "both leases expired");
    },
  },
  {
    name: "a_request_cut_off_while_it_works_gives_its_slot_back",
    async run({ at }) {
      for (const how of ["reset", "end"]) {
        await quiet(at);
        await Promise.all([1, 2].map(() => cut(`${at}/work?ms=400`, how, 60)));
        const started = performance.now();
        await text(`${at}/wait`);
        const took = performance.now() - started;
        // By its end where waitUntil keeps it going, else by its time to live.
        assert.ok(took < 900, `${how}: took ${took} ms`);
      }
    },
  },
  {
    name: "a_request_cut_off_while_it_waits_eats_no_wake",
    async run({ at }) {
      await quiet(at);
      const held = text(`${at}/hold?ms=500`);
      await sleep(50);
      const cuts = [1, 2, 3, 4, 5, 6].map(() => cut(`${at}/wait`, "reset", 100));
      await sleep(20);
      const live = [1, 2, 3].map(() => text(`${at}/wait`));
      await Promise.all(cuts);
      const started = performance.now();
      await Promise.all(live);
      const took = performance.now() - started;
      assert.ok(took < 500 + 1_500, `took ${took} ms`);
      await held;
      await quiet(at);
    },
  },
  {
    name: "a_stream_holds_its_place_to_the_end",
    async run({ at, origin }) {
      origin.peak = 0;
      const started = performance.now();
      const urls = Array.from({ length: 20 }, () => `${at}/forward/stream?chunks=3&ms=10`);
      const answers = await Promise.all(urls.map(text));
      for (const answer of answers) assert.equal(answer, "chunk 0\nchunk 1\nchunk 2\nplain");
      assert.ok(origin.peak <= 2, `the origin saw ${origin.peak} at once`);
      assert.ok(performance.now() - started < 5_000);
      const total = await stats(at, "/client-stats");
      assert.equal([total.inUse, total.waiting].join(), "0,0");
    },
  },
  {
    name: "a_stream_cut_off_by_its_client_gives_its_place_back",
    async run({ at, origin }) {
      for (const how of ["reset", "end"]) {
        await Promise.all([1, 2].map(() => cut(`${at}/forward/stream?chunks=500&ms=10`, how, 100)));
        const free = async () => (await stats(at, "/client-stats")).inUse === 0;
        await until(free, 2_000);
        await until(() => origin.now === 0, 2_000);
      }
    },
  },
  {
    name: "a_silent_stream_of_a_client_gone_by_fin_is_bounded_by_its_clocks",
    async run({ at, origin }) {
      await Promise.all([1, 2].map(() => cut(`${at}/forward/silent`, "end", 100)));
      const free = async () => (await stats(at, "/client-stats")).inUse === 0;
      const took = await until(free, 2_500);
      assert.ok(took < 700 + 900, `took ${took} ms, the clock is 700`);
      await until(() => origin.now === 0, 2_000);
    },
  },
  {
    name: "every_live_request_is_served_among_those_cut_off",
    async run({ at, origin }) {
      origin.peak = 0;
      let seed = 7;
      const next = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
      const url = `${at}/forward/stream?chunks=2&ms=5`;
      const cuts = [];
      const live = [];
      for (let i = 0; i < 150; i += 1) {
        if (i % 3 === 0) cuts.push(cut(url, next() < 0.5 ? "reset" : "end", next() * 800));
        else live.push(text(url));
      }
      const answers = await Promise.all(live);
      await Promise.all(cuts);
      assert.equal(answers.filter((answer) => answer.endsWith("plain")).length, 100);
      assert.ok(origin.peak <= 2, `the origin saw ${origin.peak} at once`);
      const rest = async () => {
        const { inUse, waiting } = await stats(at, "/client-stats");
        return inUse === 0 && waiting === 0;
      };
      await until(rest, 2_500);
    },
  },
];
