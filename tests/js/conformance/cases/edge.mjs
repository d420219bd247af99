// The edge protocol on a clock of its own, in every runtime: offers, leases with a time to live.
import { Pool } from "edgepool";
import { FakeClock, deferred, settle, state } from "../lib/harness.mjs";

function edge({ clock = new FakeClock(10), ...options } = {}) {
  let made = 0;
  const closed = [];
  const settings = {
    create: () => ({ id: made++ }), close: (resource) => void closed.push(resource.id),
    max: 1, mode: "edge", backoff: false, clock, ...options,
  };
  return { pool: new Pool(settings), clock, closed };
}

export default [
  {
    name: "an_overdue_lease_is_retired",
    async run(t) {
      const { pool, clock, closed } = edge({ leaseTtl: 300 });
      const lost = await pool.acquire();
      await clock.advance(299);
      t.equal(pool.stats().expired, 0);
      const waiting = pool.acquire();
      await clock.advance(1 + 100);
      t.equal((await waiting).value.id, 1, "the resource is never lent again");
      t.equal(closed, [0]);
      t.equal(lost.release(), false, "a late release does nothing but count");
      t.equal(pool.stats().stale, 1);
      t.adds(pool.stats());
    },
  },
  {
    name: "overdue_leases_are_found_by_whoever_calls_next",
    async run(t) {
      const { pool, clock } = edge({ leaseTtl: 300 });
      await pool.acquire();
      await clock.advance(400);
      t.equal(clock.timers.size, 0, "a plain lease has no timer");
      t.equal((await pool.acquire()).value.id, 1);
    },
  },
  {
    name: "a_heartbeat_keeps_a_lease",
    async run(t) {
      const { pool, clock } = edge({ leaseTtl: 300, heartbeat: 100 });
      const work = deferred();
      const done = pool.use(() => work.promise);
      await clock.advance(5_000);
      t.equal(pool.stats().expired, 0);
      work.resolve("done");
      t.equal(await done, "done");
      t.equal(pool.stats().released, 1);
      t.equal(clock.timers.size, 0);
    },
  },
  {
    name: "three_beats_missed_end_a_lease_in_use",
    async run(t) {
      const { pool, clock } = edge({ leaseTtl: 60_000, heartbeat: 5_000 });
      void pool.use(() => new Promise(() => undefined));
      await settle();
      // The request is gone with its timers.
      clock.timers.clear();
      await clock.advance(14_999);
      t.equal(pool.tryAcquire(), undefined);
      t.equal(pool.stats().expired, 0);
      await clock.advance(1);
      pool.tryAcquire();
      t.equal(pool.stats().expired, 1);
    },
  },
  {
    name: "binding_a_lease_that_has_ended_breaks_the_body",
    async run(t) {
      const { pool, clock } = edge({ leaseTtl: 300 });
      const lease = await pool.acquire();
      await clock.advance(400);
      const bound = lease.bind(new Response("too late"));
      await t.rejects(bound.body.getReader().read(), { code: "lease_ended" });
      t.equal(clock.timers.size, 0);
    },
  },
  {
    name: "waiters_that_come_together_share_a_timer",
    async run(t) {
      const { pool, clock } = edge();
      const held = await pool.acquire();
      const waiting = Array.from({ length: 50 }, () => pool.acquire());
      t.equal(clock.timers.size, 1, "armed before the first await");
      await null;
      waiting.push(pool.acquire());
      t.equal(clock.timers.size, 1, "what follows from the same code is of the same request");
      await settle();
      waiting.push(pool.acquire());
      t.equal(clock.timers.size, 2, "what comes later may be another's");
      held.release();
      for (const promise of waiting) (await promise).release();
      t.equal(clock.timers.size, 0);
      t.adds(pool.stats());
    },
  },
  {
    name: "time_that_passes_ends_a_stretch_of_code",
    async run(t) {
      const { pool, clock } = edge();
      const held = await pool.acquire();
      const waiting = [pool.acquire()];
      // As if its request had been ended in the midst of this, and another's code ran: no turn of
      // the microtasks has come.
      const { now } = Date;
      Date.now = () => now() + 1_000;
      while (waiting.length < 20) waiting.push(pool.acquire());
      Date.now = now;
      t.equal(clock.timers.size, 2, "those who come later have a timer of their own");
      held.release();
      for (const promise of waiting) (await promise).release();
      t.equal(clock.timers.size, 0);
    },
  },
  {
    name: "a_release_lends_nothing_to_a_request_that_was_ended_in_the_midst_of_its_code",
    async run(t) {
      const { pool, clock } = edge();
      const held = await pool.acquire();
      const dead = Array.from({ length: 8 }, () => pool.acquire());
      const { now } = Date;
      Date.now = () => now() + 1_000;
      held.release();
      const { offered, inUse } = pool.stats();
      const live = pool.acquire();
      Date.now = now;
      t.equal([offered, inUse], [1, 0], "it is offered, to be passed on if nobody takes it");
      t.equal(clock.timers.size, 2, "who comes next has a timer of its own");
      for (const promise of [...dead, live]) (await promise).release();
      t.equal(clock.timers.size, 0);
    },
  },
  {
    name: "waiters_of_two_pools_share_a_timer_in_each",
    async run(t) {
      const { pool, clock } = edge();
      const both = [pool, edge({ clock }).pool];
      const held = await Promise.all(both.map((each) => each.acquire()));
      const waiting = Array.from({ length: 50 }, (_, n) => both[n % 2].acquire());
      t.equal(clock.timers.size, 2, "one takes no waiters from the other's");
      for (const lease of held) lease.release();
      for (const promise of waiting) (await promise).release();
      t.equal(clock.timers.size, 0);
    },
  },
  {
    name: "waiters_of_one_timer_end_each_in_its_time",
    async run(t) {
      const { pool, clock } = edge();
      await pool.acquire();
      const signals = [new AbortController(), new AbortController()];
      const ends = [];
      const wait = (name, options) => pool.acquire(options).catch(({ code, message }) =>
        void ends.push([name, clock.time, code ?? message]));
      void wait("long", { timeout: 500 });
      void wait("short", { timeout: 7 });
      void wait("middle", { timeout: 130 });
      void wait("aborted", { signal: signals[0].signal });
      void wait("late", { signal: signals[1].signal });
      t.equal(clock.timers.size, 1);
      await clock.advance(3);
      signals[0].abort(new Error("no more"));
      await clock.advance(497);
      t.equal(ends, [
        ["aborted", 13, "no more"], ["short", 17, "acquire_timeout"],
        ["middle", 140, "acquire_timeout"], ["long", 510, "acquire_timeout"],
      ]);
      t.equal(clock.timers.size, 1, "for the one that waits on");
      signals[1].abort(new Error("gone"));
      await settle();
      t.equal([clock.timers.size, ends.at(-1)[2]], [0, "gone"]);
      t.adds(pool.stats());
    },
  },
  {
    name: "a_signal_that_throws_holds_up_no_waiter_of_its_timer",
    async run(t) {
      const { pool } = edge({ max: 2 });
      const held = [await pool.acquire(), await pool.acquire()];
      const { signal } = new AbortController();
      signal.removeEventListener = () => {
        throw new Error("of the signal");
      };
      const waiting = [pool.acquire({ signal }), pool.acquire(), pool.acquire({ signal })];
      await settle();
      for (const lease of held) lease.release();
      for (const promise of waiting) (await promise).release();
      const ended = pool.stats();
      t.equal(ended.inUse, 0);
      t.adds(ended);
    },
  },
  {
    name: "wait_until_and_the_signal_of_the_request_are_used",
    async run(t) {
      const { pool } = edge();
      const promises = [];
      const ctx = { waitUntil: (promise) => void promises.push(promise) };
      const gone = new AbortController();
      const request = { signal: gone.signal };
      const held = await pool.acquire();
      const waiting = pool.acquire({ ctx, request });
      t.equal(promises.length, 1, "the request is kept open while it waits");
      gone.abort(new Error("client gone"));
      await t.rejects(waiting, { message: "client gone" });
      t.equal(await state(promises[0]), "fulfilled", "and let go");
      held.release();
      await pool.use(() => 1, { ctx, request: { signal: new AbortController().signal } });
      t.ok(promises.length > 1, "use keeps its request open");
      for (const promise of promises) t.equal(await state(promise), "fulfilled");
    },
  },
  {
    name: "a_context_that_refuses_costs_no_place",
    async run(t) {
      const { pool, clock } = edge();
      // As that of a request that has ended.
      const ctx = {
        waitUntil: () => {
          throw new Error("ended");
        },
      };
      await t.rejects(pool.use(() => 1, { ctx }), { message: "ended" });
      t.equal(pool.stats().inUse, 0, "use");
      const lease = await pool.acquire({ ctx });
      await t.rejects(pool.acquire({ ctx }), { message: "ended" });
      t.equal(pool.stats().waiting, 0, "a waiter");
      const error = await t.rejects((async () => lease.bind(new Response("x")))());
      t.equal([error.code, error.cause.message], ["upstream_unreachable", "ended"]);
      await clock.advance(0);
      t.equal(pool.stats().inUse, 0, "bind");
      const later = await pool.acquire({ ctx });
      await t.rejects(later.bind(Promise.resolve(new Response("x"))), { message: "ended" });
      t.equal(pool.stats().inUse, 0, "bind, later");
      t.equal(clock.timers.size, 0);
      t.adds(pool.stats());
    },
  },
  {
    name: "a_clock_that_throws_once_leaves_no_waiter_alone",
    async run(t) {
      const { pool, clock } = edge();
      const held = await pool.acquire();
      const waiting = [pool.acquire(), pool.acquire({ timeout: 500 }), pool.acquire()];
      await settle();
      const { now } = clock;
      clock.now = () => {
        clock.now = now;
        throw new Error("no time");
      };
      t.equal((await t.rejects(clock.advance(100))).message, "no time");
      t.equal(clock.timers.size, 1, "their timer is set again");
      await clock.advance(400);
      await t.rejects(waiting[1], { code: "acquire_timeout" });
      held.release();
      for (const at of [0, 2]) (await waiting[at]).release();
      t.equal(clock.timers.size, 0);
      t.adds(pool.stats());
    },
  },
  {
    name: "a_clock_that_refuses_leaves_no_waiter",
    async run(t) {
      const { pool, clock } = edge();
      const held = await pool.acquire();
      // As at module scope.
      clock.setTimer = () => {
        throw new Error("no timers here");
      };
      await t.rejects(pool.acquire(), { message: "no timers here" });
      t.equal(pool.stats().pending, 0);
      held.release();
      t.adds(pool.stats());
    },
  },
  {
    name: "stats_show_dead_leases_as_gone",
    async run(t) {
      const { pool, clock, closed } = edge({ leaseTtl: 300 });
      await pool.acquire();
      await clock.advance(300);
      const { expired, inUse, size } = pool.stats();
      t.equal([expired, inUse, size], [1, 0, 0]);
      t.equal(closed, [0], "and they are closed");
    },
  },
  {
    name: "whoever_calls_next_does_what_is_due",
    async run(t) {
      for (const call of [(pool) => pool.tryAcquire(), (pool) => pool.acquire()]) {
        const { pool, clock, closed } = edge({ leaseTtl: 300 });
        await pool.acquire();
        void pool.close();
        await clock.advance(300);
        await t.rejects(Promise.resolve(call(pool) ?? Promise.reject(new Error("none"))));
        t.equal(closed, [0]);
      }
    },
  },
  {
    name: "a_close_keeps_the_request_open_that_discards",
    async run(t) {
      const closing = deferred();
      const { pool } = edge({ close: () => closing.promise });
      const promises = [];
      const ctx = { waitUntil: (promise) => void promises.push(promise) };
      (await pool.acquire({ ctx })).discard();
      t.equal(promises.length, 1);
      t.equal([await state(promises[0]), pool.stats().closing], ["pending", 1]);
      closing.resolve();
      t.equal([await state(promises[0]), pool.stats().closing], ["fulfilled", 0]);
    },
  },
];
