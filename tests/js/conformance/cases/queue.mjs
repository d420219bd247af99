// Cancellation, wake-ups and hand-off; who is served next.
import { AcquireTimeoutError, QueueFullError } from "edgepool";
import { countListeners, each, settle, state } from "../lib/harness.mjs";
import { World, hang } from "../lib/world.mjs";

/** A pool with one idle resource, whose next check does as it is told. */
async function checked(mode, check, options = {}) {
  const it = new World({ mode, checks: true, checkAfter: 0, checkTimeout: 5_000, ...options });
  await it.warm(1);
  it.plans.check.push(() => check(it));
  return it;
}

/** Lets a lease go and asks again at once, while another caller waits; tells who was first. */
async function race(pool, held) {
  const order = [];
  const note = (name) => (lease) => {
    order.push(name);
    return lease;
  };
  const waiting = pool.acquire().then(note("waiter"));
  await null;
  held.release();
  const taken = pool.tryAcquire();
  const newcomer = pool.acquire().then(note("newcomer"));
  (await Promise.race([waiting, newcomer])).release();
  const both = await Promise.all([waiting, newcomer]);
  return { fair: taken === undefined && order[0] === "waiter", held: both[1] };
}

/** The second in which a caller of the lowest class is served under a load of the highest. */
async function lowIsServedIn(mode, options) {
  const { pool, clock } = new World({ mode, acquireTimeout: Infinity, ...options });
  let lease = await pool.acquire();
  const low = pool.acquire({ priority: "low" });
  const urgent = () => pool.acquire({ priority: "urgent" });
  let next = urgent();
  for (let second = 1; second < 60; second += 1) {
    await clock.advance(1_000);
    const waiting = next;
    next = urgent();
    lease.release();
    if ((await state(low)) === "fulfilled") return second;
    lease = await waiting;
  }
  return "never";
}

