// What is done about creations that fail: the back-off and the breaker.
import { PoolError, UnavailableError } from "edgepool";
import { each, random, settle, state } from "../lib/harness.mjs";
import { World, fails } from "../lib/world.mjs";

/** The times between the creations of a pool in which none succeeds. */
async function waits(seed, backoff) {
  const it = new World({ minIdle: 1, backoff, breaker: Infinity, random: random(seed) });
  const begun = [];
  it.always.create = () => {
    begun.push(it.clock.now());
    throw new Error("down");
  };
  it.pool.tick();
  for (let passed = 0; begun.length < 7 && passed < 1_000; passed += 1) await it.clock.advance(10);
  return begun.slice(1, 7).map((at, n) => at - begun[n]);
}

/** A pool whose breaker is open, after five failures. */
async function opened(mode, options) {
  const backoff = { base: 60_000, cap: 60_000 };
  const it = new World({ mode, max: 5, breaker: 5, backoff, ...options });
  it.plans.create.push(...Array.from({ length: 5 }, (_, n) => fails(`e${n + 1}`)));
  for (let n = 0; n < 5; n += 1) {
    await it.clock.advance(60_000);
    await it.pool.acquire().catch(() => undefined);
  }
  return it;
}

export default [
  {
    name: "chance_is_drawn_from_what_is_injected",
    run: each(async (t, mode) => {
      const retryIn = async (chance) => {
        const it = new World({ mode, backoff: undefined, breaker: 1, random: () => chance });
        it.always.create = fails("down");
        await t.rejects(it.pool.acquire(), { code: "create_failed" });
        return (await t.rejects(it.pool.acquire(), { code: "unavailable" })).retryIn;
      };
      const [some, same, other] = [await retryIn(0.1), await retryIn(0.1), await retryIn(0.7)];
      t.equal(some, same);
      t.ok(some !== other, `each waits for ${some} ms`);
    }),
  },
  {
    name: "backoff_doubles_up_to_its_cap",
    async run(t) {
      const all = [];
      for (let seed = 1; seed <= 60; seed += 1) {
        all.push(await waits(seed, { base: 100, cap: 400 }));
      }
      for (const [nth, longest] of [100, 200, 400, 400, 400, 400].entries()) {
        const drawn = all.map((each) => each[nth]).sort((a, b) => a - b);
        const told = `wait ${nth} of at most ${longest}: ${drawn}`;
        t.ok(drawn[59] <= longest + 1 && drawn[59] > longest * 0.85, told);
        t.ok(drawn[0] < longest * 0.15, `the whole span is used: ${told}`);
        t.ok(drawn[30] > longest * 0.3 && drawn[30] < longest * 0.7, told);
      }
    },
  },
  {
    name: "a_creation_is_tried_again_for_one_who_queues_behind_others",
    async run(t) {
      const backoff = { base: 100, cap: 100 };
      const it = new World({ max: 4, backoff, breaker: Infinity, random: () => 0.5 });
      const jobs = [];
      it.always.create = (make) => new Promise((resolve, reject) => {
        jobs.push({ at: it.clock.now(), resolve: () => resolve(make()), reject });
      });
      const served = [it.pool.acquire()];
      jobs[0].resolve();
      await settle();
      served.push(it.pool.acquire(), it.pool.acquire());
      await it.clock.advance(10);
      // What is under way is as much as the first of the two that are left needs.
      jobs[1].reject(new Error("down"));
      await t.rejects(served[1], { code: "create_failed" });
      served.push(it.pool.acquire());
      await it.clock.advance(200);
      t.equal(jobs.length, 4, "there is room for each of the two that wait");
      const after = jobs[3].at - jobs[0].at;
      t.ok(after <= 110, `it was begun ${after} ms after the first`);
      for (const { resolve } of jobs.slice(2)) resolve();
      for (const index of [0, 2, 3]) (await served[index]).release();
      await it.assertCloses();
    },
  },
  {
    name: "a_creation_is_tried_again_though_nothing_says_why_it_failed",
    async run(t) {
      const backoff = { base: 100, cap: 100 };
      const it = new World({ max: 4, minIdle: 1, backoff, breaker: Infinity });
      const first = await it.pool.acquire();
      await settle();
      const failsWithout = () => Promise.reject();
      it.plans.create.push(failsWithout, failsWithout);
      // One is idle, so nothing is to be done when the back-off ends.
      const error = await t.rejects(it.pool.warmUp(3), { code: "warm_up_failed" });
      t.equal([error.errors, it.pool.stats().idle, it.calls.create], [[null], 1, 3]);
      const second = it.pool.tryAcquire();
      await it.clock.advance(300);
      // Nobody asks before the creations are looked at.
      t.equal([it.calls.create, it.pool.stats().idle], [5, 1], "creations, and idle ones");
      for (const lease of [first, second]) lease.release();
      await it.assertCloses();
    },
  },
  {
    name: "backoff_is_forgotten_after_a_success",
    run: each(async (t, mode) => {
      const it = new World({ mode, backoff: undefined });
      it.plans.create.push(fails("e1"), fails("e2"));
      let lease;
      for (let round = 0; lease === undefined && round < 10; round += 1) {
        const asked = it.pool.acquire().catch(() => undefined);
        await it.clock.advance(200);
        lease = await asked;
      }
      t.equal(lease?.value.id, 3);
      lease.discard();
      t.equal((await it.pool.acquire()).value.id, 4, "without a wait");
    }),
  },
  {
    name: "no_backoff_tries_for_each_caller",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 4, backoff: false });
      await it.pool.acquire();
      it.always.create = fails("down");
      for (let n = 1; n <= 50; n += 1) {
        await t.rejects(it.pool.acquire(), { code: "create_failed" });
        t.equal(it.calls.create, 1 + n);
      }
    }),
  },
  {
    name: "backoff_serves_who_waits_when_it_ends",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 2, backoff: { base: 1_000, cap: 1_000 } });
      await it.pool.acquire();
      it.plans.create.push(fails("e2"));
      await t.rejects(it.pool.acquire());
      const waiting = it.pool.acquire();
      await it.clock.advance(1_100);
      t.equal((await waiting).value.id, 3, "nobody else has come by");
    }),
  },
  {
    name: "breaker_refuses_until_the_next_attempt",
    run: each(async (t, mode) => {
      const it = await opened(mode);
      const error = await t.rejects(it.pool.acquire(), { code: "unavailable" });
      t.ok(error instanceof UnavailableError && error instanceof PoolError, "an UnavailableError");
      t.equal(error.cause?.message, "e5", "how the last one failed");
      const { retryIn } = error;
      t.ok(retryIn > 0 && retryIn <= 60_000, `retryIn is ${retryIn}`);
      t.ok(error.message.includes("e5"), `the message says it: ${error.message}`);
      await it.clock.advance(Math.ceil(retryIn) - 1);
      await t.rejects(it.pool.acquire(), { code: "unavailable" });
      t.equal(it.calls.create, 5);
      await it.clock.advance(1);
      (await it.pool.acquire()).release();
      t.equal(it.calls.create, 6, "the attempt succeeds, and the breaker is closed");
      await it.assertUsable();
    }),
  },
  {
    name: "breaker_lets_one_probe_through",
    run: each(async (t, mode) => {
      const it = await opened(mode, { max: 8 });
      const { create } = it.calls;
      await it.clock.advance(60_000);
      it.plans.create.push(() => it.after(50, fails("probe")), (make) => it.after(50, make));
      const refused = Array.from({ length: 8 }, () => t.rejects(it.pool.acquire()));
      t.equal(it.pool.stats().creating, 1, "half open");
      await it.clock.advance(50);
      await Promise.all(refused);
      t.equal(it.calls.create, create + 1, "the probe failed for all");
      await it.clock.advance(60_000);
      const served = Array.from({ length: 8 }, () => it.pool.acquire());
      t.equal(it.pool.stats().creating, 1);
      await it.clock.advance(50);
      const leases = await Promise.all(served);
      t.equal(leases.length, 8, "it succeeded, and the others were made at once");
    }),
  },
  {
    name: "breaker_refuses_nobody_beside_a_lease",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 4, backoff: undefined, breaker: 1 });
      const lease = await it.pool.acquire();
      it.always.create = fails("down");
      await t.rejects(it.pool.acquire(), { code: "create_failed" });
      const waiting = it.pool.acquire();
      t.equal(await state(waiting), "pending");
      lease.release();
      t.equal((await waiting).value.id, 1);
    }),
  },
  {
    name: "breaker_of_infinity_never_opens",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 8, backoff: undefined, breaker: Infinity });
      it.always.create = fails("down");
      for (let n = 0; n < 50; n += 1) {
        await it.clock.advance(30_000);
        await t.rejects(it.pool.acquire(), { code: "create_failed" });
      }
      await it.clock.advance(30_000);
      it.always.create = () => it.after(5, fails("down"));
      const all = Array.from({ length: 8 }, () => t.rejects(it.pool.acquire()));
      t.equal(it.pool.stats().creating, 8, "no probes");
      await it.clock.advance(5);
      await Promise.all(all);
    }),
  },
  {
    name: "creations_that_fail_together_count_once",
    run: each(async (t, mode) => {
      const options = { max: 20, backoff: undefined, breaker: 2 };
      for (let seed = 1; seed <= 5; seed += 1) {
        const it = new World({ mode, random: random(seed), ...options });
        it.always.create = () => it.after(1, fails("away"));
        const all = Array.from({ length: 20 }, () => t.rejects(it.pool.acquire()));
        await it.clock.advance(1);
        await Promise.all(all);
        t.equal(it.pool.stats().createFailed, 20);
        it.always.create = (make) => make();
        await it.clock.advance(100);
        t.equal((await it.pool.acquire()).value.id, 21, "it is tried again soon");
        await settle();
      }
    }),
  },
];
