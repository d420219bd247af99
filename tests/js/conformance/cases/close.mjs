// Close: what it settles, waits for, and tells.
import { PoolClosedError } from "edgepool";
import { deferred, each, settle, state } from "../lib/harness.mjs";
import { World, hang } from "../lib/world.mjs";

export default [
  {
    name: "close_settles_every_waiter",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 2 });
      const held = await it.leases(2);
      const waiting = Array.from({ length: 20 }, () => it.pool.acquire());
      const errors = waiting.map((promise) => t.rejects(promise, { code: "pool_closed" }));
      const closing = it.pool.close();
      t.equal([it.pool.stats().closed, it.pool.stats().waiting], [20, 0], "at once");
      for (const error of await Promise.all(errors)) t.ok(error instanceof PoolClosedError);
      held.forEach((lease) => lease.release());
      t.equal(await closing, []);
      t.equal(it.clock.timers.size, 0, "timers that are left");
      t.adds(it.pool.stats());
    }),
  },
  {
    name: "acquire_after_close_fails_at_once",
    run: each(async (t, mode) => {
      const it = new World({ mode });
      await it.warm(1);
      t.equal(it.pool.isClosed, false);
      await it.pool.close();
      t.equal(it.pool.isClosed, true);
      const calls = [
        (pool) => pool.acquire(), (pool) => pool.use(() => 1), (pool) => pool.acquireMany(1),
      ];
      for (const call of calls) {
        const asked = call(it.pool);
        t.equal(await state(asked), "rejected");
        const error = await t.rejects(asked, { code: "pool_closed" });
        t.ok(error instanceof PoolClosedError, "a PoolClosedError");
      }
      t.equal(it.pool.tryAcquire(), undefined);
      t.equal([it.calls.create, it.closed], [1, [1]], "nothing is made any more");
      t.adds(it.pool.stats());
    }),
  },
  {
    name: "close_waits_then_names_the_holders",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 3, trackLeases: true });
      async function takesTheFirst() {
        return it.pool.acquire();
      }
      const [early, since] = [await takesTheFirst(), it.clock.now()];
      await it.clock.advance(30);
      const late = await it.pool.acquire();
      await it.warm(1);
      const closing = it.pool.close({ deadline: 100 });
      t.equal(it.closed, [3], "what is idle is closed at once");
      await it.clock.advance(99);
      t.equal(await state(closing), "pending");
      await it.clock.advance(1);
      const holders = await closing;
      const told = holders.map(({ id, slot, since, held }) => [id, slot, since, held]);
      t.equal(told, [[1, early.slot, since, 130], [2, late.slot, since + 30, 100]]);
      t.ok(holders[0].stack.includes("takesTheFirst"), `where it was taken: ${holders[0].stack}`);
      const again = it.pool.close({ deadline: Infinity });
      early.release();
      t.equal(await state(again), "pending");
      late.release();
      t.equal(await again, []);
      t.equal(it.closed, [3, 1, 2]);
      await it.assertCloses();
    }),
  },
  {
    name: "close_without_a_wait_names_the_holders_at_once",
    run: each(async (t, mode) => {
      const it = new World({ mode });
      const lease = await it.pool.acquire();
      const closing = it.pool.close({ deadline: 0 });
      await it.clock.advance(1);
      t.equal((await closing).map(({ slot, stack }) => [slot, stack]), [[lease.slot, undefined]]);
      t.ok(lease.release(), "the lease has stayed good");
      await settle();
      t.equal(it.closed, [1]);
    }),
  },
  {
    name: "close_waits_thirty_seconds_by_default",
    run: each(async (t, mode) => {
      const it = new World({ mode });
      await it.pool.acquire();
      const closing = it.pool.close();
      await it.clock.advance(29_999);
      t.equal(await state(closing), "pending");
      await it.clock.advance(1);
      t.equal((await closing).length, 1);
    }),
  },
  {
    name: "close_with_force_discards_what_is_out_at_the_deadline",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 2 });
      const [lost, good] = await it.leases(2);
      const closing = it.pool.close({ deadline: 100, force: true });
      await it.clock.advance(50);
      t.equal(good.release(), true, "before the deadline it comes back");
      await it.clock.advance(50);
      t.equal((await closing).map(({ id }) => id), [1], "who was forced is told");
      t.equal(it.closed, [2, 1]);
      t.equal([lost.release(), lost.discard()], [false, false], "its lease has ended");
      const stats = it.pool.stats();
      t.equal([stats.size, stats.inUse], [0, 0]);
      t.adds(stats);
    }),
  },
  {
    name: "nothing_leaks_into_a_closed_pool",
    run: each(async (t, mode) => {
      const parts = [
        (_it, lease) => lease.release(), (_it, lease) => lease.discard(),
        (it, lease) => it.take(lease),
      ];
      for (const part of parts) {
        const it = new World({ mode, max: 3 });
        const lease = await it.pool.acquire();
        const late = deferred();
        it.plans.create.push((make) => late.promise.then(make), hang);
        const refused = [1, 2].map(() => t.rejects(it.pool.acquire(), { code: "pool_closed" }));
        t.equal(it.pool.stats().creating, 2);
        const closing = it.pool.close();
        await Promise.all(refused);
        t.equal([it.pool.stats().inUse, it.pool.stats().size], [1, 1], "creations are given up");
        late.resolve();
        await settle();
        t.equal(it.closed, [2], "what came late is closed");
        part(it, lease);
        t.equal(await closing, []);
        t.equal([it.live, it.pool.stats().size], [0, 0]);
        await it.assertCloses();
      }
    }),
  },
  {
    name: "close_hook_is_awaited_and_bounded",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 3, closeTimeout: 100 });
      const start = it.clock.now();
      await it.warm(3);
      it.plans.close.push(
        () => it.after(20), hang, () => it.after(30, () => Promise.reject(new Error("no"))),
      );
      const closing = it.pool.close({ deadline: 1_000 }).then((left) => [left, it.clock.now()]);
      t.equal(it.calls.close, 3, "they go on together");
      await it.clock.advance(30);
      t.equal([await state(closing), it.pool.stats().closing], ["pending", 1], "one hangs");
      await it.clock.advance(1_000);
      t.equal(await closing, [[], start + 100]);
      t.adds(it.pool.stats());
    }),
  },
  {
    name: "a_close_that_never_settles_frees_its_place",
    run: each(async (t, mode) => {
      const it = new World({ mode, closeTimeout: 300 });
      it.plans.close.push(hang);
      (await it.pool.acquire()).discard();
      const waiting = it.pool.acquire();
      await it.clock.advance(299);
      t.equal([await state(waiting), it.pool.stats().size], ["pending", 1]);
      await it.clock.advance(1);
      t.equal((await waiting).value.id, 2);
      t.adds(it.pool.stats());
    }),
  },
  {
    name: "close_with_force_ends_whatever_is_under_way",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 4, resets: true, checks: true, checkAfter: 0 });
      const [one, two, three] = await it.leases(3);
      three.release();
      it.plans.check.push(hang);
      it.plans.create.push(hang);
      it.plans.reset.push(hang);
      const refused = [1, 2].map(() => t.rejects(it.pool.acquire(), { code: "pool_closed" }));
      one.release();
      const closing = it.pool.close({ deadline: 100, force: true });
      await Promise.all(refused);
      await it.clock.advance(10_000);
      t.equal((await closing).map(({ id }) => id), [2], "the only lease that is out");
      t.equal(two.release(), false);
      t.equal([it.pool.stats().size, it.live], [0, 0]);
      await it.assertCloses();
    }),
  },
  {
    name: "many_who_close_are_all_told",
    run: each(async (t, mode) => {
      const it = new World({ mode });
      const lease = await it.pool.acquire();
      const closings = [100, 200, 300].map((deadline) => it.pool.close({ deadline }));
      await it.clock.advance(100);
      t.equal((await closings[0]).length, 1, "the first waits no longer");
      await it.clock.advance(50);
      lease.release();
      t.equal(await Promise.all(closings.slice(1)), [[], []]);
      t.equal([it.closed, it.clock.timers.size], [[1], 0]);
    }),
  },
  {
    name: "a_closed_pool_still_answers",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 2, trackLeases: true });
      const { pool, clock } = it;
      const [first, second] = await it.leases(2);
      const queued = t.rejects(pool.acquire(), { code: "pool_closed" });
      const closing = pool.close();
      await queued;
      first.release();
      t.equal([pool.stats().size, pool.holders().length], [1, 1]);
      second.discard();
      t.equal([await closing, it.closed.length], [[], 2]);
      const stats = pool.stats();
      t.equal([stats.max, stats.size, stats.started, stats.closed], [2, 0, 3, 1]);
      await clock.advance(1_000);
      t.equal([first.release(), second.discard(), pool.tryAcquire()], [false, false, undefined]);
      await t.rejects((async () => first.take())(), { code: "lease_ended" });
      await t.rejects(pool.acquire(), { code: "pool_closed" });
      t.equal([await pool.close(), pool.holders(), pool.retain(() => false)], [[], [], 0]);
      pool.tick();
      pool.pause();
      pool.resume();
      pool.invalidate();
      t.equal(pool.nextDeadline(), undefined);
      t.equal(pool.stats().size, 0);
      t.adds(pool.stats());
    }),
  },
  {
    name: "disposing_of_a_pool_closes_it",
    run: each(async (t, mode) => {
      const it = new World({ mode });
      const lease = await it.pool.acquire();
      const dispose = Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose");
      const closing = it.pool[dispose]();
      t.equal([it.pool.isClosed, await state(closing)], [true, "pending"]);
      lease.release();
      await closing;
      t.equal(it.closed, [1]);
    }),
  },
];
