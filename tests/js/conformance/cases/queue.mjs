// Cancellation, wake-ups and hand-off.
import { AcquireTimeoutError, Pool, QueueFullError } from "edgepool";
import { FakeClock, settle, state } from "../lib/harness.mjs";

function pool(options = {}) {
  let made = 0;
  const clock = new FakeClock(1_000);
  const settings = { create: () => ({ id: made++ }), max: 1, mode: "process", clock, ...options };
  return { pool: new Pool(settings), clock };
}

export default [
  {
    name: "cancelled_waiter_does_not_eat_the_wake",
    async run(t) {
      const { pool: p } = pool();
      const held = await p.acquire();
      const stop = new AbortController();
      const a = p.acquire({ signal: stop.signal });
      const b = p.acquire();
      stop.abort(new Error("gone"));
      await t.rejects(a, { message: "gone" });
      held.release();
      t.equal((await b).value.id, 0);
    },
  },
  {
    name: "offered_but_never_polled_is_passed_on",
    async run(t) {
      const { pool: p } = pool({ mode: "edge" });
      const held = await p.acquire();
      const stop = new AbortController();
      const a = p.acquire({ signal: stop.signal });
      const b = p.acquire();
      held.release();
      t.equal(p.stats().offered, 1, "A has an offer");
      stop.abort(new Error("gone"));
      await t.rejects(a, { message: "gone" });
      t.equal((await b).value.id, 0);
      t.adds(p.stats());
    },
  },
  {
    name: "an_abort_after_the_hand_off_loses_nothing",
    async run(t) {
      const { pool: p } = pool();
      const held = await p.acquire();
      const stop = new AbortController();
      const a = p.acquire({ signal: stop.signal });
      held.release();
      stop.abort(new Error("too late"));
      const lease = await a;
      t.equal(p.stats().inUse, 1);
      t.ok(lease.release());
      t.equal(p.stats().cancelled, 0);
    },
  },
  {
    name: "newcomer_cannot_overtake",
    async run(t) {
      const { pool: p } = pool({ maxWaiting: 10 });
      let overtaken = 0;
      let queued = false;
      let going = true;
      const hog = (async () => {
        while (going) {
          const lease = await p.acquire();
          await null;
          if (queued) overtaken += 1;
          lease.release();
        }
      })();
      for (let round = 0; round < 100_000; round += 1) {
        while (p.stats().inUse === 0) await null;
        const waiting = p.acquire().then((lease) => {
          queued = false;
          return lease;
        });
        // The hog holds the only place now, and has to end that lease first.
        await null;
        await null;
        queued = true;
        const lease = await waiting;
        queued = false;
        lease.release();
      }
      going = false;
      await hog;
      t.equal(overtaken, 0);
    },
  },
  {
    name: "first_come_first_served",
    async run(t) {
      const { pool: p } = pool({ max: 3 });
      const held = await Promise.all([p.acquire(), p.acquire(), p.acquire()]);
      const order = [];
      const all = [];
      for (let i = 0; i < 100; i += 1) {
        all.push(
          p.acquire().then((lease) => {
            order.push(i);
            lease.release();
          }),
        );
      }
      held.forEach((lease) => lease.release());
      await Promise.all(all);
      t.equal(order, [...order].sort((a, b) => a - b));
    },
  },
  {
    name: "try_acquire_respects_the_queue",
    async run(t) {
      const { pool: p } = pool();
      const held = await p.acquire();
      const waiting = p.acquire();
      t.equal(p.tryAcquire(), undefined);
      held.release();
      t.equal(p.tryAcquire(), undefined, "it is the waiter's");
      (await waiting).release();
      t.ok(p.tryAcquire() !== undefined);
    },
  },
  {
    name: "abort_while_queued_settles_at_once",
    async run(t) {
      for (const mode of ["process", "edge"]) {
        const { pool: p, clock } = pool({ mode });
        const held = await p.acquire();
        const stop = new AbortController();
        const reason = new Error("enough");
        const waiting = p.acquire({ signal: stop.signal });
        waiting.catch(() => undefined);
        stop.abort(reason);
        t.equal(p.stats().waiting, 0, "it has left the queue");
        t.ok((await t.rejects(waiting)) === reason, "the signal's own reason");
        t.equal(clock.timers.size, 0, `a timer is left in ${mode} mode`);
        held.release();
        t.adds(p.stats());
      }
    },
  },
  {
    name: "an_aborted_signal_never_queues",
    async run(t) {
      const { pool: p } = pool();
      const error = await t.rejects(p.acquire({ signal: AbortSignal.abort() }));
      t.equal(error.name, "AbortError");
      t.equal(p.stats().started, 0);
    },
  },
  {
    name: "abort_listeners_are_removed",
    async run(t) {
      for (const mode of ["process", "edge"]) {
        const { pool: p } = pool({ mode });
        const { signal } = new AbortController();
        let listeners = 0;
        const add = signal.addEventListener.bind(signal);
        const remove = signal.removeEventListener.bind(signal);
        signal.addEventListener = (...args) => (listeners++, add(...args));
        signal.removeEventListener = (...args) => (listeners--, remove(...args));
        let most = 0;
        for (let i = 0; i < 5_000; i += 1) {
          const first = await p.acquire({ signal });
          const second = p.acquire({ signal });
          most = Math.max(most, listeners);
          first.release();
          (await second).release();
        }
        t.equal(most, 1, "a waiter listens");
        t.equal(listeners, 0, `listeners are left in ${mode} mode`);
      }
    },
  },
  {
    name: "acquire_times_out_on_time",
    async run(t) {
      for (const mode of ["process", "edge"]) {
        const { pool: p, clock } = pool({ mode, acquireTimeout: 30_000 });
        const held = await p.acquire();
        const waiting = p.acquire();
        await clock.advance(29_999);
        t.equal(await state(waiting), "pending");
        await clock.advance(1);
        const error = await t.rejects(waiting, { code: "acquire_timeout", waited: 30_000 });
        t.ok(error instanceof AcquireTimeoutError);
        t.equal(p.stats().timedOut, 1);
        t.equal(held.release(), true);
        t.equal(clock.timers.size, 0, "no timer is left");
      }
    },
  },
  {
    name: "a_timeout_of_its_own_per_call",
    async run(t) {
      const { pool: p, clock } = pool();
      await p.acquire();
      const long = p.acquire({ timeout: 500 });
      const short = p.acquire({ timeout: 50 });
      await clock.advance(50);
      t.equal(await state(short), "rejected");
      t.equal(await state(long), "pending");
      await clock.advance(450);
      t.equal(await state(long), "rejected");
      await t.rejects(long);
      await t.rejects(short);
    },
  },
  {
    name: "a_full_queue_refuses",
    async run(t) {
      const { pool: p } = pool({ maxWaiting: 2 });
      const held = await p.acquire();
      const waiting = [p.acquire(), p.acquire()];
      const error = await t.rejects(p.acquire(), { code: "queue_full" });
      t.ok(error instanceof QueueFullError);
      held.release();
      (await waiting[0]).release();
      (await waiting[1]).release();
      t.equal(p.stats().refused, 1);
      t.adds(p.stats());
    },
  },
  {
    name: "ten_thousand_waiters",
    async run(t) {
      for (const [mode, count] of [["process", 10_000], ["edge", 9_000]]) {
        const { pool: p } = pool({ mode, maxWaiting: count, max: 4 });
        const held = await Promise.all([1, 2, 3, 4].map(() => p.acquire()));
        let served = 0;
        const all = Array.from({ length: count }, () =>
          p.acquire().then((lease) => {
            served += 1;
            lease.release();
          }),
        );
        await t.rejects(p.acquire(), { code: "queue_full" });
        held.forEach((lease) => lease.release());
        await Promise.all(all);
        t.equal(served, count);
        t.adds(p.stats());
      }
    },
  },
  {
    name: "the_wait_is_told",
    async run(t) {
      const { pool: p, clock } = pool();
      const held = await p.acquire();
      const waiting = p.acquire();
      await clock.advance(120);
      held.release();
      t.equal((await waiting).waited, 120);
      await settle();
    },
  },
  {
    name: "use_gives_back_whatever_happens",
    async run(t) {
      for (const mode of ["process", "edge"]) {
        const { pool: p, clock } = pool({ mode });
        t.equal(await p.use((value) => value.id), 0);
        t.equal(await p.use(async (value) => value.id + 1), 1);
        await t.rejects(p.use(() => Promise.reject(new Error("a"))), { message: "a" });
        const thrown = p.use(() => {
          throw new Error("b");
        });
        await t.rejects(thrown, { message: "b" });
        t.equal(p.stats().inUse, 0);
        t.equal(p.stats().released, 4);
        t.equal(clock.timers.size, 0);
      }
    },
  },
];
