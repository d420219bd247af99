// Creation: errors, timeouts, and who is served by it.
import { CreateError, Pool } from "edgepool";
import { FakeClock, UNATTENDED, deferred, each, random, settle, state } from "../lib/harness.mjs";
import { World, fails, hang } from "../lib/world.mjs";

/** Calls `act` until its promise does not reject; tells how often that was. */
async function until(limit, act) {
  for (let attempts = 1; attempts <= limit; attempts += 1) {
    try {
      return { attempts, value: await act() };
    } catch (error) {
      if (error.code === undefined) throw error;
    }
  }
  throw new Error(`it did not succeed in ${limit} attempts`);
}

/** Lets time pass until a promise settles. */
async function settled(clock, promise, step = 1, limit = 100_000) {
  let done = false;
  promise.then(() => (done = true), () => (done = true));
  await settle();
  for (let passed = 0; !done && passed < limit; passed += step) await clock.advance(step);
  return promise;
}

/** Six callers, two places, and creations that fail after 3 ms: what each saw, and when. */
async function sixMeetFailures(t, mode, options) {
  const it = new World({ mode, max: 2, acquireTimeout: Infinity, ...options });
  const start = it.clock.now();
  it.always.create = () => {
    const n = it.calls.create;
    return it.after(3, fails(`e${n}`));
  };
  const seen = Array.from({ length: 6 }, async () => {
    const error = await t.rejects(it.pool.acquire(), { code: "create_failed" });
    return { cause: error.cause.message, at: it.clock.now() - start };
  });
  const all = await settled(it.clock, Promise.all(seen), 1, 100);
  t.adds(it.pool.stats());
  return {
    causes: all.map(({ cause }) => cause).sort(),
    last: Math.max(...all.map(({ at }) => at)),
  };
}

/** Twenty callers that all meet a failure which takes 10 ms: none hears of it later. */
async function storm(t, mode, options) {
  const it = new World({ mode, ...options });
  it.always.create = () => it.after(10, fails("down"));
  const ended = Array.from({ length: 20 }, () =>
    t.rejects(it.pool.acquire(), { code: "create_failed" }),
  );
  const all = Promise.all(ended);
  await it.clock.advance(9);
  t.equal(await state(Promise.race(ended)), "pending");
  await it.clock.advance(1);
  t.equal(await state(all), "fulfilled", "all were told after 10 ms");
  t.adds(it.pool.stats());
}

/** A caller comes every 100 ms for so many minutes, and no creation succeeds. */
async function creationsIn(minutes, options) {
  const it = new World({ max: 10, ...options });
  it.always.create = fails("down");
  const end = it.clock.now() + minutes * 60_000;
  while (it.clock.now() < end) {
    const { code } = await settled(it.clock, it.pool.acquire().catch((error) => error), 100);
    if (code !== "create_failed" && code !== "unavailable") throw new Error(`got ${code}`);
    await it.clock.advance(100);
  }
  return it.pool.stats().creations;
}

/** Eight callers share four resources for so many ms, and no check ever passes. */
async function withoutAGoodCheck(ms, seed, options) {
  const next = random(seed);
  const between = (low, high) => low + Math.floor(next() * (high - low));
  const it = new World({ max: 4, checks: true, checkAfter: 0, random: random(seed), ...options });
  it.always.create = (make) => it.after(between(10, 100), make);
  it.always.check = () => it.after(between(1, 20), () => false);
  const end = it.clock.now() + ms;
  const callers = Array.from({ length: 8 }, async () => {
    while (it.clock.now() < end) {
      const asked = it.pool.acquire({ timeout: between(20, 2_000) });
      const lease = await asked.catch(() => undefined);
      if (lease !== undefined) await it.after(between(1, 300));
      lease?.release();
      await it.after(between(1, 50));
    }
  });
  await it.clock.advance(ms + 5_000);
  await Promise.all(callers);
  return it;
}

