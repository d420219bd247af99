// A wasm trap: what becomes of leases, waiters, jobs and places.
import { CoreResetError, Pool, PoolError } from "edgepool";
import { SharedPool } from "edgepool/tenants";
import { each, settle, state } from "../lib/harness.mjs";
import { TenantWorld } from "../lib/tenant-world.mjs";
import { World } from "../lib/world.mjs";

let memory;
let memoryOfTenants;
/** How often a tenant was opened in any instance. */
let opened = 0;
let memoryOfClients;
/** Whether there is no memory for another instance. */
let isFull = false;
const { Instance } = WebAssembly;
// The package makes its first instance with the first pool, which is after this.
WebAssembly.Instance = class extends Instance {
  constructor(...args) {
    if (isFull) throw new RangeError("no memory for another instance");
    super(...args);
    if (this.exports.open_tenant !== undefined) countTenants(this);
    else if (this.exports.pool_open !== undefined) ({ memory } = this.exports);
    if (this.exports.call_open !== undefined) memoryOfClients = this.exports.memory;
  }
};

function countTenants(instance) {
  const { exports } = instance;
  memoryOfTenants = exports.memory;
  const open_tenant = (...args) => {
    opened += 1;
    return exports.open_tenant(...args);
  };
  Object.defineProperty(instance, "exports", { value: { ...exports, open_tenant } });
}

/** Breaks the memory of the module of the clients, so that its next call traps. */
export function breakClients() {
  new Uint8Array(memoryOfClients.buffer).fill(0xff);
}

/** Runs something while no instance can be made. */
export async function whileFull(run) {
  isFull = true;
  try {
    await run();
  } finally {
    isFull = false;
  }
}

/** As `breakCore`, for the module of the pools that tenants share. */
export function breakTenants() {
  const broken = memoryOfTenants;
  new Uint8Array(broken.buffer).fill(0xff);
  return () => memoryOfTenants !== broken;
}

/** Breaks the module's memory, so that its next call traps; returns what tells whether it did. */
export function breakCore() {
  const broken = memory;
  new Uint8Array(broken.buffer).fill(0xff);
  return () => memory !== broken;
}

/** Breaks the core, and has a call find that out, or else the stats, if it needs no core. */
async function trap(t, pool, call = () => undefined) {
  // A browser has addresses for a hundred instances at a time, and frees none before they run out.
  globalThis.gc?.();
  const isReplaced = pool instanceof SharedPool ? breakTenants() : breakCore();
  for (const use of [call, () => pool.stats()]) {
    try {
      await use();
    } catch (error) {
      t.ok(error instanceof CoreResetError, `what traps says so: ${error?.stack}`);
    }
  }
  t.ok(isReplaced(), "there is another instance");
}

