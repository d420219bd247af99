// What an operator does: fill, resize, retain, invalidate, pause, tick.
import { WarmUpError, Pool } from "edgepool";
import { FakeClock, countListeners, deferred, each, settle, state } from "../lib/harness.mjs";
import { World, fails } from "../lib/world.mjs";

export default [
  {
    name: "min_idle_fills",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 5, minIdle: 3 });
      t.equal(it.calls.create, 0, "a pool that nobody has used makes nothing");
      const lease = await it.pool.acquire();
      it.pool.tick();
      t.equal([it.pool.stats().idle, it.pool.stats().inUse], [3, 1], "beside what is in use");
      lease.release();

      const ticked = new World({ mode, max: 5, minIdle: 3 });
      ticked.pool.tick();
      t.equal([ticked.pool.stats().idle, ticked.calls.create], [3, 3]);
    }),
  },
  {
    name: "min_idle_refills_after_every_loss",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 5, minIdle: 2 });
      const idle = async () => {
        await it.clock.advance(1);
        if (mode === "edge") it.pool.tick();
        return it.pool.stats().idle;
      };
      it.pool.tick();
      t.equal(await idle(), 2);
      (await it.pool.acquire()).discard();
      t.ok((await idle()) >= 2, "after a discard");
      it.take(await it.pool.acquire());
      t.ok((await idle()) >= 2, "after a take");
      it.pool.invalidate();
      t.equal(await idle(), 2, "after an invalidation");
      it.pool.retain(() => false);
      t.equal(await idle(), 2, "after a retain of nothing");
      await it.leases(4);
      t.equal(await idle(), 1, "at most max");
    }),
  },
  {
    name: "min_idle_is_two_by_default_and_at_most_max",
    async run(t) {
      for (const [mode, max, minIdle] of [
        ["process", 1, 1], ["process", 2, 2], ["process", 20, 2], ["edge", 20, 0],
      ]) {
        const it = new World({ mode, max, minIdle: undefined });
        it.pool.tick();
        t.equal(it.pool.stats().idle, minIdle, `max ${max} in ${mode} mode`);
      }
    },
  },
  {
    name: "the_default_min_idle_follows_max_until_it_is_set",
    async run(t) {
      const { pool } = new World({ max: 20, minIdle: undefined });
      const idle = (max) => {
        pool.resize(max);
        pool.tick();
        return pool.stats().idle;
      };
      t.equal([20, 1, 2, 1, 4].map(idle), [2, 1, 2, 1, 2]);
      pool.setMinIdle(2);
      t.throws(() => pool.resize(1), /minIdle/);
      t.equal(pool.stats().max, 4, "nothing was changed");
    },
  },
  {
    name: "set_min_idle_fills_and_lets_go",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 4, idleTimeout: 100 });
      it.pool.setMinIdle(3);
      it.pool.tick();
      await it.clock.advance(1_000);
      it.pool.tick();
      t.equal(it.pool.stats().idle, 3);
      it.pool.setMinIdle(1);
      await it.clock.advance(100);
      t.equal(it.pool.stats().idle, 1, "the others age out");
      t.throws(() => it.pool.setMinIdle(5), /"minIdle" takes at most max \(4\)/);
      t.equal(it.pool.stats().max, 4, "nothing was changed");
    }),
  },
  {
    name: "resize_grows_for_those_who_wait_and_ends_those_who_need_more",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 2 });
      const leases = await it.leases(2);
      const waiting = it.pool.acquire();
      it.pool.resize(3);
      const third = await waiting;
      const many = it.pool.acquireMany(3);
      t.equal(await state(many), "pending");
      it.pool.resize(2);
      const error = await t.rejects(many, { code: "too_many" });
      t.ok(/at most 2, or raise max/.test(error.message), `what can be had: ${error.message}`);
      [...leases, third].forEach((lease) => lease.release());
      await settle();
      t.equal([it.pool.stats().idle, it.pool.stats().retiredSurplus], [2, 1]);
      t.equal(it.closed.length, 1);
    }),
  },
  {
    name: "warm_up_makes_so_many_at_once_and_tells_of_each",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 20 });
      const start = it.clock.now();
      let creating = 0;
      it.always.create = (make) => {
        creating = Math.max(creating, it.pool.stats().creating);
        return it.after(10, make);
      };
      const told = [];
      const onProgress = (progress) => void told.push({ ...progress });
      const { signal } = new AbortController();
      const listeners = countListeners(signal);
      const warmed = it.pool.warmUp(10, { parallel: 3, onProgress, signal });
      await it.clock.advance(40);
      t.equal([listeners.most, listeners.now], [1, 0], "listeners at most, and in the end");
      t.equal([await warmed, it.clock.now() - start, it.pool.stats().idle], [10, 40, 10]);
      t.equal(creating, 3, "at once");
      t.equal(told.map(({ made }) => made), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      t.ok(told.every(({ wanted, failed }) => wanted === 10 && failed === 0), "of ten");
      t.equal(await it.pool.warmUp(10), 0, "they are there");
      const two = it.pool.warmUp(12);
      await it.clock.advance(10);
      t.equal(await two, 2, "the missing ones");
      await it.assertCloses();
    }),
  },
  {
    name: "warm_up_without_a_number_makes_min_idle",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 5, minIdle: 3 });
      t.equal(await it.pool.warmUp(), 3);
      t.equal(it.pool.stats().idle, 3);
    }),
  },
  {
    name: "warm_up_that_is_aborted_begins_no_more",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 5 });
      it.always.create = (make) => it.after(10, make);
      const stop = new AbortController();
      const reason = new Error("enough");
      const warmed = it.pool.warmUp(5, { parallel: 2, signal: stop.signal });
      stop.abort(reason);
      t.ok((await t.rejects(warmed)) === reason, "the signal's own reason");
      await it.clock.advance(10);
      t.equal([it.pool.stats().idle, it.calls.create], [2, 2], "those under way go on");
      const aborted = AbortSignal.abort(reason);
      t.ok((await t.rejects(it.pool.warmUp(5, { signal: aborted }))) === reason);
      t.equal(it.calls.create, 2);
    }),
  },
  {
    name: "warm_up_tells_what_was_not_tried",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 5 });
      it.always.create = (make) => it.after(10, make);
      const failed = t.rejects(it.pool.warmUp(5, { parallel: 3 }), { code: "warm_up_failed" });
      it.pool.resize(3);
      await it.clock.advance(10);
      const error = await failed;
      t.ok(error instanceof WarmUpError, "a WarmUpError");
      t.equal([error.made, error.untried, error.errors], [3, 2, []]);
      t.ok(/3.*2/.test(error.message), `it tells both: ${error.message}`);
      it.always.create = (make) => make();
      await it.assertUsable();
    }),
  },
  {
    name: "warm_up_of_a_closed_or_paused_pool_tries_nothing",
    run: each(async (t, mode) => {
      for (const stop of ["close", "pause"]) {
        const it = new World({ mode, max: 3 });
        void it.pool[stop]();
        const error = await t.rejects(it.pool.warmUp(2));
        t.ok(["warm_up_failed", "pool_closed"].includes(error.code), `got ${error}`);
        t.equal(it.calls.create, 0);
      }
      const it = new World({ mode, max: 3 });
      const late = deferred();
      it.plans.create.push((make) => late.promise.then(make));
      const warmed = it.pool.warmUp(1);
      void it.pool.close();
      t.equal(await state(warmed), "rejected", "it ends with the pool");
      await t.rejects(warmed);
    }),
  },
  {
    name: "a_progress_that_throws_stops_no_creation",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 3 });
      it.always.create = (make) => it.after(5, make);
      const warmed = it.pool.warmUp(3, { onProgress: fails("oops") }).catch((error) => error);
      await it.clock.advance(5);
      await warmed;
      t.equal(it.pool.stats().idle, 3);
      await it.assertUsable();
    }),
  },
  {
    name: "a_warm_up_that_has_ended_rejects_once",
    run: each(async (t, mode) => {
      const thrown = new World({ mode, max: 3 });
      thrown.always.create = (make) => thrown.after(1, make);
      const onProgress = () => {
        throw new Error("mine");
      };
      const failing = thrown.pool.warmUp(3, { parallel: 1, onProgress });
      const failed = t.rejects(failing, { message: "mine" });
      await thrown.clock.advance(10);
      // A second rejection, which nobody could have heard, would have ended the process.
      await failed;
      const none = new World({ mode, max: 3 });
      none.always.create = () => Promise.reject();
      const error = await t.rejects(none.pool.warmUp(2), { code: "warm_up_failed", made: 0 });
      t.equal(error.errors.length, 2, "a failure may be undefined");
    }),
  },
  {
    name: "retain_takes_any_true_value",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 3 });
      await it.warm(3);
      t.equal([it.pool.retain(() => "yes"), it.pool.retain(() => 0)], [0, 3]);
      t.equal([it.pool.stats().rejected, it.closed.length], [3, 3]);
    }),
  },
  {
    name: "retain_keeps_what_it_is_told_to",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 4 });
      const [held, ...rest] = await it.leases(4);
      rest.forEach((lease) => lease.release());
      const seen = [];
      const closed = it.pool.retain((resource, info) => {
        seen.push([resource.id, info.id, info.uses]);
        return resource.id !== 3;
      });
      t.equal(seen.sort(), [[2, 2, 1], [3, 3, 1], [4, 4, 1]], "those that are idle");
      t.equal([closed, it.closed], [1, [3]]);
      t.equal([it.pool.stats().idle, it.pool.stats().rejected], [2, 1]);
      held.release();
      await it.assertUsable();
      await it.assertCloses();
    }),
  },
  {
    name: "retain_that_throws_keeps_the_others",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 3 });
      await it.warm(3);
      let left = 2;
      const keep = () => {
        left -= 1;
        if (left === 0) throw new Error("a predicate throws");
        return true;
      };
      await t.rejects((async () => it.pool.retain(keep))(), { message: "a predicate throws" });
      t.equal([it.pool.stats().idle, it.pool.stats().size, it.closed.length], [2, 2, 1]);
      await it.assertUsable();
      await it.assertCloses();
    }),
  },
  {
    name: "retain_lends_nothing_that_it_looks_at",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 2 });
      await it.warm(2);
      const closed = it.pool.retain((resource) => {
        const other = it.pool.tryAcquire();
        t.ok(other?.value !== resource, "nobody is lent what it looks at");
        other?.release();
        return resource.id === 1;
      });
      t.equal([closed, it.pool.stats().idle], [1, 1]);
      await it.assertUsable();
    }),
  },
  {
    name: "invalidate_replaces_everything",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 3 });
      const [held, idle] = await it.leases(2);
      idle.release();
      const second = await it.pool.acquire();
      it.plans.create.push((make) => it.after(5, make));
      const waiting = it.pool.acquire();
      it.pool.invalidate();
      const next = await waiting;
      t.equal(next.value.id, 4, "what was begun begins anew");
      held.release();
      second.release();
      await it.clock.advance(5);
      t.equal(it.closed.sort(), [1, 2, 3], "what came late as well");
      t.equal([it.live, it.pool.stats().retiredInvalidated], [1, 2]);
      next.release();
      await it.assertUsable();
    }),
  },
  {
    name: "pause_queues_callers_and_resume_serves_them",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 2, acquireTimeout: 1_000 });
      const held = await it.pool.acquire();
      t.equal(it.pool.isPaused, false);
      it.pool.pause();
      t.equal(it.pool.isPaused, true);
      const first = it.pool.acquire();
      const hasty = t.rejects(it.pool.acquire({ timeout: 10 }), { phase: "paused" });
      held.release();
      t.equal(it.pool.tryAcquire(), undefined);
      t.equal([it.pool.stats().idle, it.calls.create], [1, 1], "nothing is lent or made");
      await it.clock.advance(10);
      await hasty;
      it.pool.resume();
      t.equal([(await first).value.id, it.pool.isPaused], [1, false]);
    }),
  },
  {
    name: "the_state_says_in_which_part_of_its_life_a_pool_is",
    run: each(async (t, mode) => {
      const it = new World({ mode });
      t.equal(it.pool.state, "initializing");
      it.plans.create.push(() => it.after(5, fails("down")), (make) => it.after(5, make));
      const refused = t.rejects(it.pool.acquire(), { code: "create_failed" });
      t.equal(it.pool.state, "warming-up");
      await it.clock.advance(5);
      await refused;
      t.equal(it.pool.state, "initializing", "after a creation that failed");
      const made = it.pool.acquire();
      await it.clock.advance(5);
      (await made).discard();
      await settle();
      t.equal([it.pool.state, it.pool.stats().size], ["ready", 0], "it has had one");
      const lease = await it.pool.acquire();
      it.plans.close.push(() => it.after(5));
      const closing = it.pool.close({ deadline: 60_000 });
      t.equal(it.pool.state, "draining", "a lease is out");
      lease.release();
      t.equal(it.pool.state, "draining", "its resource is being closed");
      await it.clock.advance(5);
      t.equal(it.pool.state, "closed");
      await it.clock.advance(60_000);
      t.equal([await closing, it.pool.state], [[], "closed"]);
    }),
  },
  {
    name: "ticks_at_the_next_deadline_are_as_good_as_a_timer",
    run: each(async (t, mode) => {
      // A clock without timers: the pool is ticked by hand, at the times that it tells.
      const clock = new FakeClock(0);
      const it = new World({
        mode, max: 3, minIdle: 1, idleTimeout: 60_000, maxLifetime: 300_000, lifetimeJitter: 0,
        clock,
      });
      clock.setTimer = () => 0;
      t.equal(it.pool.nextDeadline(), undefined, "nothing is to come");
      it.pool.tick();
      t.equal(it.pool.stats().idle, 1, "it fills");
      await it.warm(3);
      let ticks = 0;
      for (; clock.time < 3_000_000 && ticks < 200; ticks += 1) {
        const next = it.pool.nextDeadline();
        t.ok(next !== undefined, "a life ends");
        clock.time = Math.max(clock.time, next);
        it.pool.tick();
        t.ok(it.pool.stats().idle >= 1, "min idle is kept");
      }
      const { retiredIdle, retiredAged, idle } = it.pool.stats();
      t.equal(idle, 1);
      t.ok(retiredIdle >= 2 && retiredAged >= 9 && retiredAged <= 12, `${retiredAged} renewed`);
      t.ok(ticks < 200, `${ticks} ticks in 3,000 s`);
    }),
  },
  {
    name: "an_alarm_is_asked_for_what_nobody_waits_for",
    async run(t) {
      const alarms = [];
      const setAlarm = (at) => void alarms.push(at);
      const it = new World({ mode: "durable-object", max: 2, idleTimeout: 60_000, setAlarm });
      const before = Date.now();
      await it.warm(1);
      t.equal(it.clock.timers.size, 0, "timers that nobody waits for");
      t.ok(alarms.length >= 1, "an alarm is asked for");
      const at = alarms.at(-1);
      const wrong = `for ${at - before} ms from now`;
      t.ok(at - before >= 59_000 && at - Date.now() <= 61_000, wrong);
      await it.clock.advance(60_000);
      t.equal(it.closed, [], "nothing happens before the alarm");
      it.pool.tick();
      t.equal(it.closed, [1]);
      const held = await it.leases(2);
      const late = t.rejects(it.pool.acquire({ timeout: 100 }), { code: "acquire_timeout" });
      t.equal(it.clock.timers.size, 1, "who waits has a timer");
      await it.clock.advance(100);
      await late;
      held.forEach((lease) => lease.release());
      await it.assertUsable();
    },
  },
  {
    name: "a_pool_of_the_system_clock_and_chance_works",
    run: each(async (t, mode) => {
      let made = 0;
      const pool = new Pool({ create: async () => ({ id: ++made }), mode, max: 2 });
      const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
      const all = Array.from({ length: 20 }, () => pool.use(() => sleep(1)));
      await Promise.all(all);
      await t.rejects((async () => {
        await pool.use(() => pool.use(() => pool.acquire({ timeout: 5 })));
      })(), { code: "acquire_timeout" });
      t.adds(pool.stats());
      t.equal(await pool.close(), []);
    }),
  },
  {
    name: "a_subclass_has_room_for_members_of_its_own",
    run: each(async (t, mode) => {
      class Named extends Pool {}
      const pool = new Named({ create: () => ({}), mode, max: 2 });
      const letters = [..."abcdefghijklmnopqrstuvwxyz"];
      const names = [...letters, ...letters.flatMap((one) => letters.map((two) => one + two))];
      for (const name of names) pool[name] = "its own";
      t.equal(await pool.use((_, lease) => lease.slot), 0);
      t.equal((await pool.acquireMany(2)).map((lease) => lease.release()), [true, true]);
      t.equal(await pool.close(), []);
    }),
  },
];
