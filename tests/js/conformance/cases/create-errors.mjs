// What is told of creations that fail or take too long, and to whom.
import { CreateError } from "edgepool";
import { UNATTENDED, deferred, each, random, settle, settled, state } from "../lib/harness.mjs";
import { World, fails, hang } from "../lib/world.mjs";

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
];
