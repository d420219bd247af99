// Requests whose clients go: by RST and by FIN, while queued, before the headers, mid-stream.
import assert from "node:assert/strict";
import { eventually } from "../../../lib/time.mjs";
import { cut, HOWS, json, poolAt, text } from "../client.mjs";

/** Long enough for heartbeats that a busy machine makes late. */
const TTL = 6_000;
const LONG = "/stream?chunks=1000&ms=10";

/** The first request is at this point of its life when it is cut. */
const POINTS = {
  /** It waits behind another, which goes on to stream. */
  queued: { path: LONG, atPoint: async (pool) => pool.until({ waiting: 1 }) },
  /** It has a place, and its fetch is out. */
  before_headers: {
    path: "/stream?chunks=1&ms=1&headersMs=500",
    atPoint: async (_pool, _raw, origin) =>
      eventually(30_000, "the origin has the request", () => origin.now === 1),
  },
  /** The client has read some of the body. */
  mid_stream: {
    path: LONG,
    atPoint: async (_pool, raw) =>
      raw.until(() => raw.received.includes("chunk 3")),
  },
};

function cutOff(point, how) {
  const { path, atPoint } = POINTS[point];
  const chunks = "chunk 0\nchunk 1\nplain";
  return {
    name: `cut_off_${point}_by_${how.toLowerCase()}`,
    async run({ at, origin }) {
      const pool = poolAt(at, `${point}-${how}`, { max: 1, ttl: TTL });
      await eventually(30_000, "the origin is at rest", () => origin.now === 0);
      origin.peak = 0;
      const letGo = point === "queued" ? await pool.occupy() : undefined;
      const raw = pool.open("/stream", { path });
      await atPoint(pool, raw, origin);
      await cut(raw, how);
      const live = [1, 2].map(() => pool.text("/stream", { path: "/stream?chunks=2&ms=5" }));
      await letGo?.();
      for (const body of await Promise.all(live)) assert.equal(body, chunks);
      await pool.until({ inUse: 0, waiting: 0, offered: 0 });
      assert.ok(origin.peak <= 1, `the origin saw ${origin.peak} at once, max is 1`);
      await eventually(30_000, "the origin is at rest", () => origin.now === 0);
    },
  };
}

export default [
  ...Object.keys(POINTS).flatMap((point) => HOWS.map((how) => cutOff(point, how))),
  {
    name: "a_stream_holds_its_place_to_the_end",
    async run({ at, origin }) {
      origin.peak = 0;
      const urls = Array.from({ length: 20 }, () => `${at}/forward/stream?chunks=3&ms=10`);
      const answers = await Promise.all(urls.map((url) => text(url)));
      for (const answer of answers) assert.equal(answer, "chunk 0\nchunk 1\nchunk 2\nplain");
      assert.ok(origin.peak <= 2, `the origin saw ${origin.peak} at once`);
      const total = await json(`${at}/client-stats`);
      assert.equal([total.inUse, total.waiting].join(), "0,0");
    },
  },
  {
    name: "a_socket_is_passed_on_and_holds_no_place",
    async run({ at }) {
      const pool = poolAt(at, "socket", { max: 1, ttl: TTL });
      const raw = pool.open("/stream", { path: "/socket" }, {
        connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
      });
      await raw.until(() => raw.received.includes("hello"));
      assert.equal(raw.status, 101);
      const { inUse, released, discarded } = await pool.stats();
      assert.deepEqual({ inUse, released, discarded }, { inUse: 0, released: 1, discarded: 0 });
      assert.ok(!raw.over, "the socket stays open");
      await cut(raw, "RST");
    },
  },
  {
    name: "a_silent_stream_of_a_client_gone_is_bounded_by_its_clocks",
    async run({ at, origin }) {
      for (const how of HOWS) {
        const pool = poolAt(at, `silent-${how}`, { max: 1, ttl: TTL });
        const raw = pool.open("/stream", { path: "/silent" });
        await eventually(30_000, "the origin has the request", () => origin.now === 1);
        await cut(raw, how);
        const { waited } = await pool.json("/wait");
        assert.ok(waited < 700 + 1_500, `${how}: waited ${waited} ms, the clocks are of 700`);
        await pool.until({ inUse: 0, waiting: 0 });
        await eventually(30_000, "the origin is at rest", () => origin.now === 0);
      }
    },
  },
];
