// Leases of requests that die, that end late, or that other requests end.
import assert from "node:assert/strict";
import { eventually } from "../../../lib/time.mjs";
import { cut, HOWS, poolAt } from "../client.mjs";

const TTL = 600;
/** Offers to dead waiters are missed one after the other, on a machine that is busy. */
const SLACK = 1_500;

/** Asks for a place, which must come within the time to live. */
async function servedInTime(pool, what) {
  const { waited } = await pool.json("/wait");
  assert.ok(waited < TTL + SLACK, `${what}: waited ${waited} ms, the time to live is ${TTL}`);
}

export default [
  {
    name: "dead_request_gives_its_slot_back",
    async run({ at }) {
      const pool = poolAt(at, "dead", { max: 2, ttl: TTL });
      await pool.text("/leak", { n: 2 });
      await servedInTime(pool, "ended with two leases out");
      await pool.until({ expired: 2, inUse: 0 });
      for (const how of HOWS) {
        const holding = [1, 2].map(() => pool.open("/hold", { ms: 60_000, bare: 1 }));
        await pool.until({ inUse: 2 });
        await Promise.all(holding.slice(0, how === "RST" ? 2 : 0).map((raw) => cut(raw, how)));
        if (how === "RST") await servedInTime(pool, "cut off by RST while it held");
        // A FIN is heard of at the next write alone: workerd lets the request go on.
        else await Promise.all(holding.map((raw) => cut(raw, how)));
        if (how === "FIN") await pool.until({ inUse: 2 });
      }
    },
  },
  {
    name: "the_dead_leave_nothing_to_whoever_comes_later",
    async run({ at }) {
      const pool = poolAt(at, "all-dead", { max: 8, ttl: 1_500, createTimeout: 400 });
      const dead = Array.from({ length: 16 }, () => pool.open("/hold", { bare: 1 }));
      await pool.until({ inUse: 8, waiting: 8 });
      await Promise.all(dead.map((raw) => cut(raw, "RST")));
      // Longer than a creation may take, which nobody alive has begun.
      await pool.until({ inUse: 0, creating: 0, offered: 0 }, 10_000);
      assert.equal(await pool.text("/end"), "served", "no create has failed: none may be told of");
      await pool.until({ inUse: 0, pending: 0 });
    },
  },
  {
    name: "a_heartbeat_keeps_the_lease_of_a_living_request",
    async run({ at }) {
      const pool = poolAt(at, "beat", { max: 1, ttl: 300 });
      assert.equal(await pool.text("/hold", { ms: 1_200 }), "held");
      const { expired, released, stale } = await pool.stats();
      assert.deepEqual({ expired, released, stale }, { expired: 0, released: 1, stale: 0 });
    },
  },
  {
    name: "a_lease_ends_from_another_request_as_from_its_own",
    async run({ at }) {
      const pool = poolAt(at, "other", { max: 1, ttl: 60_000 });
      await pool.text("/keep");
      const waiting = pool.json("/wait");
      await pool.until({ waiting: 1 });
      assert.equal(await pool.text("/end-kept"), "true");
      await waiting;
      assert.equal(await pool.text("/end-kept"), "false", "twice");
      assert.equal(await pool.text("/end-kept", { how: "discard" }), "false", "another way");
      const { released, discarded, stale } = await pool.stats();
      assert.deepEqual({ released, discarded, stale }, { released: 2, discarded: 0, stale: 2 });
    },
  },
  {
    name: "stale_release",
    async run({ at }) {
      const pool = poolAt(at, "stale", { max: 1, ttl: TTL });
      const lost = await pool.text("/keep");
      const { id } = await pool.json("/wait");
      assert.notEqual(String(id), lost, "what was overdue is never lent again");
      const letGo = await pool.occupy();
      assert.equal(await pool.text("/end-kept"), "false");
      const { inUse, stale, expired } = await pool.stats();
      assert.deepEqual({ inUse, stale, expired }, { inUse: 1, stale: 1, expired: 1 });
      await letGo();
    },
  },
  {
    name: "a_create_lives_as_long_as_who_waits_for_it",
    async run({ at }) {
      const pool = poolAt(at, "made-for", { max: 1, createMs: 200, createTimeout: 8_000 });
      await pool.json("/wait");
      const spoilt = pool.text("/spoil", { ms: 200 });
      await pool.until({ inUse: 1 });
      const waiting = pool.json("/wait");
      await pool.until({ waiting: 1 });
      // Its request ends in the step in which the place comes free.
      assert.equal(await spoilt, "discarded");
      const { waited } = await waiting;
      assert.ok(waited < 4_000, `waited ${waited} ms for a create of 200 ms`);
    },
  },
  {
    name: "creation_survives_its_requester",
    async run({ at }) {
      const pool = poolAt(at, "orphan", { max: 1, createMs: 600, createTimeout: 10_000 });
      const first = pool.open("/wait");
      await pool.until({ creating: 1 });
      const second = pool.json("/wait");
      await pool.until({ pending: 2 });
      await cut(first, "RST");
      await second;
      const { creations } = await pool.until({ creating: 0, waiting: 0, inUse: 0 });
      assert.equal(creations, 1, "what was told of its request keeps that going");
    },
  },
  {
    name: "create_never_settles",
    async run({ at }) {
      const pool = poolAt(at, "stuck", { max: 1, createMs: 500, createTimeout: 900 });
      const first = pool.open("/wait", { bare: 1 });
      await pool.until({ creating: 1 });
      // The creation's timer ends with the request, of which nothing was told.
      await cut(first, "RST");
      const ends = [];
      const ask = async () => ends.push(await pool.text("/end"));
      await eventually(10_000, "a place that can be had again", async () => {
        await ask();
        return ends.at(-1) === "served";
      });
      for (const end of ends.slice(0, -1)) {
        assert.match(end, /^(CreateError create_timeout|UnavailableError unavailable)$/);
      }
      await pool.until({ creating: 0, waiting: 0, inUse: 0, createAbandoned: 1 });
    },
  },
];