export default [
  {
    name: "a_pool_with_tenants_needs_no_order_of_imports",
    async run(t) {
      // Whatever was imported first, and though another pool is there already.
      const plain = new Pool({ create: () => 1 });
      const shared = new SharedPool({ create: () => 2, max: 1 });
      const tenant = shared.tenant({ max: 1 });
      const lease = await shared.acquire({ tenant });
      t.equal([tenant.stats().inUse, await plain.use((value) => value)], [1, 1]);
      t.ok(memory !== memoryOfTenants && memoryOfTenants !== undefined, "it has its own module");
      lease.release();
      await Promise.all([plain.close(), shared.close()]);
    },
  },
  {
    name: "trap_knows_the_tenants_again",
    run: each(async (t, mode) => {
      const it = new World({ of: SharedPool, mode, max: 3 });
      const [capped, other] = [it.pool.tenant({ max: 2 }), it.pool.tenant({ weight: 3 })];
      const gone = it.pool.tenant();
      const first = await it.pool.acquire({ tenant: capped });
      (await it.pool.acquire({ tenant: capped })).release();
      (await it.pool.acquire({ tenant: other })).release();
      const told = capped.stats();
      t.equal([told.acquired, told.released, told.inUse], [2, 1, 1]);
      // Nobody was told of this one.
      const second = await it.pool.acquire({ tenant: capped });
      const closed = await it.pool.acquire({ tenant: gone });
      gone.close();
      const waiting = t.rejects(it.pool.acquire({ tenant: capped }), { code: "core_reset" });
      await it.clock.advance(100);
      await trap(t, it.pool);
      await waiting;
      const stats = capped.stats();
      t.equal([stats.acquired, stats.released, stats.inUse], [3, 1, 2], "nothing went back");
      t.equal([stats.lastActive, stats.openedAt], [told.lastActive, told.openedAt],
        "that it is known again is no call of its");
      t.equal([other.stats().acquired, gone.stats().acquired], [0, 1], "as it was told last");
      t.equal(it.pool.stats().restarts, 1);
      closed.release();
      t.equal(it.pool.tryAcquire(capped), undefined, "its max holds for what was lent before");
      t.equal(first.release(), true);
      const again = it.pool.tryAcquire(capped);
      t.equal([capped.stats().inUse, capped.stats().acquired], [2, 4]);
      await trap(t, it.pool, () => capped.setShare({ max: 1 }));
      t.equal([capped.share.max, capped.stats().inUse, capped.stats().acquired], [1, 2, 4]);
      again.release();
      second.release();
      t.equal([capped.stats().released, capped.stats().inUse], [4, 0]);
      // Their weights hold too.
      const all = await it.leases(3);
      const order = [];
      for (const [tenant, name] of [[capped, "capped"], [other, "other"]]) {
        for (let i = 0; i < 8; i += 1) void it.pool.use(() => order.push(name), { tenant });
      }
      await settle();
      all[0].release();
      while (order.length < 16) await settle();
      const early = order.slice(0, 8).filter((name) => name === "other").length;
      t.ok(early >= 5, `three of the one for one of the other: ${order}`);
      all.slice(1).forEach((lease) => lease.release());
      for (const [tenant, call] of [
        [capped, () => capped.endWaits()], [other, () => other.close()],
        [undefined, () => it.pool.tenant()],
      ]) {
        await trap(t, it.pool, call);
        t.equal(tenant?.isClosed ?? false, tenant === other, "it is done in the next module");
      }
      await it.assertUsable();
      await it.assertCloses();
      t.equal([capped.stats().inUse, other.stats().inUse], [0, 0]);
    }),
  },
  {
    name: "tenants_that_are_closed_leave_nothing",
    async run(t) {
      const it = new World({ of: SharedPool });
      await it.warm(1);
      const turn = (count) => {
        for (let at = 0; at < count; at += 1) {
          const tenant = it.pool.tenant({ maxWaiting: 3 });
          it.pool.tryAcquire(tenant).release();
          tenant.close();
        }
      };
      turn(1_000);
      const size = memoryOfTenants.buffer.byteLength;
      turn(20_000);
      t.equal(memoryOfTenants.buffer.byteLength, size, "in the module");
      const before = opened;
      await trap(t, it.pool);
      t.ok(opened - before < 20_000, "nor are they opened in the next one");
      await it.assertUsable();
      await it.assertCloses();
    },
  },
  {
    name: "trap_keeps_how_long_a_lease_lives",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 2, leaseTtl: 1_000 });
      const [long, short] = await it.leases(2);
      t.ok(long.renew(60_000) && short.renew(100));
      await trap(t, it.pool);
      await it.clock.advance(200);
      t.equal(it.pool.stats().expired, 1, "the one that was to live for less than leaseTtl");
      await it.clock.advance(20_000);
      t.equal([it.pool.stats().expired, long.release(), short.release()], [1, true, false]);
    }),
  },
  {
    name: "trap_keeps_what_was_invalidated_while_it_was_made",
    run: each(async (t, mode) => {
      let left = 1;
      const observer = ({ type }) => {
        if (type !== "leaves" || left === 0) return;
        left -= 1;
        breakCore();
      };
      const it = new World({ mode, max: 2, observer });
      await it.warm(1);
      it.plans.create.push((make) => it.after(50, make));
      const warm = t.rejects(it.pool.warmUp(2), { code: "core_reset" });
      // It traps when the one that is idle leaves, before the creation is given up.
      it.pool.invalidate();
      await it.clock.advance(50);
      t.equal([left, it.pool.stats().restarts, it.live], [0, 1, 0], "both are closed");
      t.equal((await it.pool.acquire()).value.id, 3);
      await warm.catch(() => undefined);
    }),
  },
  {
    name: "trap_rejects_the_acquire_of_a_tenant",
    run: each(async (t, mode) => {
      const it = new TenantWorld({ mode, idleTimeout: 1_000 });
      await it.visit("a");
      const first = await it.tenants.acquire("a");
      breakCore();
      const asked = it.tenants.acquire("a");
      await t.rejects(asked, { code: "core_reset" });
      first.release();
      await it.visit("a");
      await it.assertCloses();
    }),
  },
  {
    name: "trap_after_trap_loses_no_lease",
    run: each(async (t, mode) => {
      let left = 2;
      const observer = ({ type }) => {
        if (type !== "restarted" || left === 0) return;
        left -= 1;
        breakCore();
      };
      const it = new World({ mode, observer });
      for (const end of [(lease) => lease.renew(5_000), (lease) => lease.release()]) {
        const lease = await it.pool.acquire();
        left = 2;
        breakCore();
        t.equal([end(lease), left], [true, 0], "it is done in the module after those that failed");
        lease.release();
      }
      await it.assertUsable();
      await it.assertCloses();
    }),
  },
  {
    name: "trap_loses_nothing_that_came_back_without_a_word",
    run: each(async (t, mode) => {
      for (const options of [{}, { idleTimeout: 60_000 }]) {
        const it = new World({ mode, max: 4, ...options });
        const leases = await it.leases(4);
        leases.slice(1).forEach((lease) => lease.release());
        const [held, again] = [leases[0], it.pool.tryAcquire()];
        await trap(t, it.pool);
        t.equal(leases.map((lease) => lease.release()), [true, false, false, false]);
        t.equal([it.pool.stats().idle, again.release(), held.release()], [3, true, false]);
        await it.assertUsable();
        await it.assertCloses();
      }
    }),
  },
  {
    name: "trap_in_a_close_that_is_forced_revokes_all",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 3 });
      const leases = await it.leases(3);
      const closing = it.pool.close({ deadline: 10, force: true });
      await settle();
      const isReplaced = breakCore();
      await it.clock.advance(1_000);
      t.ok(isReplaced(), "there is another instance");
      await closing;
      await it.clock.advance(60_000);
      t.equal([it.closed.length, it.live, it.pool.stats().size], [3, 0, 0], "all are closed");
      t.equal(leases.map((lease) => lease.release()), [false, false, false]);
    }),
  },
  {
    name: "trap_recovers",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 3 });
      const { pool } = it;
      const [first, second] = await it.leases(2);
      const third = await pool.acquire();
      third.release();
      const idle = pool.stats().idle;
      t.equal([idle, pool.stats().restarts], [1, 0]);
      const other = new World({ mode });
      const held = await other.pool.acquire();
      const waiting = [other.pool.acquire(), other.pool.acquire()];
      const rejected = waiting.map((promise) => t.rejects(promise, { code: "core_reset" }));
      await trap(t, pool);
      for (const error of await Promise.all(rejected)) {
        t.ok(error instanceof CoreResetError && error instanceof PoolError, "a CoreResetError");
        t.ok(error.cause !== undefined, "its cause is the trap");
      }
      for (const one of [it, other]) t.equal(one.pool.stats().restarts, 1, "restarts");
      t.adds(pool.stats());
      t.adds(other.pool.stats());
      t.equal([pool.stats().inUse, pool.stats().size], [2, pool.stats().idle + 2]);

      // Leases stay good, and what they hold is theirs alone.
      const next = await pool.acquire();
      t.equal(new Set([first, second, next].map(({ value }) => value)).size, 3);
      const more = pool.acquire();
      t.equal(await state(more), "pending", "max holds");
      t.equal([first.release(), first.release()], [true, false]);
      t.ok((await more).value === first.value, "who waits is served again");
      t.ok(second.info.id >= 1, "it is known which it is");
      t.equal(it.take(second).id, 2);
      t.equal(held.release(), true);
      t.ok((await other.pool.acquire()).value === held.value);
      next.discard();
      (await pool.acquire()).release();
      t.ok(it.peak <= 3, `there were ${it.peak} resources at once`);
      t.adds(pool.stats());
    }),
  },
  {
    name: "trap_keeps_in_which_part_of_its_life_a_pool_is",
    run: each(async (t, mode) => {
      const [first, emptied] = [new World({ mode }), new World({ mode })];
      first.plans.create.push((make) => first.after(5, make));
      const made = first.pool.acquire().catch(({ code }) => code);
      (await emptied.pool.acquire()).discard();
      await settle();
      t.equal([first.pool.state, emptied.pool.state], ["warming-up", "ready"]);
      await trap(t, first.pool);
      t.equal([first.pool.state, emptied.pool.state], ["warming-up", "ready"]);
      t.equal(await made, "core_reset");
      await first.clock.advance(5);
      t.equal(first.pool.state, "ready", "what was under way is there");
    }),
  },
  {
    name: "trap_in_each_call_loses_no_place",
    run: each(async (t, mode) => {
      const calls = {
        acquire: async (it) => void (await it.pool.acquire()).release(),
        tryAcquire: (it) => void it.pool.tryAcquire()?.release(),
        use: (it) => it.pool.use(() => 1),
        acquireMany: async (it) => (await it.pool.acquireMany(1)).forEach((one) => one.release()),
        release: (it, lease) => lease.release(),
        discard: (it, lease) => lease.discard(),
        take: (it, lease) => it.take(lease),
        renew: (it, lease) => lease.renew(1_000),
        info: (it, lease) => lease.info,
        stats: (it) => it.pool.stats(),
        holders: (it) => it.pool.holders(),
        tick: (it) => it.pool.tick(),
        nextDeadline: (it) => it.pool.nextDeadline(),
        resize: (it) => it.pool.resize(3),
        setMinIdle: (it) => it.pool.setMinIdle(0),
        pause: (it) => it.pool.pause(),
        invalidate: (it) => it.pool.invalidate(),
        retain: (it) => it.pool.retain(() => true),
        warmUp: (it) => it.pool.warmUp(2),
      };
      for (const [name, call] of Object.entries(calls)) {
        const it = new World({ mode, max: 2, resets: true });
        const lease = await it.pool.acquire();
        try {
          await trap(t, it.pool, () => call(it, lease));
          it.pool.resume();
          const ended = ["release", "discard", "take"].includes(name);
          // Who was told of the trap may try again; in any case the place is not lost.
          if (ended) lease.release();
          else t.ok(lease.release(), "the lease has stayed good");
          await settle();
          t.equal(it.pool.stats().inUse, 0, "leases that are out");
          await it.assertUsable();
          await it.assertCloses();
          t.ok(it.peak <= it.pool.stats().max, `there were ${it.peak} at once`);
        } catch (error) {
          throw new Error(`in ${name}: ${error.message}\n${error.stack}`, { cause: error });
        }
      }
    }),
  },
  {
    name: "trap_as_a_lease_goes_to_the_next_loses_no_place",
    run: each(async (t, mode) => {
      const it = new World({ mode });
      const held = await it.pool.acquire();
      const waiting = t.rejects(it.pool.acquire(), { code: "core_reset" });
      await trap(t, it.pool, () => t.equal(held.release(), true));
      await waiting;
      t.equal(held.release(), false, "it has come back");
      t.equal(it.pool.stats().inUse, 0, "leases that are out");
      t.equal(it.made.length, 1, "resources that were made");
      await it.assertUsable();
      await it.assertCloses();
    }),
  },
  {
    name: "trap_counts_what_was_under_way",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 4, resets: true, checks: true, checkAfter: 0 });
      await it.warm(3);
      const slow = () => it.after(50);
      const [one, two, three] = await it.leases(3);
      it.plans.close.push(slow);
      one.discard();
      it.plans.reset.push(slow);
      two.release();
      three.release();
      it.plans.check.push(slow);
      it.plans.create.push((make) => it.after(50, make));
      // For the one that is checked, the one that is reset, and one that is made.
      const rejected = [1, 2, 3].map(() => t.rejects(it.pool.acquire(), { code: "core_reset" }));
      await settle();
      const before = it.pool.stats();
      const jobs = ["creating", "checking", "resetting", "closing"];
      t.equal(jobs.map((name) => before[name]), [1, 1, 1, 1], `${jobs}`);
      await trap(t, it.pool);
      await Promise.all(rejected);
      t.equal(it.pool.stats().size, 4, "all four have their places");
      const waiting = Array.from({ length: 4 }, () => it.pool.acquire());
      await settle();
      t.ok(it.live + it.pool.stats().creating <= 4, "max holds while they go on");
      await it.clock.advance(50);
      const leases = await Promise.all(waiting);
      t.equal(new Set(leases.map(({ value }) => value)).size, 4);
      t.ok(it.peak <= 4, `there were ${it.peak} resources at once`);
      leases.forEach((lease) => lease.release());
      await it.assertUsable();
      await it.assertCloses();
    }),
  },
  {
    name: "trap_while_several_are_gathered_or_made_ahead",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 4 });
      const events = it.pool.events();
      const held = await it.pool.acquire();
      const many = t.rejects(it.pool.acquireMany(4), { code: "core_reset" });
      await settle();
      await trap(t, it.pool);
      await many;
      const again = it.pool.acquireMany(4);
      t.equal(await state(again), "pending", "one of four is out");
      t.equal(held.release(), true);
      const leases = await again;
      t.equal(new Set(leases.map(({ value }) => value)).size, 4);
      leases.forEach((lease) => lease.release());

      const ahead = new World({ mode, max: 4 });
      ahead.always.create = (make) => ahead.after(50, make);
      const warmed = ahead.pool.warmUp(4, { parallel: 2 }).catch((error) => error);
      await trap(t, ahead.pool);
      await ahead.clock.advance(200);
      t.ok((await state(warmed)) === "fulfilled", "who made them ahead is told how it ended");
      ahead.always.create = (make) => make();
      t.ok(ahead.peak <= 4, `there were ${ahead.peak} at once`);
      for (const one of [it, ahead]) {
        await one.assertUsable();
        await one.assertCloses();
      }
      const types = [];
      for await (const { type } of events) types.push(type);
      t.ok(types.includes("restarted") && types.includes("leaves"), `readers go on: ${types}`);
    }),
  },
  {
    name: "trap_from_within_a_callback_is_recovered_from",
    run: each(async (t, mode) => {
      for (const kind of ["create", "check", "reset", "close", "observer"]) {
        let armed = false;
        const strike = () => {
          if (!armed) return;
          armed = false;
          breakCore();
        };
        const observer = () => {
          if (kind === "observer") strike();
        };
        const it = new World({ mode, max: 2, checks: true, checkAfter: 0, resets: true, observer });
        await it.warm(1);
        for (const [name, act] of Object.entries(it.always)) {
          if (name !== kind) continue;
          it.always[name] = (...args) => {
            strike();
            return act(...args);
          };
        }
        armed = true;
        for (let round = 0; round < 3; round += 1) {
          const lease = await it.pool.acquire().catch((error) => {
            t.equal(error.code, "core_reset", `${error.stack}`);
          });
          if (round > 0) lease?.discard();
          else lease?.release();
          await it.clock.advance(10);
        }
        t.equal(armed, false, `${kind} was called`);
        t.ok(it.pool.stats().restarts >= 1, `it was met, after ${kind}`);
        await it.assertUsable();
        await it.assertCloses();
        t.ok(it.peak <= 2, `there were ${it.peak} at once, after ${kind}`);
      }
    }),
  },
  {
    name: "trap_keeps_what_an_operator_has_set",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 5 });
      it.pool.resize(2);
      it.pool.setMinIdle(1);
      it.pool.pause();
      await trap(t, it.pool);
      t.equal([it.pool.stats().max, it.pool.isPaused], [2, true]);
      const waiting = it.pool.acquire();
      t.equal(await state(waiting), "pending", "it is paused still");
      it.pool.resume();
      (await waiting).release();
      it.pool.tick();
      t.ok(it.pool.stats().idle >= 1, "min idle is kept");
      await it.assertUsable();
      const closing = new World({ mode });
      const lease = await closing.pool.acquire();
      const closed = closing.pool.close();
      await trap(t, closing.pool);
      t.equal(closing.pool.isClosed, true);
      await t.rejects(closing.pool.acquire(), { code: "pool_closed" });
      t.equal(lease.release(), true);
      t.equal([await closed, closing.closed], [[], [1]]);
    }),
  },
  {
    name: "trap_leaves_no_resource_and_no_lease_for_ever",
    async run(t) {
      const it = new World({ max: 2, maxLifetime: 100_000, lifetimeJitter: 0, maxUses: 3 });
      await it.warm(1);
      await it.clock.advance(60_000);
      await trap(t, it.pool);
      const lease = await it.pool.acquire();
      t.equal(lease.value.id, 1);
      lease.release();
      await it.clock.advance(100_000);
      t.equal(it.closed, [1], "its life ends, counted from the restart at the latest");
      const edge = new World({ mode: "edge", leaseTtl: 300, heartbeat: 100 });
      const lost = await edge.pool.acquire();
      await edge.clock.advance(100);
      await trap(t, edge.pool);
      t.equal(lost.renew(200), true);
      await edge.clock.advance(200);
      t.equal(edge.pool.stats().expired, 1);
      t.equal([lost.release(), edge.closed], [false, [1]]);
    },
  },
  {
    name: "trap_is_told_as_an_event",
    run: each(async (t, mode) => {
      const events = [];
      const it = new World({ mode, observer: (event) => void events.push(event) });
      const lease = await it.pool.acquire();
      const waiting = t.rejects(it.pool.acquire(), { code: "core_reset" });
      await trap(t, it.pool);
      await waiting;
      const told = events.filter(({ type }) => type === "restarted");
      t.equal(told.length, 1, "restarts that were told");
      t.ok(told[0].cause !== undefined, "with what has trapped");
      lease.release();
      await it.assertUsable();
    }),
  },
  {
    name: "trap_after_trap_recovers",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 2 });
      const lease = await it.pool.acquire();
      for (let restarts = 1; restarts <= 20; restarts += 1) {
        await trap(t, it.pool);
        t.equal(it.pool.stats().restarts, restarts);
        (await it.pool.acquire()).release();
      }
      t.equal([lease.release(), it.calls.create], [true, 2]);
      await it.assertUsable();
    }),
  },
  {
    name: "trap_without_memory_for_another_instance_is_recovered_from_later",
    run: each(async (t, mode) => {
      const [it, other] = [new World({ mode, max: 2 }), new World({ mode, max: 1 })];
      const [lease, broken] = await it.leases(2);
      const waiting = it.pool.acquire();
      const held = await other.pool.acquire();
      breakCore();
      await whileFull(async () => {
        await t.rejects(Promise.resolve().then(() => it.pool.tryAcquire()), { code: "core_reset" });
        // No clock runs that would end it.
        await t.rejects(waiting, { code: "core_reset" });
        for (const pool of [it.pool, other.pool, it.pool]) {
          const call = Promise.resolve().then(() => pool.tryAcquire());
          const error = await t.rejects(call, { code: "core_reset" });
          t.ok(error.cause instanceof RangeError, `why there is none: ${error.cause}`);
          t.ok(/is not yet replaced/.test(error.message), error.message);
        }
        const ended = [lease.release(), lease.release(), broken.discard(new Error("damaged"))];
        t.equal(ended, [true, false, true], "what comes back meanwhile is not lost");
        const refused = new Promise((resolve) => resolve(new World({ mode, max: 1 }).pool));
        await t.rejects(refused.then((pool) => pool.acquire()), { code: "core_reset" });
      });
      t.equal([other.pool.stats().inUse, other.pool.tryAcquire()], [1, undefined]);
      t.equal([it.pool.stats().restarts, it.pool.stats().inUse, it.live], [1, 0, 1]);
      held.release();
      await it.assertUsable();
      await other.assertUsable();
    }),
  },
  {
    name: "trap_without_memory_loses_no_job_that_ends_meanwhile",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 2, reset: () => undefined });
      const [lease] = await it.leases(1);
      it.plans.create.push((make) => it.after(50, make));
      const warm = it.pool.warmUp(2).catch((error) => error.code);
      await settle();
      breakCore();
      await whileFull(async () => {
        // It is not to be lent again, as nobody could hear of its reset.
        t.ok(lease.release());
        await it.clock.advance(50);
        t.equal([it.calls.create, it.live], [2, 2], "another was made in the meantime");
      });
      t.equal(it.pool.stats().restarts, 1, "the next call makes another instance");
      await settle();
      await warm;
      const { inUse, idle, size } = it.pool.stats();
      t.equal([inUse, idle, size, it.live], [0, 1, 1, 1], "what was lent is closed");
      await it.assertUsable();
      await it.assertCloses();
      t.equal(it.live, 0);
    }),
  },
];