export default [
  {
    name: "cancelled_waiter_does_not_eat_the_wake",
    run: each(async (t, mode) => {
      const { pool } = new World({ mode });
      const held = await pool.acquire();
      const stop = new AbortController();
      const a = pool.acquire({ signal: stop.signal });
      const b = pool.acquire();
      stop.abort(new Error("gone"));
      await t.rejects(a, { message: "gone" });
      held.release();
      t.equal((await b).value.id, 1);
      t.adds(pool.stats());
    }),
  },
  {
    name: "offered_but_never_polled_is_passed_on",
    run: each(async (t, mode) => {
      const { pool } = new World({ mode });
      const held = await pool.acquire();
      const stop = new AbortController();
      const a = pool.acquire({ signal: stop.signal });
      const b = pool.acquire();
      // On the edge it may be another request that releases, now that their code is through.
      await settle();
      held.release();
      stop.abort(new Error("gone"));
      const { offered, inUse } = pool.stats();
      if (mode === "edge") {
        t.equal([offered, inUse], [1, 0], "it is offered to B");
        await t.rejects(a, { message: "gone" });
      } else {
        t.equal([offered, inUse], [0, 1], "A has it since the release");
        (await a).release();
      }
      t.equal((await b).value.id, 1);
      t.adds(pool.stats());
    }),
  },
  {
    name: "an_abort_after_the_hand_off_loses_nothing",
    async run(t) {
      const { pool } = new World();
      const held = await pool.acquire();
      const stop = new AbortController();
      const a = pool.acquire({ signal: stop.signal });
      held.release();
      stop.abort(new Error("too late"));
      const lease = await a;
      t.equal(pool.stats().inUse, 1);
      t.ok(lease.release());
      t.equal(pool.stats().cancelled, 0);
    },
  },
  {
    name: "newcomer_cannot_overtake",
    run: each(async (t, mode) => {
      const { pool } = new World({ mode });
      let held = await pool.acquire();
      let overtaken = 0;
      for (let round = 0; round < 100_000; round += 1) {
        const raced = await race(pool, held);
        held = raced.held;
        if (!raced.fair) overtaken += 1;
      }
      t.equal(overtaken, 0, "waiters that were overtaken");
      t.adds(pool.stats());
    }),
  },
  {
    name: "first_come_first_served",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 3 });
      const held = await it.leases(3);
      const order = [];
      const all = Array.from({ length: 100 }, async (_, i) => {
        const lease = await it.pool.acquire();
        order.push(i);
        lease.release();
      });
      held.forEach((lease) => lease.release());
      await Promise.all(all);
      t.equal(order, [...order].sort((a, b) => a - b));
    }),
  },
  {
    name: "try_acquire_respects_the_queue",
    run: each(async (t, mode) => {
      const { pool } = new World({ mode });
      t.equal(pool.tryAcquire(), undefined, "nothing is made for it");
      const held = await pool.acquire();
      const waiting = pool.acquire();
      t.equal(pool.tryAcquire(), undefined, "nothing is idle");
      held.release();
      t.equal(pool.tryAcquire(), undefined, "it is the waiter's");
      (await waiting).release();
      t.equal(pool.tryAcquire()?.value.id, 1);
    }),
  },
  {
    name: "cancel_inside_health_check",
    run: each(async (t, mode) => {
      const slow = (act) => (it) => it.after(50, act);
      const refused = () => Promise.reject(new Error("refused"));
      for (const [check, after, next] of [
        [slow(() => true), 50, 1], [slow(() => false), 50, 2], [slow(refused), 50, 2],
        [hang, 5_000, 2],
      ]) {
        const it = await checked(mode, check);
        const stop = new AbortController();
        const waiting = it.pool.acquire({ signal: stop.signal });
        t.equal([it.pool.stats().checking, it.pool.stats().waiting], [1, 1]);
        stop.abort(new Error("gone"));
        await t.rejects(waiting, { message: "gone" });
        t.equal([it.pool.stats().checking, it.pool.stats().waiting], [1, 0], "it goes on");
        await it.clock.advance(after);
        const lease = await it.pool.acquire();
        t.equal([lease.value.id, it.closed.length], [next, next - 1], `after ${check}`);
        lease.release();
        t.equal(it.pool.stats().cancelled, 1);
        await it.assertUsable();
        await it.assertCloses();
      }
    }),
  },
  {
    name: "timeout_mid_check_keeps_a_healthy_connection",
    run: each(async (t, mode) => {
      const it = await checked(mode, (w) => w.after(80, () => true));
      let lease;
      let attempts = 0;
      while (lease === undefined && attempts < 10) {
        attempts += 1;
        const asked = it.pool.acquire({ timeout: 40 }).catch((error) => {
          // The second one's time passes in the moment in which the check ends.
          const phases = attempts === 1 ? ["checking"] : ["checking", "waiting"];
          t.equal([error.code, phases.includes(error.phase)], ["acquire_timeout", true]);
        });
        await it.clock.advance(40);
        lease = await asked;
      }
      t.ok(attempts === 2 || attempts === 3, `it took ${attempts} attempts of 40 ms`);
      t.equal([lease.value.id, it.calls.check, it.calls.create, it.closed], [1, 1, 1, []]);
    }),
  },
  {
    name: "abort_while_queued_settles_at_once",
    run: each(async (t, mode) => {
      const it = new World({ mode });
      const { pool } = it;
      const held = await pool.acquire();
      const stop = new AbortController();
      const listeners = countListeners(stop.signal);
      const reason = new Error("enough");
      const waiting = pool.acquire({ signal: stop.signal });
      waiting.catch(() => undefined);
      t.equal(listeners.now, 1);
      stop.abort(reason);
      t.equal(pool.stats().waiting, 0, "it has left the queue");
      t.equal(listeners.now, 0, "listeners that are left");
      it.assertRests();
      t.ok((await t.rejects(waiting)) === reason, "the signal's own reason");
      held.release();
      t.adds(pool.stats());
    }),
  },
  {
    name: "an_aborted_signal_never_queues",
    run: each(async (t, mode) => {
      const { pool } = new World({ mode });
      const error = await t.rejects(pool.acquire({ signal: AbortSignal.abort() }));
      t.equal(error.name, "AbortError");
      t.equal(pool.stats().started, 0);
    }),
  },
  {
    name: "abort_listeners_are_removed",
    run: each(async (t, mode) => {
      const { pool } = new World({ mode });
      const { signal } = new AbortController();
      const listeners = countListeners(signal);
      for (let i = 0; i < 5_000; i += 1) {
        const first = await pool.acquire({ signal });
        const second = pool.acquire({ signal });
        first.release();
        (await second).release();
      }
      t.equal([listeners.most, listeners.now], [1, 0], "listeners at most, and in the end");
    }),
  },
  {
    name: "acquire_times_out_on_time",
    run: each(async (t, mode) => {
      const it = new World({ mode });
      const { pool, clock } = it;
      const held = await pool.acquire();
      const waiting = pool.acquire();
      await clock.advance(29_999);
      t.equal(await state(waiting), "pending");
      await clock.advance(1);
      const error = await t.rejects(waiting, { code: "acquire_timeout", waited: 30_000 });
      t.ok(error instanceof AcquireTimeoutError);
      t.equal(pool.stats().timedOut, 1);
      t.equal(held.release(), true);
      it.assertRests();
    }),
  },
  {
    name: "a_timeout_of_its_own_per_call",
    run: each(async (t, mode) => {
      const { pool, clock } = new World({ mode });
      await pool.acquire();
      const long = pool.acquire({ timeout: 500 });
      const short = pool.acquire({ timeout: 50 });
      await clock.advance(50);
      t.equal([await state(short), await state(long)], ["rejected", "pending"]);
      await clock.advance(450);
      await t.rejects(short, { waited: 50 });
      await t.rejects(long, { waited: 500 });
    }),
  },
  {
    name: "a_full_queue_refuses",
    run: each(async (t, mode) => {
      const { pool } = new World({ mode, maxWaiting: 2 });
      const held = await pool.acquire();
      const waiting = [pool.acquire(), pool.acquire()];
      const error = await t.rejects(pool.acquire(), { code: "queue_full", maxWaiting: 2 });
      t.ok(error instanceof QueueFullError);
      held.release();
      for (const promise of waiting) (await promise).release();
      t.equal(pool.stats().refused, 1);
      t.adds(pool.stats());
    }),
  },
  {
    name: "a_queue_of_none_serves_those_who_need_not_wait",
    run: each(async (t, mode) => {
      const { pool } = new World({ mode, maxWaiting: 0 });
      const lease = await pool.acquire();
      await t.rejects(pool.acquire(), { code: "queue_full", maxWaiting: 0 });
      lease.release();
      t.equal((await pool.acquire()).value.id, 1);
    }),
  },
  {
    name: "ten_thousand_waiters",
    run: each(async (t, mode) => {
      const count = 10_000;
      const it = new World({ mode, maxWaiting: count, max: 4 });
      const held = await it.leases(4);
      let served = 0;
      const all = Array.from({ length: count }, async () => {
        const lease = await it.pool.acquire();
        served += 1;
        lease.release();
      });
      await t.rejects(it.pool.acquire(), { code: "queue_full" });
      held.forEach((lease) => lease.release());
      await Promise.all(all);
      t.equal(served, count);
      t.adds(it.pool.stats());
    }),
  },
  {
    name: "the_wait_is_told",
    run: each(async (t, mode) => {
      const { pool, clock } = new World({ mode });
      const held = await pool.acquire();
      const waiting = pool.acquire();
      await clock.advance(120);
      held.release();
      const lease = await waiting;
      t.equal([lease.waited, lease.info.waited], [120, 120]);
    }),
  },
  {
    name: "priorities_are_served_first",
    run: each(async (t, mode) => {
      const { pool } = new World({ mode, ageing: Infinity });
      const held = await pool.acquire();
      const order = [];
      const asked = ["low", "normal", undefined, "urgent", "high"].map(async (priority) => {
        const lease = await pool.acquire({ priority });
        order.push(priority ?? "the default");
        lease.release();
      });
      held.release();
      await Promise.all(asked);
      t.equal(order, ["urgent", "high", "normal", "the default", "low"]);
    }),
  },
  {
    name: "priority_ages",
    run: each(async (t, mode) => {
      // Those of seconds 0 to 14 are before it, and are served in seconds 1 to 15; in second 16
      // the one of second 15, which came exactly three steps later, is not.
      t.equal(await lowIsServedIn(mode, { ageing: 5_000 }), 16);
      t.equal(await lowIsServedIn(mode, { ageing: 1_000 }), 4);
      t.equal(await lowIsServedIn(mode, {}), 16, "five seconds are the default");
      t.equal(await lowIsServedIn(mode, { ageing: Infinity }), "never");
    }),
  },
  {
    name: "nested_acquire_is_diagnosed",
    run: each(async (t, mode) => {
      const { pool, clock } = new World({ mode, acquireTimeout: 2_000, trackLeases: true });
      async function takesTheOuterOne() {
        return pool.acquire();
      }
      await takesTheOuterOne();
      await clock.advance(500);
      const inner = pool.acquire();
      await clock.advance(2_000);
      const error = await t.rejects(inner, { code: "acquire_timeout", phase: "waiting" });
      t.equal(error.holders.map(({ id, held }) => [id, held]), [[1, 2_500]], "id and time held");
      t.ok(error.holders[0].stack.includes("takesTheOuterOne"), error.holders[0].stack);
      t.ok(/2500 ms.*takesTheOuterOne/s.test(error.message), `it names them: ${error.message}`);
    }),
  },
  {
    name: "acquire_many_has_all_or_waits",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 3 });
      await it.warm(1);
      const { waited, batched } = it.pool.stats();
      const lease = await it.pool.acquire();
      const many = it.pool.acquireMany(3);
      const later = it.pool.acquire();
      t.equal(await state(many), "pending");
      t.equal(await state(later), "pending", "those that it gathered are nobody else's");
      lease.release();
      const leases = await many;
      t.equal(leases.map(({ value }) => value.id).sort(), [1, 2, 3]);
      t.equal(await state(later), "pending");
      leases.forEach((one) => one.release());
      (await later).release();
      t.equal([it.pool.stats().waited - waited, it.pool.stats().batched - batched], [2, 2]);
      await it.assertCloses();
    }),
  },
  {
    name: "acquire_many_that_ends_midway_gives_back_what_it_has",
    run: each(async (t, mode) => {
      const stop = new AbortController();
      for (const act of [(pool) => void pool.close(), () => stop.abort(new Error("enough"))]) {
        let isOn = false;
        const it = new World({
          mode, max: 3, observer: ({ type }) => {
            if (!isOn || type !== "acquired") return;
            isOn = false;
            act(it.pool);
          },
        });
        const held = await it.pool.acquireMany(3);
        const many = it.pool.acquireMany(3, { signal: stop.signal });
        const ended = many.then((leases) => leases.map((lease) => lease.release()), () => "ended");
        isOn = true;
        held.forEach((lease) => lease.release());
        await it.clock.advance(1_000);
        const told = await ended;
        t.ok(told === "ended" || told.every(Boolean), `each is a lease: ${told}`);
        t.equal([it.pool.stats().inUse, it.pool.holders()], [0, []]);
      }
    }),
  },
  {
    name: "acquire_many_of_many_callers_ends",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 3 });
      const served = Array.from({ length: 20 }, async (_, n) => {
        const leases = await it.pool.acquireMany(2 + (n % 2));
        await it.after(1);
        leases.forEach((lease) => lease.release());
        return leases.length;
      });
      await it.clock.advance(1_000);
      t.equal(await Promise.all(served), served.map((_, n) => 2 + (n % 2)));
      await it.assertUsable();
    }),
  },
  {
    name: "acquire_many_that_is_aborted_gives_back_what_it_gathered",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 2 });
      const lease = await it.pool.acquire();
      const stop = new AbortController();
      const many = it.pool.acquireMany(2, { signal: stop.signal });
      const next = it.pool.acquire();
      await settle();
      stop.abort(new Error("gone"));
      await t.rejects(many, { message: "gone" });
      (await next).release();
      lease.release();
      await it.assertUsable();
    }),
  },
  {
    name: "acquire_many_of_more_than_max_is_refused",
    run: each(async (t, mode) => {
      const { pool } = new World({ mode, max: 2 });
      for (const n of [3, 65_535]) {
        const error = await t.rejects(pool.acquireMany(n), { code: "too_many", max: 2 });
        t.ok(/at most 2, or raise max/.test(error.message), `what can be had: ${error.message}`);
      }
      t.equal(pool.stats().refused, 2);
      t.adds(pool.stats());
    }),
  },
  {
    name: "acquire_many_has_a_priority_and_a_timeout",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 2 });
      const leases = await it.leases(2);
      const normal = it.pool.acquire();
      const urgent = it.pool.acquireMany(2, { priority: "urgent" });
      const hasty = it.pool.acquireMany(2, { timeout: 5 });
      await it.clock.advance(5);
      await t.rejects(hasty, { code: "acquire_timeout", waited: 5 });
      leases.forEach((lease) => lease.release());
      const both = await urgent;
      t.equal(await state(normal), "pending");
      both.forEach((lease) => lease.release());
      t.ok((await normal).release());
    }),
  },
  {
    name: "use_gives_back_whatever_happens",
    run: each(async (t, mode) => {
      const it = new World({ mode });
      const { pool } = it;
      t.equal(await pool.use((value) => value.id), 1);
      t.equal(await pool.use(async (value, lease) => value.id + lease.slot), 1);
      await t.rejects(pool.use(() => Promise.reject(new Error("a"))), { message: "a" });
      const thrown = pool.use(() => {
        throw new Error("b");
      });
      await t.rejects(thrown, { message: "b" });
      t.equal([pool.stats().inUse, pool.stats().released], [0, 4]);
      it.assertRests();
    }),
  },
  {
    name: "a_signal_that_cannot_be_listened_to_ends_the_wait",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 1 });
      const held = await it.pool.acquire();
      const deaf = {
        aborted: false,
        addEventListener() {
          throw new Error("nobody listens here");
        },
      };
      await t.rejects(it.pool.acquire({ signal: deaf }), { message: "nobody listens here" });
      t.equal(it.pool.stats().pending, 0, "nobody waits");
      held.release();
      await it.assertUsable();
    }),
  },
];
