// Checks and resets: whether a resource is still good, and is made clean for the next caller.
import { RefClock, UNATTENDED, each, settle, state } from "../lib/harness.mjs";
import { World, fails, hang } from "../lib/world.mjs";

/** How many of three loans, 500 ms and 1 s apart, were preceded by a check. */
async function checksOfThreeLoans(mode, checkAfter) {
  const it = new World({ mode, checks: true, checkAfter });
  await it.warm(1);
  await it.clock.advance(500);
  await it.warm(1);
  await it.clock.advance(1_000);
  await it.warm(1);
  return it.calls.check;
}

export default [
  {
    name: "check_on_acquire_has_three_policies",
    run: each(async (t, mode) => {
      t.equal(await checksOfThreeLoans(mode, Infinity), 0, "never");
      t.equal(await checksOfThreeLoans(mode, 0), 2, "each time, but for the first");
      t.equal(await checksOfThreeLoans(mode, 1_000), 1, "after a time without use");
      t.equal(await checksOfThreeLoans(mode, undefined), 1, "which is 1 s by default");
    }),
  },
  {
    name: "a_check_says_bad_by_false_a_throw_or_a_rejection",
    run: each(async (t, mode) => {
      const bad = [
        () => false, async () => false, fails("no"), () => Promise.reject(new Error("no")), hang,
        () => ({ then: (resolve) => resolve(false) }),
      ];
      const good = [
        () => true, () => undefined, () => null, () => 0, () => "", async () => undefined,
      ];
      for (const [acts, next] of [[bad, 2], [good, 1]]) {
        for (const act of acts) {
          const it = new World({ mode, checks: true, checkAfter: 0, checkTimeout: 100 });
          await it.warm(1);
          it.plans.check.push(act);
          const waiting = it.pool.acquire();
          await it.clock.advance(100);
          const lease = await waiting;
          t.equal([lease.value.id, it.closed.length], [next, next - 1], `after ${act}`);
          t.equal([it.pool.stats().checks, it.pool.stats().checkFailed], [1, next - 1]);
          lease.release();
          await it.assertCloses();
        }
      }
    }),
  },
  {
    name: "a_check_is_given_the_resource_and_a_job",
    run: each(async (t, mode) => {
      const it = new World({ mode, checks: true, checkAfter: 0 });
      await it.warm(1);
      let seen;
      it.plans.check.push((resource, job) => void (seen = [resource, job.signal]));
      const lease = await it.pool.acquire();
      t.ok(seen[0] === lease.value, "the resource that is lent");
      t.ok(seen[1] instanceof AbortSignal && !seen[1].aborted, "a signal that is not aborted");
    }),
  },
  {
    name: "a_failed_check_closes_the_resource_and_serves_another",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 2, checks: true, checkAfter: 0 });
      await it.warm(2);
      it.plans.check.push(() => false);
      const lease = await it.pool.acquire();
      t.equal([lease.value.id, it.closed, it.calls.create], [1, [2], 2], "the other idle one");
      lease.release();
      it.plans.check.push(() => false);
      t.equal([(await it.pool.acquire()).value.id, it.closed], [3, [2, 1]], "none was left");
    }),
  },
  {
    name: "one_caller_begins_one_check",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 3, checks: true, checkAfter: 0 });
      await it.warm(3);
      it.always.check = () => it.after(20);
      const waiting = [];
      for (const checks of [1, 2]) {
        waiting.push(it.pool.acquire());
        t.equal([it.pool.stats().checking, it.pool.stats().idle], [checks, 3 - checks]);
      }
      await it.clock.advance(20);
      for (const promise of waiting) (await promise).release();
    }),
  },
  {
    name: "try_acquire_goes_on_to_the_last_idle_resource",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 4, checks: true, checkAfter: 0 });
      await it.warm(4);
      it.plans.check.push(() => false, () => false, () => false);
      t.equal(it.pool.tryAcquire()?.value.id, 1, "those that are bad are closed on the way");
      t.equal([it.pool.stats().size, it.pool.stats().checkFailed], [1, 3]);
    }),
  },
  {
    name: "try_acquire_looks_at_each_resource_once",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 2, checks: true, checkAfter: 1e-3 });
      await it.warm(2);
      // A clock that no two looks find at the same time.
      it.clock.now = () => (it.clock.time += 1);
      it.always.check = () => it.calls.check < 1_000;
      it.pool.tryAcquire();
      t.ok(it.calls.check >= 1 && it.calls.check <= 4, `${it.calls.check} checks of two`);
    }),
  },
  {
    name: "try_acquire_does_not_wait_for_a_check",
    run: each(async (t, mode) => {
      const it = new World({ mode, checks: true, checkAfter: 1_000 });
      await it.warm(1);
      await it.clock.advance(1_000);
      it.plans.check.push(() => it.after(20));
      t.equal([it.pool.tryAcquire(), it.pool.stats().checking], [undefined, 1], "it is begun");
      await it.clock.advance(20);
      t.equal(it.pool.tryAcquire()?.value.id, 1, "and counts for the next");
    }),
  },
  {
    name: "check_interval_keeps_idle_resources_alive",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 6, checks: true, checkInterval: 30_000, maxChecks: 2 });
      it.always.check = () => it.after(1_000);
      await it.warm(6);
      await it.clock.advance(29_000);
      (await it.pool.acquire()).release(); // the one that was used last
      await it.clock.advance(1_000);
      for (const [gone, checks] of [[0, 2], [1, 4], [2, 5]]) {
        t.equal(it.pool.stats().checks, checks, `checks after ${gone} s more`);
        t.ok(it.pool.stats().checking <= 2, "two at once");
        await it.clock.advance(1_000);
      }
      await it.clock.advance(27_000);
      t.equal(it.pool.stats().checks, 6, "the used one, 30 s after its use");
      it.always.check = () => false;
      await it.clock.advance(60_000);
      t.equal([it.pool.stats().size, it.pool.stats().checkFailed], [0, 6]);
    }, UNATTENDED),
  },
  {
    name: "check_interval_on_the_edge_is_kept_by_who_calls",
    async run(t) {
      const it = new World({ mode: "edge", checks: true, checkInterval: 30_000 });
      await it.warm(1);
      await it.clock.advance(30_000);
      t.equal(it.calls.check, 0);
      it.pool.tick();
      t.equal(it.calls.check, 1);
    },
  },
  {
    name: "reset_is_before_the_next_caller",
    run: each(async (t, mode) => {
      const it = new World({ mode, resets: true });
      const lease = await it.pool.acquire();
      const waiting = it.pool.acquire();
      let seen;
      it.plans.reset.push((resource, job) => void (seen = [resource, job.signal]));
      lease.release();
      t.ok(seen[0] === lease.value && seen[1] instanceof AbortSignal, "it is given both");
      const next = await waiting;
      t.equal([next.value.id, it.pool.stats().inUse], [1, 1]);
      it.plans.reset.push(fails("no"));
      t.equal(next.release(), true, "a reset that throws is not the affair of who releases");
      t.equal([it.pool.stats().size, it.pool.stats().resetFailed, it.closed], [0, 1, [1]]);
      t.equal((await it.pool.acquire()).value.id, 2);
    }),
  },
  {
    name: "reset_that_takes_time_serves_the_next_caller_when_it_ends",
    run: each(async (t, mode) => {
      const it = new World({ mode, resets: true });
      const no = () => Promise.reject(new Error("no"));
      const rounds = [[() => undefined, 1, 0], [no, 2, 1], [() => false, 2, 1]];
      for (const [act, id, failed] of rounds) {
        const lease = await it.pool.acquire();
        it.plans.reset.push(() => it.after(20, act));
        const waiting = it.pool.acquire();
        lease.release();
        t.equal([it.pool.stats().resetting, await state(waiting)], [1, "pending"]);
        await it.clock.advance(20);
        const next = await waiting;
        t.equal([next.value.id, it.pool.stats().resetFailed], [id, failed], `after ${act}`);
        next.release();
      }
      await it.assertCloses();
    }),
  },
  {
    name: "reset_that_is_overdue_is_given_up",
    run: each(async (t, mode) => {
      const it = new World({ mode, resets: true, resetTimeout: 100 });
      it.plans.reset.push(hang);
      (await it.pool.acquire()).release();
      const waiting = it.pool.acquire();
      await it.clock.advance(100);
      t.equal([(await waiting).value.id, it.pool.stats().resetFailed, it.closed], [2, 1, [1]]);
    }),
  },
  {
    name: "a_reset_or_check_that_ends_late_changes_nothing",
    run: each(async (t, mode) => {
      const times = { resetTimeout: 100, checkTimeout: 100, checkAfter: 0 };
      const it = new World({ mode, resets: true, checks: true, ...times });
      it.plans.reset.push(() => it.after(250));
      (await it.pool.acquire()).release();
      const waiting = it.pool.acquire();
      await it.clock.advance(100);
      (await waiting).release();
      it.plans.check.push(() => it.after(250));
      const second = it.pool.acquire();
      await it.clock.advance(100);
      t.equal([(await second).value.id, it.closed], [3, [1, 2]]);
      await it.clock.advance(1_000);
      t.equal([it.pool.stats().inUse, it.pool.stats().size, it.closed], [1, 1, [1, 2]]);
      t.adds(it.pool.stats());
    }),
  },
  {
    name: "discard_closes_and_does_not_reset",
    run: each(async (t, mode) => {
      const it = new World({ mode, resets: true });
      (await it.pool.acquire()).discard();
      t.equal([it.calls.reset, it.closed, it.pool.stats().discarded], [0, [1], 1]);
    }),
  },
  {
    name: "disposing_asynchronously_waits_for_the_reset",
    run: each(async (t, mode) => {
      const it = new World({ mode, resets: true });
      const dispose = Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose");
      it.plans.reset.push(() => it.after(20), () => it.after(20, fails("no")), fails("no"));
      for (const idle of [1, 0]) {
        const lease = await it.pool.acquire();
        const disposed = lease[dispose]();
        t.equal([await state(disposed), it.pool.stats().resetting], ["pending", 1]);
        await it.clock.advance(20);
        t.equal([await state(disposed), it.pool.stats().idle], ["fulfilled", idle]);
      }
      await (await it.pool.acquire())[dispose]();
      await (await it.pool.acquire())[dispose]();
      t.equal([it.pool.stats().idle, it.pool.stats().resetFailed], [1, 2]);
      const ended = await it.pool.acquire();
      ended.release();
      await ended[dispose]();
      t.equal(it.pool.stats().released, 5, "one that has ended is not released again");
    }),
  },
  {
    name: "a_resource_in_reset_or_check_counts",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 2, resets: true, checks: true, checkAfter: 0 });
      await it.warm(2);
      it.plans.reset.push(() => it.after(10));
      it.plans.check.push(undefined, () => it.after(10));
      const lease = await it.pool.acquire();
      const other = it.pool.acquire();
      lease.release();
      const { resetting, checking, size } = it.pool.stats();
      t.equal([resetting, checking, size], [1, 1, 2]);
      const third = it.pool.acquire();
      t.equal([await state(third), it.calls.create], ["pending", 2], "no more than max");
      await it.clock.advance(10);
      (await other).release();
      (await third).release();
      await settle();
      await it.assertCloses();
    }),
  },
  {
    name: "who_waits_for_a_reset_a_close_or_a_creation_keeps_the_process_going",
    async run(t) {
      const clock = new RefClock(1_000);
      const it = new World({ clock, resets: true, resetTimeout: 100, closeTimeout: 100, max: 2 });
      const dispose = Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose");
      const [lease, other] = await it.leases(2);
      it.plans.reset.push(hang, hang);
      lease.release();
      t.equal(clock.keeps, false, "nobody waits for this reset");
      const disposed = other[dispose]();
      t.equal(clock.keeps, true, "the reset that its holder waits for");
      await clock.advance(100);
      t.equal([await state(disposed), clock.keeps], ["fulfilled", false]);
      it.plans.create.push(hang);
      const warm = t.rejects(it.pool.warmUp(1), { code: "warm_up_failed" });
      t.equal(clock.keeps, true, "the creation that a warm-up waits for");
      await clock.advance(10_000);
      await warm;
      (await it.pool.acquire()).release();
      await settle();
      it.plans.close.push(hang);
      const closing = it.pool.close({ deadline: Infinity });
      await settle();
      t.equal(clock.keeps, true, "the close that its caller waits for");
      await clock.advance(100);
      await closing;
      t.equal(clock.timers.size, 0);
    },
  },
];
