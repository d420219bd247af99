// Leases that go from one caller to the next without a word to the module: nobody must notice.
import { FakeClock, each } from "../lib/harness.mjs";
import { World } from "../lib/world.mjs";

/** Options with which nothing is in a hurry, so that a timer looks after times once a second. */
const LONG = { idleTimeout: 60_000, maxLifetime: 600_000, lifetimeJitter: 0 };

/** Options with which nothing is ever due. */
const TIMELESS = { idleTimeout: Infinity, maxLifetime: Infinity, leaseTtl: Infinity };

/** Lends and takes back so often, in one step. */
function goRound(pool, times) {
  let last;
  for (let i = 0; i < times; i += 1) {
    const lease = pool.tryAcquire();
    last = lease?.value.id;
    lease?.release();
  }
  return last;
}

export default [
  {
    name: "what_goes_on_at_once_is_counted",
    run: each(async (t, mode) => {
      for (const options of [{}, LONG, { idleTimeout: 1_000 }]) {
        const it = new World({ mode, max: 3, ...options });
        await it.warm(2);
        const before = it.pool.stats();
        t.equal(goRound(it.pool, 5_000), 2, "the one that was used last");
        const held = it.pool.tryAcquire();
        const after = it.pool.stats();
        const added = ["started", "direct", "released"].map((name) => after[name] - before[name]);
        t.equal(added, [5_001, 5_001, 5_000]);
        t.equal([after.inUse, after.idle, held.info.uses, held.info.waited], [1, 1, 5_002, 0]);
        t.equal(it.pool.holders().map(({ slot, held }) => [slot, held]), [[held.slot, 0]]);
        held.release();
        t.equal(held.release(), false, "it is given back once");
        t.adds(it.pool.stats());
        await it.assertUsable();
        await it.assertCloses();
      }
    }),
  },
  {
    name: "where_no_time_counts_the_clock_is_not_read",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 1, minIdle: 0, ...TIMELESS });
      await it.warm(1);
      goRound(it.pool, 2);
      const { now } = it.clock;
      let readings = 0;
      it.clock.now = () => {
        readings += 1;
        return now.call(it.clock);
      };
      t.equal([goRound(it.pool, 100), readings], [1, 0]);
      // Who waits has a time to wait for, after which none counts again.
      const held = it.pool.tryAcquire();
      const waiting = it.pool.acquire();
      held.release();
      (await waiting).release();
      goRound(it.pool, 2);
      readings = 0;
      t.equal([goRound(it.pool, 100), readings], [1, 0]);
      t.adds(it.pool.stats());
      await it.assertUsable();
      await it.assertCloses();
    }),
  },
  {
    name: "what_came_back_last_goes_first_however_it_came_back",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 4, ...LONG });
      const leases = await it.leases(4);
      for (const at of [2, 0, 3, 1]) leases[at].release();
      it.pool.stats(); // looks at the pool, which all that came back is told to
      const ids = (await it.leases(4)).map(({ value }) => value.id);
      t.equal(ids, [2, 4, 1, 3]);
    }),
  },
  {
    name: "who_waits_comes_before_what_came_back",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 2, ...LONG });
      await it.warm(2);
      goRound(it.pool, 3);
      const [first, second] = await it.leases(2);
      const waiting = it.pool.acquire();
      first.release();
      t.equal(it.pool.tryAcquire(), undefined, "it is for the one who waits");
      const third = await waiting;
      t.equal(third.value.id, first.value.id);
      second.release();
      third.release();
      const both = await it.pool.acquireMany(2);
      t.equal(both.length, 2, "what came back is there for one who needs several");
    }),
  },
  {
    name: "what_is_invalidated_while_it_is_lent_is_not_lent_again",
    run: each(async (t, mode) => {
      for (const options of [{}, LONG]) {
        const it = new World({ mode, max: 2, ...options });
        await it.warm(2);
        const held = it.pool.tryAcquire();
        goRound(it.pool, 3);
        it.pool.invalidate();
        const made = await it.pool.acquire();
        t.equal(made.value.id, 3);
        made.release();
        goRound(it.pool, 3);
        held.release();
        t.equal([goRound(it.pool, 3), it.closed], [3, [1, held.value.id]]);
        t.equal([it.pool.stats().retiredInvalidated, it.live], [2, 1]);
      }
    }),
  },
  {
    name: "what_there_is_too_much_of_is_not_lent_again",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 3, ...LONG });
      await it.warm(3);
      goRound(it.pool, 2);
      const leases = await it.leases(3);
      it.pool.resize(1);
      leases[0].release();
      t.equal([it.pool.tryAcquire(), it.live], [undefined, 2], "it is closed, as too many are out");
      leases[1].release();
      t.equal([it.pool.tryAcquire(), it.live], [undefined, 1]);
      leases[2].release();
      goRound(it.pool, 3);
      t.equal([it.pool.stats().size, it.pool.stats().retiredSurplus], [1, 2]);
    }),
  },
  {
    name: "what_comes_back_to_a_paused_or_closed_pool_is_not_lent",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 2, ...LONG });
      await it.warm(2);
      const [one, other] = await it.leases(2);
      it.pool.pause();
      one.release();
      t.equal(it.pool.tryAcquire(), undefined, "it is paused");
      it.pool.resume();
      goRound(it.pool, 3);
      const closing = it.pool.close();
      t.equal([it.live, it.pool.tryAcquire()], [1, undefined], "it is closed");
      other.release();
      await closing;
      t.equal(it.live, 0);
    }),
  },
  {
    name: "a_lease_with_a_time_of_its_own_takes_it_to_nobody_else",
    run: each(async (t, mode) => {
      const it = new World({ mode, ...LONG });
      await it.warm(1);
      const lease = it.pool.tryAcquire();
      lease.renew(5_000);
      lease.release();
      const next = it.pool.tryAcquire();
      await it.clock.advance(6_000);
      t.equal(next.release(), true, "it lives for as long as any other");
      t.equal(it.pool.stats().expired, 0);
    }),
  },
  {
    name: "a_lease_lives_for_its_whole_time_though_another_had_the_place_before",
    run: each(async (t, mode) => {
      const it = new World({ mode, leaseTtl: 30_000 });
      await it.warm(1);
      const first = it.pool.tryAcquire();
      await it.clock.advance(29_000);
      it.pool.stats(); // tells the module what time it is
      first.release();
      const second = it.pool.tryAcquire();
      second.release();
      const third = it.pool.tryAcquire();
      await it.clock.advance(29_999);
      t.equal([it.pool.stats().expired, third.release()], [0, true]);
    }),
  },
  {
    name: "short_times_hold_to_the_moment",
    run: each(async (t, mode) => {
      const it = new World({ mode, idleTimeout: 9_000 });
      await it.warm(1);
      goRound(it.pool, 3);
      it.clock.time += 8_999; // no timer fires meanwhile
      t.equal(goRound(it.pool, 3), 1);
      it.clock.time += 9_000;
      t.equal([it.pool.tryAcquire(), it.closed], [undefined, [1]]);
    }),
  },
  {
    name: "long_times_hold_to_within_a_second",
    async run(t) {
      const it = new World({ ...LONG, checks: true, checkAfter: 10_000, checkInterval: 20_000 });
      it.always.check = () => true;
      await it.warm(1);
      // In use all the time, with a release in each half of a second.
      for (let half = 0; half < 1_202 && it.closed.length === 0; half += 1) {
        await it.clock.advance(500);
        if (it.closed.length === 0) goRound(it.pool, 7);
      }
      const age = it.clock.now() - 1_000;
      t.ok(age >= 600_000 && age <= 601_500, `it left at an age of ${age}`);
      t.equal(it.pool.stats().checks, 0, "it was never idle for long");

      await it.warm(1);
      goRound(it.pool, 3);
      await it.clock.advance(10_000);
      t.equal([goRound(it.pool, 1), it.pool.stats().checks], [2, 1], "idle for ten seconds");
      await it.clock.advance(1_001);
      goRound(it.pool, 2);
      await it.clock.advance(58_000);
      t.equal(it.closed, [1], "it is left alone for about a minute");
      await it.clock.advance(2_000);
      t.equal(it.closed, [1, 2], "and no longer");
    },
  },
  {
    name: "what_is_too_old_when_it_comes_back_is_not_lent_again",
    async run(t) {
      const it = new World({ max: 2, ...LONG });
      await it.warm(2);
      const held = it.pool.tryAcquire();
      await it.clock.advance(599_500);
      t.equal(goRound(it.pool, 3), undefined, "the other one has been idle for too long");
      (await it.pool.acquire()).release();
      goRound(it.pool, 3);
      await it.clock.advance(600);
      goRound(it.pool, 3);
      held.release();
      t.equal([goRound(it.pool, 3), it.closed.length], [3, 2]);
    },
  },
  {
    name: "who_holds_what_and_since_when_is_known_to_a_second",
    async run(t) {
      const it = new World({ max: 2, ...LONG });
      const first = await it.pool.acquire();
      await it.clock.advance(5_000);
      first.release();
      await it.clock.advance(300);
      goRound(it.pool, 3);
      const lease = it.pool.tryAcquire();
      await it.clock.advance(20_000);
      const [{ held, id }] = it.pool.holders();
      t.ok(held >= 20_000 && held <= 21_000, `it is held for ${held} ms`);
      const { lastUsed, uses } = lease.info;
      const ago = it.clock.now() - lastUsed;
      t.ok(ago >= 20_000 && ago <= 21_000, `it came back ${ago} ms ago`);
      t.equal([id, uses], [1, 5]);
    },
  },
  {
    name: "a_pool_at_rest_sets_no_timers",
    async run(t) {
      const it = new World(LONG);
      await it.warm(1);
      goRound(it.pool, 100);
      let timers = 0;
      const { setTimer } = it.clock;
      it.clock.setTimer = (...args) => {
        timers += 1;
        return setTimer.apply(it.clock, args);
      };
      await it.clock.advance(50_000);
      t.ok(timers <= 2, `${timers} timers in 50 s in which nothing happens`);
    },
  },
  {
    name: "many_loans_in_one_step_are_seen_by_the_clock",
    async run(t) {
      const clock = new FakeClock(1_000);
      const it = new World({ ...LONG, clock });
      await it.warm(1);
      // No timer fires in here, as in a loop that lets nothing else run.
      for (let i = 0; i < 5_000; i += 1) {
        clock.time += 1_000;
        it.pool.tryAcquire()?.release();
      }
      t.ok(it.closed.includes(1), "it has left for its age");
    },
  },
  {
    name: "times_hold_soon_although_no_timer_fires",
    async run(t) {
      const clock = new FakeClock(1_000);
      const it = new World({ ...LONG, clock });
      await it.warm(1);
      let loans = 0;
      while (it.pool.tryAcquire()?.release()) {
        clock.time += 600_000;
        loans += 1;
      }
      t.ok(loans <= 16, `it was lent ${loans} times, each 600 s after the one before`);
      t.equal(it.closed, [1]);
    },
  },
  {
    name: "what_is_invalidated_as_it_is_lent_is_not_lent_again",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 4, minIdle: 2, ...LONG });
      const { create } = it.always;
      let invalidates = false;
      it.always.create = (...args) => {
        if (invalidates) it.pool.invalidate();
        invalidates = false;
        return create(...args);
      };
      await it.warm(1);
      const [first] = await it.pool.acquireMany(1);
      invalidates = true;
      // What is idle is lent, for which another is made to be idle.
      const [second] = await it.pool.acquireMany(1);
      t.equal(invalidates, false, "a creation was begun");
      const old = [first.value.id, second.value.id];
      second.release();
      const next = await it.pool.acquire();
      t.ok(!old.includes(next.value.id), `of ${old} ${next.value.id} was lent again`);
      for (const lease of [first, next]) lease.release();
      await it.assertCloses();
    }),
  },
  {
    name: "a_closed_pool_leaves_no_timer",
    run: each(async (t, mode) => {
      for (const options of [LONG, { ...LONG, checks: true }, { idleTimeout: 500 }]) {
        const it = new World({ mode, ...options });
        await it.warm(1);
        goRound(it.pool, 3);
        await it.pool.close();
        t.equal(it.clock.timers.size, 0, "timers of a pool that has closed");
      }
    }),
  },
  {
    name: "a_check_does_not_forget_how_often_a_resource_was_lent",
    run: each(async (t, mode) => {
      const it = new World({ mode, ...LONG, checks: true, checkAfter: 10_000 });
      await it.warm(1);
      goRound(it.pool, 500);
      await it.clock.advance(15_000);
      const lease = await it.pool.acquire();
      t.equal([it.calls.check, lease.info.uses], [1, 502]);
    }),
  },
];