export default [
  {
    name: "creation_survives_its_requester",
    run: each(async (t, mode) => {
      const it = new World({ mode, acquireTimeout: 20 });
      it.plans.create.push((make) => it.after(50, make));
      const start = it.clock.now();
      const { attempts, value } = await until(10, () => settled(it.clock, it.pool.acquire()));
      t.equal([attempts, it.clock.now() - start, value.value.id], [3, 50, 1]);
      t.equal(it.calls.create, 1, "creations");
    }),
  },
  {
    name: "creation_survives_a_cancelled_requester",
    run: each(async (t, mode) => {
      const it = new World({ mode });
      it.plans.create.push((make) => it.after(50, make));
      for (let i = 0; i < 5; i += 1) {
        const stop = new AbortController();
        const waiting = it.pool.acquire({ signal: stop.signal });
        await it.clock.advance(10);
        // The last one is served in that very moment.
        if (i < 4) stop.abort(new Error("gone"));
        if (i < 4) await t.rejects(waiting, { message: "gone" });
        else (await waiting).release();
      }
      t.equal([it.calls.create, it.pool.stats().idle], [1, 1], "creations, and idle ones");
    }),
  },
  {
    name: "served_by_whichever_is_first",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 2 });
      const lease = await it.pool.acquire();
      it.plans.create.push((make) => it.after(50, make));
      const waiting = it.pool.acquire();
      t.equal(it.pool.stats().creating, 1);
      lease.release();
      t.equal((await waiting).value.id, 1, "what came back");
      t.equal(it.pool.stats().creating, 1, "its own creation goes on");
      const next = it.pool.acquire();
      await it.clock.advance(50);
      t.equal((await next).value.id, 2, "the late one serves the next");
      t.equal(it.calls.create, 2);
      await it.clock.advance(0);

      const idle = new World({ mode, max: 2 });
      const held = await idle.pool.acquire();
      idle.plans.create.push((make) => idle.after(50, make));
      const served = idle.pool.acquire();
      held.release();
      await served;
      await idle.clock.advance(50);
      t.equal(idle.pool.stats().idle, 1, "with nobody there the late one is idle");
    }),
  },
  {
    name: "creates_never_exceed_need",
    run: each(async (t, mode) => {
      for (let seed = 1; seed <= 5; seed += 1) {
        const next = random(seed);
        const below = (n) => Math.floor(next() * n);
        const it = new World({
          mode, max: 6, minIdle: 2, acquireTimeout: 80, checks: true, checkAfter: 5,
        });
        let looks = 0;
        it.always.create = (make) => {
          const stats = it.pool.stats();
          const { idle, checking, resetting, waiting, creating, size, max } = stats;
          const missing = Math.max(2 - idle - checking - resetting, 0);
          const least = `${creating} creations for ${waiting} callers: ${JSON.stringify(stats)}`;
          t.ok(creating <= waiting + missing && size <= max, least);
          looks += 1;
          const act = next() < 0.2 ? fails("no") : make;
          return next() < 0.5 ? act() : it.after(below(30), act);
        };
        it.always.check = () => (next() < 0.2 ? false : it.after(below(10), () => true));
        const callers = Array.from({ length: 20 }, async () => {
          for (let round = 0; round < 20; round += 1) {
            const stop = new AbortController();
            if (next() < 0.1) void it.after(below(30), () => stop.abort());
            const asked = it.pool.acquire({ signal: stop.signal });
            const lease = await asked.catch(() => undefined);
            await it.after(1 + below(20));
            if (next() < 0.3) lease?.discard();
            else lease?.release();
            await it.after(1 + below(60));
          }
        });
        await settled(it.clock, Promise.all(callers), 10, 100_000);
        t.ok(looks > 50, `only ${looks} creations`);
        it.always.create = (make) => make();
        it.always.check = () => true;
        await it.clock.advance(1_000);
        await it.assertCloses();
      }
    }),
  },
  {
    name: "creates_for_those_who_have_left_are_used_first",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 4 });
      it.always.create = (make) => it.after(50, make);
      const stops = [1, 2, 3].map(() => new AbortController());
      const first = stops.map(({ signal }) => it.pool.acquire({ signal }));
      t.equal(it.calls.create, 3, "one for each who waits");
      for (const n of [1, 2]) {
        stops[n].abort(new Error("gone"));
        await t.rejects(first[n], { message: "gone" });
      }
      const second = it.pool.acquire();
      t.equal(it.calls.create, 3, "two wait, three are under way");
      const more = Array.from({ length: 10 }, () => it.pool.acquire().catch(() => undefined));
      t.equal(it.calls.create, 4, "no more than max");
      await it.clock.advance(50);
      t.equal([(await first[0]).value.id, (await second).value.id], [1, 2]);
      void it.pool.close();
      await Promise.all(more.slice(2));
    }),
  },
  {
    name: "discard_frees_capacity_and_starts_a_create",
    run: each(async (t, mode) => {
      for (const part of [(it, lease) => lease.discard(), (it, lease) => it.take(lease)]) {
        const it = new World({ mode });
        const lease = await it.pool.acquire();
        const waiting = it.pool.acquire();
        part(it, lease);
        // On the edge it is begun in the request of who waits, which is rung.
        if (mode === "edge") await settle();
        t.equal(it.calls.create, 2, `creations, at once after ${part}`);
        (await waiting).release();
        await settle();
        t.equal([it.pool.stats().idle, it.live], [1, 1]);
        await it.assertCloses();
      }
      const it = new World({ mode, checks: true, checkAfter: 0 });
      await it.warm(1);
      it.plans.check.push(() => it.after(10, () => false));
      const waiting = it.pool.acquire();
      await it.clock.advance(10);
      t.equal([it.closed, (await waiting).value.id], [[1], 2], "after a failed check");
    }),
  },
  {
    name: "a_creation_whose_waiter_leaves_at_once_serves_the_next",
    run: each(async (t, mode) => {
      const it = new World({ mode });
      const lease = await it.pool.acquire();
      const stop = new AbortController();
      const left = it.pool.acquire({ signal: stop.signal });
      it.plans.create.push((make) => it.after(10, make));
      lease.discard();
      stop.abort(new Error("gone"));
      await t.rejects(left, { message: "gone" });
      const waiting = it.pool.acquire();
      await it.clock.advance(10);
      const next = await waiting;
      t.equal([next.value.id, it.pool.stats().size], [2, 1]);
      next.release();
      await it.assertUsable();
      await it.assertCloses();
    }),
  },
  {
    name: "create_error_reaches_the_caller",
    run: each(async (t, mode) => {
      for (const refuse of [fails("refused"), async () => fails("refused")()]) {
        const it = new World({ mode });
        it.plans.create.push(refuse);
        const error = await t.rejects(it.pool.acquire(), { code: "create_failed" });
        t.ok(error instanceof CreateError, "a CreateError");
        t.equal(error.cause.message, "refused");
        t.ok(error.message.includes("refused"), `the cause is told: ${error.message}`);
        t.equal(it.pool.stats().size, 0);
        t.adds(it.pool.stats());
      }
    }),
  },
  {
    name: "timeout_names_phase_and_cause",
    run: each(async (t, mode) => {
      const timedOut = async (it, phase, gauge, more = {}) => {
        const waiting = it.pool.acquire();
        await settle();
        if (gauge !== undefined) t.equal(it.pool.stats()[gauge], 1, gauge);
        await it.clock.advance(10);
        const expected = { code: "acquire_timeout", phase, waited: 10, ...more };
        const error = await t.rejects(waiting, expected);
        t.ok(error.message.includes("10 ms"), `the time: ${error.message}`);
        return error;
      };
      const busy = new World({ mode, acquireTimeout: 10 });
      await busy.pool.acquire();
      busy.pool.acquire({ timeout: Infinity }).catch(() => undefined);
      const error = await timedOut(busy, "waiting", "inUse", { place: 1 });
      t.equal(error.cause, undefined, "nothing has failed");
      t.ok(/max|acquireTimeout/.test(error.message), `what to do: ${error.message}`);

      const connecting = new World({ mode, acquireTimeout: 10 });
      connecting.plans.create.push((make) => connecting.after(20, make));
      await timedOut(connecting, "connecting", "creating", { place: 0 });

      const checking = new World({ mode, acquireTimeout: 10, checks: true, checkAfter: 0 });
      await checking.warm(1);
      checking.plans.check.push(() => checking.after(20));
      await timedOut(checking, "checking", "checking");

      const resetting = new World({ mode, acquireTimeout: 10, resets: true });
      resetting.plans.reset.push(() => resetting.after(20));
      await resetting.warm(1);
      await timedOut(resetting, "checking", "resetting");

      const paused = new World({ mode, acquireTimeout: 10 });
      paused.pool.pause();
      await timedOut(paused, "paused", "waiting");
    }),
  },
  {
    name: "timeout_names_phase_and_cause_of_a_failure",
    run: each(async (t, mode) => {
      const backoff = { base: 60_000, cap: 60_000 };
      const it = new World({ mode, max: 2, acquireTimeout: 10, backoff, leaseTtl: Infinity });
      await it.pool.acquire();
      it.plans.create.push(fails("refused"));
      await t.rejects(it.pool.acquire(), { code: "create_failed" });
      const waiting = it.pool.acquire();
      await it.clock.advance(10);
      const error = await t.rejects(waiting, { phase: "backing-off", place: 0 });
      t.equal(error.cause?.message, "refused", "the cause is how the last creation failed");
      t.ok(error.message.includes("refused"), `and the message says it: ${error.message}`);
      await it.clock.advance(60_000);
      await it.pool.acquire();
      const late = t.rejects(it.pool.acquire(), { phase: "waiting" });
      await it.clock.advance(10);
      t.equal((await late).cause, undefined, "after a success there is no failure to tell");
    }),
  },
  {
    name: "every_waiter_sees_a_failure",
    run: each(async (t, mode) => {
      // Each failure ends the wait of the first, and the free place is tried for the next.
      const alone = await sixMeetFailures(t, mode, { backoff: false });
      t.equal(alone, { causes: ["e1", "e2", "e3", "e4", "e5", "e6"], last: 9 });
      // Nothing is tried for a while, so once no creation is left, the last failure ends all.
      const shared = await sixMeetFailures(t, mode, { backoff: undefined });
      t.equal(shared, { causes: ["e1", "e2", "e2", "e2", "e2", "e2"], last: 3 });
    }),
  },
  {
    name: "every_waiter_sees_a_failure_or_the_lease_that_comes_back",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 2, backoff: undefined });
      const lease = await it.pool.acquire();
      it.plans.create.push(fails("refused"));
      await t.rejects(it.pool.acquire(), { code: "create_failed" });
      const next = it.pool.acquire();
      t.equal(await state(next), "pending", "a lease can come back");
      lease.release();
      t.equal([(await next).value.id, it.calls.create], [1, 2]);
    }),
  },
  {
    name: "always_failing_create_is_bounded",
    run: each(async (t, mode) => {
      for (let seed = 1; seed <= 2; seed += 1) {
        // At most 30 s between two, and half of that on average, but for the beginning.
        const options = { mode, backoff: undefined, random: random(seed) };
        const creations = await creationsIn(10, options);
        t.ok(creations >= 25 && creations <= 75, `${creations} creations in ten minutes`);
      }
      t.equal(await creationsIn(1, { mode }), 600, "without a back-off, one for each caller");
    }),
  },
  {
    name: "always_failing_check_is_bounded",
    run: each(async (t, mode) => {
      const it = await withoutAGoodCheck(60_000, 1, { mode });
      const { started, creations, direct, waited, checks, checkFailed } = it.pool.stats();
      const told = JSON.stringify(it.pool.stats());
      t.ok(started > 300 && creations <= started, `at most one for each caller: ${told}`);
      t.ok(direct + waited <= creations, `each is lent once: ${told}`);
      t.equal(checks, checkFailed);
      t.ok(it.peak <= 4, `there were ${it.peak} at once`);
      await it.assertCloses();

      // However many idle ones turn out to be bad, one acquire makes one in their stead.
      const eight = new World({ mode, max: 8, checks: true, checkAfter: 0 });
      await eight.warm(8);
      eight.always.check = () => false;
      (await eight.pool.acquire()).release();
      t.equal([eight.calls.check, eight.calls.create], [8, 9]);
      for (let i = 0; i < 100; i += 1) (await eight.pool.acquire()).release();
      t.equal([eight.calls.check, eight.calls.create], [108, 109]);
    }),
  },
  {
    name: "always_failing_check_of_idle_ones_is_bounded",
    run: each(async (t, mode) => {
      const options = { mode, max: 4, minIdle: 2, checks: true, checkInterval: 30_000 };
      const it = new World(options);
      it.always.check = () => false;
      it.pool.tick();
      await it.clock.advance(3_600_000);
      t.equal(it.calls.create, 2 + 2 * 120, "every 30 s for each of two");
    }, UNATTENDED),
  },
  {
    name: "each_waiter_gets_the_error_of_its_own_creation",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 3 });
      const creations = [];
      it.always.create = () => {
        creations.push(deferred());
        return creations.at(-1).promise;
      };
      const errors = [1, 2, 3].map(() => t.rejects(it.pool.acquire()));
      creations.forEach((creation, i) => creation.reject(new Error(`e${i}`)));
      const causes = (await Promise.all(errors)).map((error) => error.cause.message);
      t.equal(causes, ["e0", "e1", "e2"]);
    }),
  },
  {
    name: "create_throws_synchronously",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 2 });
      it.always.create = fails("sync");
      for (let i = 0; i < 5; i += 1) {
        const asked = it.pool.acquire();
        t.ok(asked instanceof Promise, "nothing is thrown by the call");
        await t.rejects(asked, { code: "create_failed" });
      }
      t.equal([it.pool.stats().size, it.pool.stats().failed], [0, 5]);
      it.always.create = (make) => make();
      await it.assertUsable();
    }),
  },
  {
    name: "create_throws_synchronously_when_a_lease_is_discarded",
    run: each(async (t, mode) => {
      const it = new World({ mode });
      const lease = await it.pool.acquire();
      const waiting = it.pool.acquire();
      it.plans.create.push(fails("sync"));
      t.equal(lease.discard(), true, "it is not the affair of who discards");
      await t.rejects(waiting, { code: "create_failed" });
      await it.assertUsable();
    }),
  },
  {
    name: "create_never_settles",
    run: each(async (t, mode) => {
      const it = new World({ mode, createTimeout: 1_000 });
      const late = deferred();
      it.plans.create.push((make) => late.promise.then(make));
      const first = it.pool.acquire();
      const second = it.pool.acquire();
      await it.clock.advance(999);
      t.equal(await state(first), "pending");
      await it.clock.advance(1);
      const error = await t.rejects(first, { code: "create_timeout" });
      t.ok(error instanceof CreateError, "a CreateError");
      t.ok(/1000 ms/.test(error.message), `the time: ${error.message}`);
      t.ok(/createTimeout/.test(error.message), `the option: ${error.message}`);
      t.equal((await second).value.id, 2, "the place was free for another");
      late.resolve();
      await settle();
      t.equal(it.closed, [1], "what came late is closed");
      t.equal(it.pool.stats().size, 1);
      t.adds(it.pool.stats());
    }),
  },
  {
    name: "create_returns_nothing",
    run: each(async (t, mode) => {
      for (const nothing of [undefined, null, Promise.resolve(undefined), Promise.resolve(null)]) {
        const it = new World({ mode });
        it.plans.create.push(() => nothing);
        const error = await t.rejects(it.pool.acquire(), { code: "create_failed" });
        t.ok(error.cause instanceof TypeError, "a TypeError");
        t.equal(it.closed.length, 0, "there is nothing to close");
        await it.assertUsable();
      }
    }),
  },
  {
    name: "create_may_return_what_is_false",
    run: each(async (t, mode) => {
      for (const value of [0, "", false, NaN, 0n]) {
        const pool = new Pool({ create: () => value, max: 2, mode });
        t.ok(Object.is((await pool.acquire()).value, value), `${String(value)} is a resource`);
      }
    }),
  },
  {
    name: "same_object_twice",
    run: each(async (t, mode) => {
      const same = {};
      const closed = [];
      const close = (resource) => void closed.push(resource);
      const pool = new Pool({ create: () => same, close, max: 2, minIdle: 0, mode });
      const lease = await pool.acquire();
      const error = await t.rejects(pool.acquire(), { code: "create_failed" });
      t.ok(error.cause instanceof TypeError, "a TypeError");
      t.equal([pool.stats().size, closed.length], [1, 0], "it is not closed under its holder");
      lease.release();
      t.ok((await pool.acquire()).value === same);
    }),
  },
  {
    name: "storm_of_20_waiters_on_a_slow_failure",
    run: each(async (t, mode) => {
      await storm(t, mode, { max: 20 });
      await storm(t, mode, { max: 20, backoff: undefined });
      // The back-off ends the other fifteen waits with the last of five.
      await storm(t, mode, { max: 5, backoff: undefined });
    }),
  },
  {
    name: "warm_up_with_failures",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 5, createTimeout: 10_000 });
      it.plans.create.push(
        (make) => it.after(5, make), () => it.after(5, fails("e2")), fails("e3"), hang,
      );
      const failed = t.rejects(it.pool.warmUp(5), { code: "warm_up_failed" });
      await it.clock.advance(9_999);
      t.equal(await state(failed), "pending");
      await it.clock.advance(1);
      const error = await failed;
      t.equal([error.made, error.untried, error.errors.length], [2, 0, 3]);
      const told = error.errors.map((one) => (one.cause ?? one).message);
      t.equal(told.slice(0, 2), ["e3", "e2"], "in the order in which they ended");
      t.ok(/createTimeout|10000 ms/.test(told[2]), `the last was overdue: ${told[2]}`);

      const held = new World({ mode, max: 5, backoff: undefined });
      held.plans.create.push(() => held.after(5, fails("e1")));
      const ended = t.rejects(held.pool.warmUp(5, { parallel: 1 }), { code: "warm_up_failed" });
      await held.clock.advance(5);
      t.equal(await state(ended), "fulfilled", "it has ended");
      const { made, untried, errors } = await ended;
      t.equal([made, untried, errors.length], [0, 4, 1], "the back-off begins no other");
      await held.clock.advance(100);
      await held.assertUsable();
    }),
  },
  {
    name: "reentrant_callbacks",
    run: each(async (t, mode) => {
      // Each use begins what calls back in its turn, so it must end some time.
      let left = 200;
      const seen = new Set();
      const asked = [];
      const it = new World({
        mode, max: 2, checks: true, checkAfter: 0, resets: true, observer: () => use("observer"),
      });
      const thrown = [];
      const use = (who) => {
        seen.add(who);
        if (left === 0) return;
        left -= 1;
        try {
          useEverything();
        } catch (error) {
          thrown.push(error.message);
        }
      };
      const useEverything = () => {
        const { pool } = it;
        t.adds(pool.stats());
        pool.tryAcquire()?.release();
        asked.push(
          pool.acquire().then((lease) => lease.release()),
          pool.acquireMany(2).then((leases) => leases.map((lease) => lease.release())),
          pool.warmUp(1),
        );
        pool.tick();
        pool.retain(() => true);
        pool.pause();
        pool.resume();
        pool.setMinIdle(0);
        pool.resize(2);
        t.ok(pool.holders().length <= 2);
        pool.nextDeadline();
      };
      it.always = {
        create: (make) => (use("create"), make()), check: () => void use("check"),
        reset: () => void use("reset"), close: () => void use("close"),
      };
      for (let round = 0; round < 6; round += 1) {
        const lease = await it.pool.acquire();
        if (round % 3 === 2) lease.discard();
        else lease.release();
        await it.clock.advance(3);
      }
      t.equal([...seen].sort(), ["check", "close", "create", "observer", "reset"]);
      t.equal(thrown, [], "what was thrown by calls from within callbacks");
      it.always = { create: (make) => make(), check() {}, reset() {}, close() {} };
      left = 0;
      await it.clock.advance(1_000);
      for (const { status, reason } of await Promise.allSettled(asked)) {
        t.ok(status === "fulfilled" || reason.code !== undefined, `it failed: ${reason}`);
      }
      await it.assertUsable();
      await it.assertCloses();
    }),
  },
  {
    name: "reentrant_callbacks_that_invalidate_or_close",
    run: each(async (t, mode) => {
      for (const using of ["invalidate", "close"]) {
        let calls;
        for (let at = 0; at === 0 || at < calls; at += 1) {
          calls = 0;
          const it = new World({
            mode, max: 2, checks: true, checkAfter: 0, resets: true, observer: () => use(),
          });
          const use = () => {
            if (calls++ === at) it.pool[using]();
          };
          it.always = {
            create: (make) => (use(), make()), check: () => void use(),
            reset: () => it.after(1, use), close: () => it.after(1, use),
          };
          for (let round = 0; round < 3; round += 1) {
            const lease = await it.pool.acquire().catch(() => undefined);
            if (round === 2) lease?.discard();
            else lease?.release();
            await it.clock.advance(3);
          }
          await it.assertCloses();
        }
        t.ok(calls > 10, `there were only ${calls} callbacks`);
      }
    }),
  },
  {
    name: "an_abort_from_within_create_settles_its_waiter",
    async run(t) {
      const stop = new AbortController();
      let made = 0;
      const create = () => {
        made += 1;
        if (made <= 2) return new Promise(() => undefined);
        if (made === 3) throw new Error("third");
        if (made === 4) stop.abort(new Error("left"));
        if (made === 5) throw new Error("fifth");
        return { made };
      };
      const clock = new FakeClock();
      const settings = {
        create, max: 2, minIdle: 0, backoff: false, mode: "process", clock, createTimeout: 100,
      };
      const pool = new Pool(settings);
      const [first, second, third, fourth] = [{}, {}, { signal: stop.signal }, {}].map((options) =>
        t.rejects(pool.acquire({ ...options, timeout: 1_000 })).catch((error) => error),
      );
      await clock.advance(100);
      for (const error of [await first, await second]) t.equal(error.code, "create_timeout");
      // Its creation had failed before it was aborted from within the next.
      t.equal(await state(third), "fulfilled", "the wait is settled");
      t.equal((await third).cause?.message, "third");
      t.equal((await fourth).message, "expected a rejection", "it was served");
      const fifth = await t.rejects(pool.acquire());
      t.equal(fifth.cause.message, "fifth", "the cause is its own");
      t.adds(pool.stats());
    },
  },
  {
    name: "a_strange_promise_fails_its_creation",
    run: each(async (t, mode) => {
      const creates = [
        () => ({ get then() { throw new Error("no then"); } }),
        () => ({ then() { throw new Error("no then"); } }),
      ];
      for (const create of creates) {
        const it = new World({ mode });
        it.plans.create.push(create);
        const error = await t.rejects(it.pool.acquire(), { code: "create_failed" });
        t.equal(error.cause.message, "no then");
        t.equal(it.pool.stats().size, 0);
      }
    }),
  },
  {
    name: "the_signal_of_a_job_is_aborted_as_it_is_given_up",
    run: each(async (t, mode) => {
      const times = { createTimeout: 10, checkTimeout: 20, resetTimeout: 30, closeTimeout: 40 };
      const it = new World({ mode, checks: true, checkAfter: 0, resets: true, ...times });
      const signals = {};
      const keep = (kind) => (_resource, { signal }) => {
        signals[kind] = signal;
        return hang();
      };
      const overdue = async (kind, after) => {
        t.equal(signals[kind]?.aborted, false, `${kind} is under way`);
        await it.clock.advance(after - 1);
        t.equal(signals[kind].aborted, false, `${kind} is not late yet`);
        await it.clock.advance(1);
        it.pool.tick();
        t.equal(signals[kind].aborted, true, `${kind} is late`);
        t.ok(signals[kind].reason !== undefined, "the signal has a reason");
      };
      it.plans.create.push(keep("create"));
      const failed = t.rejects(it.pool.acquire({ timeout: 10_000 }), { code: "create_timeout" });
      await overdue("create", 10);
      await failed;
      const lease = await it.pool.acquire();
      it.plans.reset.push(keep("reset"));
      it.plans.close.push(keep("close"));
      lease.release();
      await overdue("reset", 30);
      await overdue("close", 40);
      await it.warm(1);
      it.plans.check.push(keep("check"));
      const next = it.pool.acquire();
      await overdue("check", 20);
      (await next).release();
      await it.assertUsable();
    }),
  },
  {
    name: "the_signal_of_a_creation_is_aborted_as_the_pool_closes",
    run: each(async (t, mode) => {
      for (const giveUp of ["close", "invalidate"]) {
        const it = new World({ mode });
        let signal;
        it.plans.create.push((_make, job) => {
          ({ signal } = job);
          return hang();
        });
        const waiting = it.pool.acquire().catch((error) => error);
        t.equal(signal.aborted, false);
        void it.pool[giveUp]();
        t.equal(signal.aborted, true, `after ${giveUp}`);
        const outcome = await waiting;
        t.equal(outcome.code ?? outcome.value.id, giveUp === "close" ? "pool_closed" : 2);
      }
    }),
  },
  {
    name: "the_signal_of_a_job_is_made_only_for_who_asks",
    async run(t) {
      const real = globalThis.AbortController;
      let made = 0;
      globalThis.AbortController = class extends real {
        constructor() {
          super();
          made += 1;
        }
      };
      try {
        const it = new World({ checks: true, checkAfter: 0, resets: true });
        await it.warm(1);
        await it.warm(1);
        await it.assertCloses();
        t.equal(made, 0, "controllers that nobody asked for");
      } finally {
        globalThis.AbortController = real;
      }
    },
  },
  {
    name: "a_failed_close_frees_the_place",
    run: each(async (t, mode) => {
      for (const close of [fails("no"), () => Promise.reject(new Error("no"))]) {
        const it = new World({ mode });
        it.plans.close.push(close);
        (await it.pool.acquire()).discard();
        await settle();
        t.equal(it.pool.stats().size, 0);
        await it.assertUsable();
      }
    }),
  },
];
