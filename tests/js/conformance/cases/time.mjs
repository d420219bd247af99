// Time: ages, idleness, deadlines, and clocks that misbehave.
import { FakeClock, UNATTENDED, each, random, settle, state } from "../lib/harness.mjs";
import { World, fails, hang } from "../lib/world.mjs";

const HOUR = 3_600_000;

/** When each of a hundred resources that were made together leaves, in s. */
async function retirements(seed, jitter) {
  const ends = [];
  const clock = new FakeClock(0);
  const it = new World({
    max: 100, maxLifetime: 1_000_000, lifetimeJitter: jitter, random: random(seed), clock,
  });
  it.always.close = () => void ends.push(Math.floor(clock.now() / 1_000));
  await it.warm(100);
  await clock.advance(500_000);
  await it.warm(100); // a use draws no new time
  await clock.advance(501_000);
  return ends;
}

/** How many are left of ten, two minutes after a burst, with one caller each second. */
async function leftOfTen(mode, reuse) {
  const it = new World({ mode, max: 10, idleTimeout: 60_000, reuse });
  await it.warm(10);
  for (let second = 0; second < 120; second += 1) {
    await it.clock.advance(1_000);
    (await it.pool.acquire()).release();
  }
  return it.pool.stats().size;
}

/** Counts the timers that are set on a clock. */
function countTimers(clock) {
  const counts = { set: 0 };
  const real = clock.setTimer;
  clock.setTimer = (...args) => {
    counts.set += 1;
    return real(...args);
  };
  return counts;
}

