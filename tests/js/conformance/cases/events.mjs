// What a pool tells of itself: the observer, the events, the holders, leaks.
import { Pool } from "edgepool";
import { FakeClock, each, settle, state } from "../lib/harness.mjs";
import { World, fails, hang } from "../lib/world.mjs";

/** A pool whose events are kept. */
function observed(options) {
  const events = [];
  const it = new World({ observer: (event) => void events.push(event), ...options });
  return { it, events };
}

/** An event in a few words. */
function words({ type, slot, reason, code, waited, holder }) {
  const about = slot ?? reason ?? code ?? holder?.slot;
  return [type, type === "leaves" ? reason : about, type === "slowAcquire" ? waited : undefined]
    .filter((word) => word !== undefined).join(" ");
}

/** Drops leases until the runtime has collected one; tells what was reported. */
async function leakUntilTold(pool, told) {
  await (async () => {
    await Promise.all(Array.from({ length: 50 }, () => pool.acquire()));
  })();
  await litterUntil(() => told.length > 0);
}

/** Leaves garbage until something was collected: runtimes do that when memory is short. */
async function litterUntil(isCollected) {
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const junk = [];
  for (let round = 0; round < 400 && !isCollected(); round += 1) {
    junk.push(Array.from({ length: 50_000 }, (_, n) => ({ n })));
    if (junk.length > 20) junk.length = 0;
    await sleep(1);
  }
}

