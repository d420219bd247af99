// Accounting, closing, time.
import { Pool, PoolClosedError } from "edgepool";
import { FakeClock, deferred, random, settle, state } from "../lib/harness.mjs";

function counted(options = {}) {
  const clock = new FakeClock(50);
  const made = [];
  const closed = [];
  const create = () => {
    const resource = { id: made.length };
    made.push(resource);
    return resource;
  };
  const close = (resource) => void closed.push(resource.id);
  const settings = { create, close, max: 2, mode: "process", clock, ...options };
  return { pool: new Pool(settings), clock, made, closed };
}

/** A Response as `fetch` may give it, but as nobody may make one. */
function odd(more) {
  const response = new Response("odd");
  for (const [name, value] of Object.entries(more)) {
    Object.defineProperty(response, name, { value });
  }
  return response;
}

/** Does random things to a pool, and checks its sums after each. */
async function schedule(t, seed, mode) {
  const next = random(seed);
  const { pool, clock, made, closed } = counted({
    mode, max: 1 + Math.floor(next() * 3), maxWaiting: 5, acquireTimeout: 40, leaseTtl: 100,
  });
  const held = [];
  let taken = 0;
  const waiting = [];
  const pick = (list) => list.splice(Math.floor(next() * list.length), 1)[0];
  for (let step = 0; step < 60; step += 1) {
    const what = next();
    if (what < 0.4) {
      const stop = new AbortController();
      const promise = pool.acquire({ signal: stop.signal });
      waiting.push(stop);
      promise.then((lease) => held.push(lease), () => undefined);
    } else if (what < 0.6 && held.length > 0) pick(held).release();
    else if (what < 0.7 && held.length > 0) pick(held).discard();
    else if (what < 0.75 && held.length > 0) {
      try {
        pick(held).take();
        taken += 1;
      } catch (error) {
        t.equal(error.code, "lease_ended");
      }
    } else if (what < 0.85 && waiting.length > 0) pick(waiting).abort();
    else if (what < 0.95) await clock.advance(Math.floor(next() * 30));
    else await settle();
    t.adds(pool.stats());
  }
  await settle();
  held.forEach((lease) => lease.release());
  await clock.advance(1_000);
  held.forEach((lease) => lease.release());
  await pool.close({ deadline: 0 });
  const stats = pool.stats();
  t.adds(stats);
  t.equal(stats.size, 0, `seed ${seed} left something`);
  t.equal(made.length, closed.length + taken, `seed ${seed}: made, closed`);
  t.equal(new Set(closed).size, closed.length, `seed ${seed} closed one twice`);
}

