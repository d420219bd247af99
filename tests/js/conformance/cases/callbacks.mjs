// What the callbacks of a pool may do and give.
import { Pool } from "edgepool";
import { FakeClock, each, settle, state } from "../lib/harness.mjs";
import { World, fails, hang } from "../lib/world.mjs";

export default [
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