export default [
  {
    name: "events_tell_a_life_in_order",
    run: each(async (t, mode) => {
      const { it, events } = observed({
        mode, maxWaiting: 2, longHold: 10_000, acquireTimeout: 5_000,
      });
      const { pool, clock, plans } = it;
      const lease = await pool.acquire();
      const served = pool.acquire();
      const late = pool.acquire();
      await t.rejects(pool.acquire(), { code: "queue_full" });
      await clock.advance(2_000);
      lease.release();
      const second = await served;
      await clock.advance(3_000);
      await t.rejects(late);
      const stop = new AbortController();
      const gone = pool.acquire({ signal: stop.signal });
      stop.abort();
      await t.rejects(gone);
      await clock.advance(7_000);
      pool.tick();
      it.take(second);
      plans.create.push(fails("no"));
      await t.rejects(pool.acquire());
      (await pool.acquire()).discard();
      await settle();
      void pool.close();
      const told = events.map(words);
      const expected = [
        "queued", "created 0", "acquired 0", "queued", "queued", "refused queue_full",
        "released 0", "acquired 0", "slowAcquire 2000", "ended acquire_timeout", "queued",
        "cancelled", "longHold 0", "taken 0", "queued", "createFailed", "ended create_failed",
        "queued", "created 0", "acquired 0", "leaves discarded",
      ];
      t.equal(told, expected);
      const failed = events.find(({ type }) => type === "createFailed");
      t.equal(failed.error.message, "no", "the error is told");
    }),
  },
  {
    name: "each_reason_to_leave_is_told",
    run: each(async (t, mode) => {
      const { it, events } = observed({
        mode, max: 4, maxUses: 5, checks: true, checkAfter: 100_000, resets: true,
        maxLifetime: 900_000, idleTimeout: 300_000, createTimeout: 10, leaseTtl: 2_000_000,
      });
      const { pool, clock, plans } = it;
      const use = async () => void (await pool.acquire()).release();
      (await pool.acquire()).discard();
      for (let n = 0; n < 5; n += 1) await use();
      await use();
      pool.retain(() => false);
      await use();
      pool.invalidate();
      await use();
      await clock.advance(300_000);
      pool.tick();
      const old = await pool.acquire();
      await clock.advance(900_000);
      old.release();
      await it.warm(2);
      pool.resize(1);
      pool.resize(4);
      await clock.advance(100_000);
      plans.check.push(() => false);
      await use();
      plans.reset.push(fails("reset"));
      await use();
      plans.create.push((make) => it.after(20, make));
      const late = t.rejects(pool.acquire(), { code: "create_timeout" });
      await clock.advance(20);
      await late;
      const lost = await pool.acquire();
      await clock.advance(2_000_000);
      pool.tick();
      lost.release();
      await use();
      void pool.close();
      const left = events.filter(({ type }) => type === "leaves").map(({ reason }) => reason);
      t.equal(left, [
        "discarded", "used", "rejected", "invalidated", "idle", "aged", "surplus", "checkFailed",
        "resetFailed", "late", "expired", "closed",
      ]);
      t.equal(left.length, it.closed.length, "each that is closed is told of");
    }),
  },
  {
    name: "failures_of_jobs_are_told_with_their_errors",
    run: each(async (t, mode) => {
      const { it, events } = observed({
        mode, checks: true, checkAfter: 0, resets: true, checkTimeout: 100, resetTimeout: 100,
        closeTimeout: 100, createTimeout: 100,
      });
      const { plans, clock } = it;
      const told = async (type) => {
        await clock.advance(100);
        it.pool.tick();
        const { error } = events.filter((event) => event.type === type).at(-1) ?? {};
        return error?.cause?.message ?? error?.message ?? `no ${type}`;
      };
      plans.create.push(fails("create"));
      await t.rejects(it.pool.acquire());
      t.equal(await told("createFailed"), "create");
      plans.create.push(hang);
      const late = t.rejects(it.pool.acquire());
      t.ok(/createTimeout|100 ms/.test(await told("createFailed")), "an overdue creation");
      await late;
      for (const [kind, type] of [["check", "checkFailed"], ["reset", "resetFailed"]]) {
        for (const act of [fails(kind), hang]) {
          await it.warm(1);
          plans[kind].push(act);
          const lease = it.pool.acquire();
          await clock.advance(100);
          (await lease).release();
          const text = await told(type);
          if (act === hang) t.ok(/Timeout|100 ms/.test(text), `an overdue ${kind}: ${text}`);
          else t.equal(text, kind);
        }
      }
      for (const act of [fails("close"), hang]) {
        await it.warm(1);
        plans.close.push(act);
        (await it.pool.acquire()).discard();
        const text = await told("closeFailed");
        if (act === hang) t.ok(/Timeout|100 ms/.test(text), `an overdue close: ${text}`);
        else t.equal(text, "close");
      }
      await it.assertUsable();
    }),
  },
  {
    name: "slow_acquire_and_long_hold_name_the_place",
    run: each(async (t, mode) => {
      const { it, events } = observed({
        mode, trackLeases: true, slowAcquire: 100, longHold: 1_000,
      });
      const { pool, clock } = it;
      async function asksFast() {
        return pool.acquire();
      }
      async function asksSlow() {
        return pool.acquire();
      }
      const first = await pool.acquire();
      const [fast, slow] = [asksFast(), asksSlow()];
      await clock.advance(99);
      first.release();
      const lease = await fast;
      await clock.advance(2);
      lease.release();
      const held = await slow;
      const told = () => events.filter(({ type }) => ["slowAcquire", "longHold"].includes(type));
      await clock.advance(999);
      pool.tick();
      t.equal(told().map(words), ["slowAcquire 101"], "99 ms is not slow yet");
      t.ok(told()[0].stack.includes("asksSlow"), `where it asked: ${told()[0].stack}`);
      await clock.advance(252);
      pool.tick();
      pool.tick();
      t.equal(told().map(({ type }) => type), ["slowAcquire", "longHold"], "it is told once");
      const { holder } = told()[1];
      t.ok(holder.held >= 1_000 && holder.held <= 1_251, `held for ${holder.held}`);
      t.ok(holder.stack.includes("asksSlow"), `where it was taken: ${holder.stack}`);
      held.release();
    }),
  },
  {
    name: "holders_are_listed_the_longest_first",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 3, trackLeases: true });
      async function takesTheFirst() {
        return it.pool.acquire();
      }
      t.equal(it.pool.holders(), []);
      const first = await takesTheFirst();
      const since = it.clock.now();
      await it.clock.advance(10);
      const second = await it.pool.acquire();
      await it.clock.advance(10);
      const holders = it.pool.holders();
      const told = holders.map(({ slot, id, held, since }) => [slot, id, held, since]);
      t.equal(told, [[first.slot, 1, 20, since], [second.slot, 2, 10, since + 10]]);
      t.ok(holders[0].stack.includes("takesTheFirst"), `where: ${holders[0].stack}`);
      first.release();
      t.equal(it.pool.holders().map(({ id }) => id), [2]);
      const plain = new World({ mode });
      await plain.pool.acquire();
      await plain.clock.advance(3_600_000);
      if (mode === "edge") t.equal(plain.pool.holders(), [], "its time to live has passed");
      else t.equal(plain.pool.holders().map(({ held }) => held), [3_600_000]);
      const other = new World({ mode });
      await other.pool.acquire();
      t.equal(other.pool.holders()[0].stack, undefined, "places are not kept by default");
    }),
  },
  {
    name: "an_observer_that_throws_changes_nothing",
    run: each(async (t, mode) => {
      let told = 0;
      const it = new World({
        mode, max: 2, resets: true, checks: true, checkAfter: 0,
        observer: () => {
          told += 1;
          throw new Error("an observer throws");
        },
      });
      await it.warm(2);
      (await it.pool.acquire()).discard();
      it.plans.create.push(fails("no"));
      const held = await it.pool.acquire();
      await t.rejects(it.pool.acquire(), { code: "create_failed" });
      held.release();
      await it.assertUsable();
      await it.assertCloses();
      t.ok(told > 10, `it was told of ${told}`);
    }),
  },
  {
    name: "events_are_iterated_until_the_pool_closes",
    run: each(async (t, mode) => {
      const it = new World({ mode });
      const seen = [];
      const other = [];
      const read = async (list) => {
        for await (const event of it.pool.events()) list.push(event.type);
        return "ended";
      };
      const ends = [read(seen), read(other)];
      await settle();
      (await it.pool.acquire()).release();
      await settle();
      t.equal(seen, ["queued", "created", "acquired", "released"]);
      await it.pool.close();
      t.equal(await Promise.all(ends), ["ended", "ended"]);
      t.equal(seen, ["queued", "created", "acquired", "released", "leaves"]);
      t.equal(other, seen, "each reader sees all");
      const { done } = await it.pool.events().next();
      t.equal(done, true, "of a closed pool there is nothing more to tell");
    }),
  },
  {
    name: "events_that_are_kept_for_a_slow_reader_are_bounded",
    run: each(async (t, mode) => {
      let told = 0;
      const it = new World({ mode, observer: () => void (told += 1) });
      const events = it.pool.events();
      for (let n = 0; n < 10_000; n += 1) (await it.pool.acquire()).release();
      await it.pool.close();
      const read = [];
      for await (const event of events) read.push(event);
      const dropped = read.filter(({ type }) => type === "dropped");
      t.ok(told > 20_000 && read.length >= 100, `${read.length} of ${told} were kept`);
      t.ok(read.length <= 1_001, `${read.length} were kept`);
      t.equal(dropped.map(({ count }) => count), [told - read.length + 1], "what is left out");
    }),
  },
  {
    name: "events_that_are_left_are_detached",
    run: each(async (t, mode) => {
      const it = new World({ mode });
      const events = it.pool.events();
      const next = events.next();
      t.equal(await state(next), "pending");
      (await it.pool.acquire()).release();
      t.equal((await next).value.type, "queued");
      for await (const event of events) {
        t.equal(event.type, "created");
        break;
      }
      t.equal((await events.next()).done, true, "a loop that is left has ended it");
      const waiting = it.pool.events();
      const pending = waiting.next();
      t.equal((await waiting.return()).done, true);
      t.equal((await pending).done, true, "who waited is told");
      await it.assertUsable();
    }),
  },
  {
    name: "a_reader_that_nobody_has_any_more_is_let_go",
    async run(t) {
      const create = () => {
        throw new Error("no");
      };
      let collected = 0;
      const registry = new FinalizationRegistry(() => void (collected += 1));
      const forget = async (pool) => {
        pool.events();
        const read = pool.events();
        // One is waited for once, and not again, as by a request that has died meanwhile.
        const told = read.next();
        registry.register((await t.rejects(pool.acquire())).cause);
        await t.rejects(pool.acquire());
        await told;
      };
      const pools = Array.from({ length: 20 }, () =>
        new Pool({ create, mode: "process", backoff: false }));
      for (const pool of pools) await forget(pool);
      // Some collectors keep what looks as if it were in use.
      await litterUntil(() => collected > 10);
      t.ok(collected > 10, `of 20 that only they would have told, ${collected} are gone with them`);
      for (const pool of pools) await pool.close();
    },
  },
  {
    name: "a_reader_that_is_waited_for_hears_all_though_nobody_else_has_it",
    async run(t) {
      const pool = new Pool({ create: () => ({}), mode: "process", minIdle: 0 });
      const seen = [];
      void (async () => {
        for await (const { type } of pool.events()) seen.push(type);
        seen.push("over");
      })();
      let collected = 0;
      const registry = new FinalizationRegistry(() => void (collected += 1));
      await litterUntil(() => {
        registry.register({});
        return collected > 10;
      });
      t.ok(collected > 10, "garbage was collected");
      (await pool.acquire()).release();
      await pool.close();
      await settle();
      t.equal(seen, ["queued", "created", "acquired", "released", "leaves", "over"]);
    },
  },
  {
    name: "leaked_leases_are_told",
    async run(t) {
      const told = [];
      const observer = (event) => {
        if (event.type === "leaked") told.push(event.holder);
      };
      const settings = { max: 100, mode: "process", trackLeases: true, observer };
      const pool = new Pool({ create: () => ({}), ...settings });
      await leakUntilTold(pool, told);
      t.ok(told.length > 0, "a lease that nobody has any more is told");
      t.ok(told[0].stack.includes("leakUntilTold"), `where it was taken: ${told[0].stack}`);
      t.ok(pool.stats().leaked >= told.length, `stats say ${pool.stats().leaked}`);
      const { inUse } = pool.stats();
      t.equal(inUse, 50, "a place is given back by its time to live alone");
      await pool.close({ deadline: 0, force: true });
    },
  },
  {
    name: "leases_that_ended_are_not_told_as_leaked",
    async run(t) {
      const told = [];
      const observer = (event) => {
        if (event.type === "leaked") told.push(event);
      };
      const clock = new FakeClock(0);
      const it = new World({ max: 100, mode: "edge", trackLeases: true, observer, clock });
      for (let n = 0; n < 100; n += 1) (await it.pool.acquire()).release();
      (await it.pool.acquire()).discard();
      const junk = [];
      for (let round = 0; round < 20; round += 1) {
        junk.push(Array.from({ length: 50_000 }, (_, n) => ({ n })));
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      t.equal([told.length, it.pool.stats().leaked, junk.length], [0, 0, 20]);
      await it.assertCloses();
    },
  },
];