export default [
  {
    name: "stats_add_up",
    async run(t) {
      for (let seed = 1; seed <= 300; seed += 1) await schedule(t, seed, "process");
    },
  },
  {
    name: "stats_add_up_on_the_edge",
    async run(t) {
      for (let seed = 1; seed <= 300; seed += 1) await schedule(t, seed, "edge");
    },
  },
  {
    name: "double_release",
    async run(t) {
      const { pool } = counted({ max: 1 });
      const first = await pool.acquire();
      t.equal(first.release(), true);
      t.equal(first.release(), false);
      const second = await pool.acquire();
      t.equal(first.release(), false, "another holds it now");
      t.equal(first.discard(), false);
      t.equal(pool.stats().inUse, 1);
      t.equal(pool.stats().stale, 3);
      t.ok(second.release());
    },
  },
  {
    name: "stale_release",
    async run(t) {
      const { pool, closed } = counted({ max: 1 });
      const lost = await pool.acquire();
      lost.discard();
      const next = await pool.acquire();
      t.equal(lost.id, next.id, "the place is used again");
      t.equal(lost.release(), false);
      let error;
      try {
        lost.take();
      } catch (caught) {
        error = caught;
      }
      t.equal(error?.code, "lease_ended");
      t.equal(closed, [0]);
      t.equal(pool.stats().inUse, 1);
    },
  },
  {
    name: "taken_connection_frees_its_place",
    async run(t) {
      const { pool, closed } = counted({ max: 1 });
      const lease = await pool.acquire();
      const waiting = pool.acquire();
      t.equal(lease.take().id, 0);
      t.equal((await waiting).value.id, 1);
      t.equal(pool.stats().size, 1);
      t.equal(closed, [], "closing what was taken is up to its taker");
    },
  },
  {
    name: "what_was_taken_may_be_given_again",
    async run(t) {
      const same = {};
      const pool = new Pool({ create: () => same, max: 2 });
      (await pool.acquire()).take();
      const [lease, other] = [await pool.acquire(), t.rejects(pool.acquire())];
      t.ok(lease.value === same);
      t.equal((await other).cause.message, "create gave a resource twice");
    },
  },
  {
    name: "a_closed_pool_still_answers",
    async run(t) {
      for (const mode of ["process", "edge"]) {
        const { pool, clock, closed } = counted({ mode, max: 2 });
        const [first, second] = [await pool.acquire(), await pool.acquire()];
        const queued = t.rejects(pool.acquire(), { code: "pool_closed" });
        const closing = pool.close();
        await queued;
        first.release();
        t.equal(pool.stats().size, 1);
        second.discard();
        t.equal([await closing, closed.length], [0, 2]);
        const stats = pool.stats();
        t.equal([stats.max, stats.size, stats.started, stats.closed], [2, 0, 3, 1]);
        await clock.advance(1_000);
        t.equal([first.release(), second.discard(), pool.tryAcquire()], [false, false, undefined]);
        await t.rejects((async () => first.take())(), { code: "lease_ended" });
        await t.rejects(pool.acquire(), { code: "pool_closed" });
        t.equal(await pool.close(), 0);
        t.equal(pool.stats(), stats, "what was last");
        t.adds(pool.stats());
      }
    },
  },
  {
    name: "disposing_releases",
    async run(t) {
      const { pool } = counted();
      const lease = await pool.acquire();
      lease[Symbol.dispose ?? Symbol.for("Symbol.dispose")]();
      const other = await pool.acquire();
      await other[Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose")]();
      t.equal(pool.stats().released, 2);
    },
  },
  {
    name: "a_response_that_cannot_be_bound_costs_no_place",
    async run(t) {
      const { pool, clock } = counted({ max: 1 });
      const locked = new Response("x");
      locked.body.getReader();
      const used = new Response("x");
      await used.text();
      for (const bad of [locked, used, odd({ status: 600 }), odd({ status: 0 }), null, "text"]) {
        const binds = [
          async (lease) => lease.bind(bad),
          (lease) => lease.bind(Promise.resolve(bad)),
        ];
        for (const bind of binds) {
          await t.rejects(bind(await pool.acquire()), { code: "upstream_unreachable" });
          await clock.advance(0);
          t.equal(pool.stats().inUse, 0);
        }
      }
      t.equal(pool.stats().discarded, 12);
      t.equal(pool.stats().stale, 0, "each was discarded once");
      t.equal(clock.timers.size, 0);
    },
  },
  {
    name: "a_strange_reason_phrase_is_left_out",
    async run(t) {
      const { pool } = counted({ max: 1 });
      const bound = (await pool.acquire()).bind(odd({ statusText: "so\u0107ut\n" }));
      t.equal([bound.statusText, await bound.text()], ["", "odd"]);
      t.equal(pool.stats().inUse, 0);
    },
  },
  {
    name: "close_settles_every_waiter",
    async run(t) {
      for (const mode of ["process", "edge"]) {
        const { pool, clock } = counted({ mode, max: 1 });
        const held = await pool.acquire();
        const waiting = [pool.acquire(), pool.acquire(), pool.acquire()];
        const errors = waiting.map((promise) => t.rejects(promise, { code: "pool_closed" }));
        const closing = pool.close();
        for (const error of await Promise.all(errors)) t.ok(error instanceof PoolClosedError);
        held.release();
        t.equal(await closing, 0);
        t.equal(clock.timers.size, 0, `timers are left in ${mode} mode`);
        t.adds(pool.stats());
      }
    },
  },
  {
    name: "acquire_after_close_fails_at_once",
    async run(t) {
      const { pool } = counted();
      await pool.close();
      t.equal(await state(pool.acquire()), "rejected");
      await t.rejects(pool.acquire(), { code: "pool_closed" });
      await t.rejects(pool.use(() => 1), { code: "pool_closed" });
      t.equal(pool.tryAcquire(), undefined);
    },
  },
  {
    name: "close_waits_for_the_leases",
    async run(t) {
      const { pool, clock, closed } = counted();
      const lease = await pool.acquire();
      const closing = pool.close({ deadline: 1_000 });
      t.equal(await state(closing), "pending");
      lease.release();
      t.equal(await closing, 0);
      t.equal(closed, [0]);
      const stubborn = counted();
      await stubborn.pool.acquire();
      const late = stubborn.pool.close({ deadline: 1_000 });
      await stubborn.clock.advance(1_000);
      t.equal(await late, 1, "one is still out");
      t.equal(clock.timers.size, 0);
    },
  },
  {
    name: "nothing_leaks_into_a_closed_pool",
    async run(t) {
      const creation = deferred();
      const closed = [];
      const create = () => creation.promise;
      const pool = new Pool({ create, close: (resource) => void closed.push(resource) });
      const waiting = pool.acquire();
      const refused = t.rejects(waiting, { code: "pool_closed" });
      await pool.close();
      await refused;
      creation.resolve("late");
      await settle();
      t.equal(closed, ["late"]);
      t.equal(pool.stats().size, 0);
    },
  },
  {
    name: "clock_steps_back",
    async run(t) {
      for (const mode of ["process", "edge"]) {
        const { pool, clock } = counted({ mode, max: 1, acquireTimeout: 100 });
        const held = await pool.acquire();
        const waiting = pool.acquire();
        clock.time = -5_000;
        held.release();
        t.equal((await waiting).waited, 0);
        t.adds(pool.stats());
      }
    },
  },
  {
    name: "clock_at_zero",
    async run(t) {
      const clock = new FakeClock(0);
      const { pool } = counted({ clock, max: 1, acquireTimeout: 5 });
      await pool.acquire();
      const waiting = pool.acquire();
      await clock.advance(5);
      await t.rejects(waiting, { code: "acquire_timeout" });
    },
  },
  {
    name: "zero_and_tiny_durations",
    async run(t) {
      for (const mode of ["process", "edge"]) {
        const { pool, clock } = counted({ mode, max: 1 });
        await pool.acquire({ timeout: 0 });
        const waiting = [pool.acquire({ timeout: 0 }), pool.acquire({ timeout: 1e-9 })];
        const errors = waiting.map((promise) => t.rejects(promise, { code: "acquire_timeout" }));
        await clock.advance(1);
        await Promise.all(errors);
        const forever = pool.acquire({ timeout: Infinity });
        await clock.advance(1e7);
        t.equal(mode === "edge" || (await state(forever)) === "pending", true);
        forever.catch(() => undefined);
      }
    },
  },
];