export default [
  {
    name: "a_day_idle_creates_nothing",
    run: each(async (t, mode) => {
      const defaults = { idleTimeout: undefined, maxLifetime: undefined };
      const unused = new World({ mode, max: 5, minIdle: 2, ...defaults });
      await unused.clock.advance(24 * HOUR);
      t.equal(unused.calls.create, 0, "creations of a pool that nobody has used");

      const it = new World({ mode, max: 5, minIdle: 2, ...defaults });
      it.pool.tick();
      const timers = countTimers(it.clock);
      await it.clock.advance(24 * HOUR);
      const { idle, creations, retiredAged } = it.pool.stats();
      t.equal([idle, creations - retiredAged], [2, 2], "idle ones, and creations that renew none");
      // A life is half an hour, less a tenth at most, and its last 10 s at most overlap the next.
      t.ok(retiredAged >= 94 && retiredAged <= 108, `${retiredAged} were renewed`);
      t.ok(timers.set < 1_000, `${timers.set} timers in a day`);

      const ageless = new World({ mode, max: 5, minIdle: 2, idleTimeout: 300_000 });
      ageless.pool.tick();
      await ageless.clock.advance(24 * HOUR);
      t.equal(ageless.calls.create, 2);
    }, UNATTENDED),
  },
  {
    name: "a_day_idle_on_the_edge_does_nothing_at_all",
    async run(t) {
      const it = new World({ mode: "edge", max: 5, minIdle: 2, maxLifetime: 1_800_000 });
      (await it.pool.acquire()).release();
      await settle();
      const { create } = it.calls;
      const timers = countTimers(it.clock);
      await it.clock.advance(24 * HOUR);
      t.equal([it.calls.create, timers.set], [create, 0], "no request, no timer");
    },
  },
  {
    name: "reaper_never_goes_below_min_idle",
    run: each(async (t, mode) => {
      const next = random(7);
      const it = new World({ mode, max: 5, minIdle: 3, idleTimeout: 60_000, maxLifetime: 600_000 });
      it.always.create = (make) => it.after(10 + next() * 490, make);
      let least = Infinity;
      it.always.close = () => void (least = Math.min(least, it.pool.stats().idle));
      it.pool.tick();
      await it.clock.advance(1_000);
      const leases = await it.leases(3);
      leases.forEach((lease) => lease.release());
      await it.clock.advance(6 * HOUR);
      const { retiredAged, retiredIdle, idle } = it.pool.stats();
      t.ok(retiredAged >= 105 && retiredAged <= 130, `${retiredAged} were renewed`);
      t.ok(least >= 3, `${least} were idle as one left`);
      t.equal([idle, retiredIdle], [3, 2], "those made while three were out go for idleness");
    }, UNATTENDED),
  },
  {
    name: "busy_connection_is_retired_on_return",
    run: each(async (t, mode) => {
      const it = new World({ mode, maxLifetime: 10_000 });
      for (let round = 1; round <= 3; round += 1) {
        const lease = await it.pool.acquire();
        t.equal(lease.value.id, round);
        await it.clock.advance(11_000);
        t.equal(it.live, 1, "it is not closed while it is out");
        lease.release();
        const { retiredAged, size } = it.pool.stats();
        t.equal([retiredAged, size], [round, 0]);
      }
    }),
  },
  {
    name: "lifetimes_are_spread",
    async run(t) {
      const ends = await retirements(1, 20);
      t.equal(ends.length, 100);
      t.ok(ends[0] >= 800 && ends[99] <= 1_000, `from ${ends[0]} s to ${ends[99]} s`);
      for (let from = 800; from < 1_000; from += 20) {
        const within = ends.filter((end) => end >= from && end < from + 20).length;
        t.ok(within >= 3 && within <= 20, `${within} from second ${from} on: ${ends}`);
      }
      t.equal(await retirements(1, 20), ends, "the same chance, the same times");
      t.ok(String(await retirements(2, 20)) !== String(ends), "another chance, other times");
      t.equal(new Set(await retirements(1, 0)).size, 1, "without jitter, moments at which they go");
    },
  },
  {
    name: "lifetime_never_kills_a_lease",
    run: each(async (t, mode) => {
      const it = new World({
        mode, max: 2, minIdle: 1, maxLifetime: 60_000, leaseTtl: Infinity,
      });
      const held = await it.pool.acquire();
      await it.clock.advance(HOUR);
      it.pool.tick();
      t.equal([held.value.id, it.closed.includes(1)], [1, false]);
      if (mode === "process") t.ok(it.pool.stats().retiredAged > 50, "the idle one was renewed");
      held.release();
      await settle();
      t.ok(it.closed.includes(1), "it retires as it comes back");
    }),
  },
  {
    name: "idle_pool_shrinks_under_light_load",
    run: each(async (t, mode) => {
      t.equal(await leftOfTen(mode, "lifo"), 1, "those used last are used again");
      t.equal(await leftOfTen(mode, "fifo"), 10, "all are kept in use");
      t.equal(await leftOfTen(mode, undefined), 1, "lifo is the default");
    }),
  },
  {
    name: "clock_steps_back",
    run: each(async (t, mode) => {
      const it = new World({ mode, acquireTimeout: 100 });
      it.clock.time = 2 * HOUR;
      const held = await it.pool.acquire();
      const late = it.pool.acquire();
      late.catch(() => undefined);
      await it.clock.advance(0);
      it.clock.time -= HOUR;
      const timers = countTimers(it.clock);
      // Its timers fire at the times they were set for, however far off the clock is.
      await it.clock.advance(50);
      t.equal(await state(late), "pending");
      t.ok(timers.set < 20, `${timers.set} timers in 50 ms`);
      await it.clock.advance(HOUR + 100);
      await t.rejects(late, { code: "acquire_timeout" });
      t.ok(timers.set < 100_000, `${timers.set} timers in an hour`);

      it.clock.time = -5_000;
      const waiting = it.pool.acquire({ timeout: Infinity });
      held.release();
      const lease = await waiting;
      t.equal([lease.value.id, lease.waited], [1, 0], "a wait is never negative");
      lease.release();
      t.adds(it.pool.stats());
    }),
  },
  {
    name: "clock_stands_still",
    run: each(async (t, mode) => {
      const it = new World({ mode, acquireTimeout: 10, idleTimeout: 1_000 });
      const held = await it.pool.acquire();
      // Its timers fire, and the time is what it was.
      const stuck = it.clock.now();
      it.clock.now = () => stuck;
      const timers = countTimers(it.clock);
      const waiting = it.pool.acquire();
      await it.clock.advance(1_000);
      t.equal(await state(waiting), "pending", "its time does not pass");
      t.ok(timers.set <= 200, `no busy loop: ${timers.set} timers in 1 s`);
      held.release();
      (await waiting).release();
      t.adds(it.pool.stats());
    }),
  },
  {
    name: "clock_at_zero",
    run: each(async (t, mode) => {
      const it = new World({ mode, clock: new FakeClock(0), createTimeout: 100 });
      it.plans.create.push(hang);
      const failed = t.rejects(it.pool.acquire(), { code: "create_timeout" });
      await it.clock.advance(100);
      await failed;
      await it.pool.acquire();
      const asked = it.pool.acquire({ timeout: 10 });
      const late = t.rejects(asked, { code: "acquire_timeout", waited: 10 });
      await it.clock.advance(10);
      await late;
      t.adds(it.pool.stats());
    }),
  },
  {
    name: "clock_at_the_end_of_time",
    run: each(async (t, mode) => {
      const it = new World({ mode, clock: new FakeClock(Number.MAX_SAFE_INTEGER - 5) });
      it.always.create = (make) => (it.calls.create > 100 ? fails("it loops")() : make());
      const held = await it.pool.acquire();
      const waiting = it.pool.acquire();
      await settle();
      held.release();
      (await waiting).release();
      t.adds(it.pool.stats());
    }),
  },
  {
    name: "zero_and_tiny_durations",
    run: each(async (t, mode) => {
      const it = new World({ mode, acquireTimeout: 0 });
      (await it.pool.acquire()).release();
      const lease = await it.pool.acquire(); // idle
      const timers = countTimers(it.clock);
      const waiting = [it.pool.acquire(), it.pool.acquire({ timeout: 1e-9 })];
      const errors = waiting.map((promise) => t.rejects(promise, { code: "acquire_timeout" }));
      await it.clock.advance(1);
      await Promise.all(errors);
      t.ok(timers.set <= 10, `${timers.set} timers`);
      const forever = it.pool.acquire({ timeout: Infinity });
      await it.clock.advance(59_000);
      t.equal(await state(forever), "pending");
      lease.release();
      (await forever).release();
      it.assertRests();
      t.adds(it.pool.stats());

      const tiny = new World({ mode, acquireTimeout: 1e-6 });
      tiny.plans.create.push((make) => tiny.after(1, make));
      const hasty = t.rejects(tiny.pool.acquire(), { code: "acquire_timeout" });
      await tiny.clock.advance(1);
      await hasty;
      t.equal(tiny.pool.stats().idle, 1, "what was begun for it is kept");
    }),
  },
  {
    name: "durations_beyond_the_longest_timer_do_not_pass_at_once",
    async run(t) {
      const it = new World({ idleTimeout: 2 ** 40, clock: undefined });
      await it.warm(1);
      await new Promise((resolve) => setTimeout(resolve, 20));
      t.equal(it.pool.stats().idle, 1);
      const held = await it.pool.acquire();
      const waiting = it.pool.acquire({ timeout: 2 ** 40 });
      await new Promise((resolve) => setTimeout(resolve, 20));
      t.equal(await state(waiting), "pending");
      held.release();
      (await waiting).release();
      await it.pool.close();
    },
  },
  {
    name: "expiry_needs_no_background_task",
    run: each(async (t, mode) => {
      // A clock whose timers never fire: what is due is found by the next call.
      const still = () => {
        const clock = new FakeClock(1_000);
        clock.setTimer = () => 0;
        return clock;
      };
      const it = new World({ mode, clock: still(), acquireTimeout: 10 });
      const held = await it.pool.acquire();
      const waiting = it.pool.acquire();
      waiting.catch(() => undefined);
      it.clock.time += 9.999;
      t.equal(it.pool.stats().waiting, 1);
      it.clock.time += 0.001;
      t.equal([it.pool.stats().waiting, it.pool.stats().timedOut], [0, 1]);
      held.release();
      t.equal(it.pool.stats().idle, 1, "it is not given to one whose time has passed");
      await t.rejects(waiting, { code: "acquire_timeout" });

      const idle = new World({ mode, clock: still(), idleTimeout: 60_000 });
      await idle.warm(1);
      idle.clock.time += 59_999;
      t.equal(idle.pool.stats().idle, 1);
      idle.clock.time += 1;
      t.equal([idle.pool.stats().idle, idle.pool.stats().retiredIdle], [0, 1]);

      const aged = new World({ mode, clock: still(), maxLifetime: 9_000, lifetimeJitter: 0 });
      await aged.warm(1);
      aged.clock.time += 8_999;
      await aged.warm(1);
      t.equal(aged.calls.create, 1);
      aged.clock.time += 1;
      t.equal((await aged.pool.acquire()).value.id, 2);
    }),
  },
  {
    name: "idle_timeout_closes_what_min_idle_does_not_need",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 4, minIdle: 1, idleTimeout: 60_000 });
      await it.warm(4);
      await it.clock.advance(59_000);
      (await it.pool.acquire()).release();
      await it.clock.advance(1_000);
      const { idle, retiredIdle } = it.pool.stats();
      t.equal([idle, retiredIdle], [1, 3], "one was used");
      await it.clock.advance(HOUR);
      t.equal([it.pool.stats().idle, it.calls.create], [1, 4]);
    }),
  },
  {
    name: "max_lifetime_renews_ahead",
    run: each(async (t, mode) => {
      const it = new World({
        mode, max: 2, minIdle: 1, maxLifetime: 100_000, lifetimeJitter: 0, createTimeout: 5_000,
      });
      it.always.create = (make) => it.after(2_000, make);
      it.pool.tick();
      await it.clock.advance(2_000 + 94_000);
      t.equal(it.calls.create, 1);
      await it.clock.advance(1_000);
      t.equal([it.pool.stats().creating, it.pool.stats().idle], [1, 1], "5 s before its end");
      await it.clock.advance(2_000);
      t.equal([it.pool.stats().idle, it.closed, it.pool.stats().retiredAged], [1, [1], 1]);
    }, UNATTENDED),
  },
  {
    name: "lifetimes_differ_between_pools_unless_they_have_one_chance",
    async run(t) {
      const end = async (chance) => {
        const clock = new FakeClock(0);
        const it = new World({ maxLifetime: HOUR, lifetimeJitter: 100, clock, ...chance });
        await it.warm(1);
        return it.pool.nextDeadline();
      };
      const ends = async (chance) => {
        const all = [];
        for (let i = 0; i < 4; i += 1) all.push(await end(chance(i)));
        return new Set(all).size;
      };
      t.equal(await ends(() => ({ random: undefined })), 4, "ends of four lives, by default");
      t.equal(await ends(() => ({ random: () => 0.25 })), 1, "with the same chance");
      t.equal(await ends((i) => ({ random: () => i / 4 })), 4, "with another");
    },
  },
  {
    name: "max_uses_retires_after_so_many",
    run: each(async (t, mode) => {
      const it = new World({ mode, maxUses: 3 });
      const ids = [];
      for (let i = 0; i < 7; i += 1) {
        const lease = await it.pool.acquire();
        ids.push(lease.value.id);
        lease.release();
      }
      t.equal(ids, [1, 1, 1, 2, 2, 2, 3]);
      t.equal([it.pool.stats().retiredUsed, it.closed], [2, [1, 2]]);
    }),
  },
  {
    name: "lifo_lends_the_warmest_and_fifo_the_coldest",
    run: each(async (t, mode) => {
      const order = async (reuse) => {
        const it = new World({ mode, max: 3, reuse });
        await it.warm(3);
        const ids = [];
        for (let i = 0; i < 3; i += 1) {
          const lease = await it.pool.acquire();
          ids.push(lease.value.id);
          lease.release();
        }
        return ids;
      };
      t.equal(await order("lifo"), [3, 3, 3]);
      t.equal(await order("fifo"), [1, 2, 3]);
    }),
  },
];
