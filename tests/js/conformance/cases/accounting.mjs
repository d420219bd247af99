// Accounting, and changes of size.
import { each, random, settle, state } from "../lib/harness.mjs";
import { World, fails } from "../lib/world.mjs";

/** Does random things to a pool, and checks its sums after each. */
async function schedule(t, seed, mode) {
  const next = random(seed);
  const below = (n) => Math.floor(next() * n);
  const it = new World({
    mode, max: 1 + below(3), maxWaiting: 5, acquireTimeout: 40, leaseTtl: 100, minIdle: below(2),
    checks: true, checkAfter: 20, resets: true, maxLifetime: 400, maxUses: 5,
  });
  it.always.create = (make) => (below(4) > 0 ? make() : it.after(below(30), make));
  it.always.check = () => below(5) > 0;
  it.always.reset = () => (below(8) > 0 ? undefined : it.after(below(20)));
  const [held, waiting] = [[], []];
  const pick = (list) => list.splice(below(list.length), 1)[0];
  const acts = [
    [0.4, () => waiting.push(ask(it, held))],
    [0.6, () => pick(held)?.release()],
    [0.7, () => pick(held)?.discard()],
    [0.75, () => take(t, it, pick(held))],
    [0.85, () => pick(waiting)?.abort()],
    [0.95, () => it.clock.advance(below(30))],
    [1, () => settle()],
  ];
  for (let step = 0; step < 60; step += 1) {
    const what = next();
    await acts.find(([up]) => what < up)[1]();
    t.adds(it.pool.stats());
  }
  await it.clock.advance(1_000);
  held.forEach((lease) => lease.release());
  await it.assertCloses();
}

/** Acquires, and keeps the lease among those held; returns what gives the wait up. */
function ask(it, held) {
  const stop = new AbortController();
  it.pool.acquire({ signal: stop.signal }).then((lease) => held.push(lease), () => undefined);
  return stop;
}

function take(t, it, lease) {
  try {
    if (lease !== undefined) it.take(lease);
  } catch (error) {
    it.taken -= 1;
    t.equal(error.code, "lease_ended");
  }
}

/** From a fill level to a size: exactly so many can be had, now or as leases come back. */
async function resizeFrom(t, mode, { max, out, idle, to }) {
  const what = `from ${max}, ${out} out and ${idle} idle, to ${to}`;
  const it = new World({ mode, max });
  const all = await it.leases(out + idle);
  const held = all.slice(0, out);
  all.slice(out).forEach((lease) => lease.release());
  it.pool.resize(to);
  const { inUse, idle: left } = it.pool.stats();
  t.equal([inUse, left], [out, Math.min(idle, Math.max(to - out, 0))], `in use and idle, ${what}`);
  t.adds(it.pool.stats(), Math.max(to, out));
  const now = Math.max(to - out, 0);
  const leases = await it.leases(now);
  const stop = new AbortController();
  const more = it.pool.acquire({ signal: stop.signal });
  t.equal(await state(more), "pending", `no more can be had now, ${what}`);
  stop.abort();
  await t.rejects(more);
  [...leases, ...held].forEach((lease) => t.ok(lease.release(), `leases stay good, ${what}`));
  await it.assertUsable();
  t.equal(it.pool.stats().max, to);
}

export default [
  {
    name: "stats_add_up",
    run: each(async (t, mode) => {
      for (let seed = 1; seed <= 100; seed += 1) {
        try {
          await schedule(t, seed, mode);
        } catch (error) {
          throw new Error(`seed ${seed}: ${error.message}`, { cause: error });
        }
      }
    }),
  },
  {
    name: "stats_count_each_outcome",
    run: each(async (t, mode) => {
      const it = new World({ mode, maxWaiting: 2, acquireTimeout: 10 });
      const { pool, clock } = it;
      it.plans.create.push(fails("no"));
      await t.rejects(pool.acquire());
      await it.warm(1);
      const { direct, waited } = pool.stats();
      t.equal(direct + waited, 1);
      (await pool.acquire()).release();
      const lease = pool.tryAcquire();
      t.equal(pool.tryAcquire(), undefined, "it counts only if it succeeds");
      const stop = new AbortController();
      const served = pool.acquire();
      const cancelled = pool.acquire({ signal: stop.signal });
      await t.rejects(pool.acquire(), { code: "queue_full" });
      stop.abort(new Error("gone"));
      await t.rejects(cancelled);
      lease.release();
      const last = await served;
      const late = t.rejects(pool.acquire(), { code: "acquire_timeout" });
      await clock.advance(10);
      await late;
      const closed = t.rejects(pool.acquire(), { code: "pool_closed" });
      void pool.close();
      await closed;
      last.release();
      await settle();
      const stats = pool.stats();
      t.adds(stats);
      const told = "direct waited timedOut cancelled failed refused closed".split(" ");
      const counts = told.map((name) => stats[name]);
      t.equal(counts, [direct + 2, waited + 1, 1, 1, 1, 1, 1], `${told}`);
      const gauges = "size creating idle checking offered inUse resetting retired closing waiting "
        + "pending";
      t.equal(gauges.split(" ").filter((name) => stats[name] !== 0), [], "gauges that are not 0");
    }),
  },
  {
    name: "stats_tell_shares_and_times",
    run: each(async (t, mode) => {
      const { pool, clock } = new World({ mode, max: 2, holdTimes: true });
      t.equal([pool.stats().hitRate, pool.stats().utilisation], [undefined, 0], "before any");
      await pool.warmUp(2);
      const [lease, other] = [await pool.acquire(), await pool.acquire()];
      t.equal(pool.stats().utilisation, 1);
      const waiting = pool.acquire();
      await clock.advance(40);
      lease.release();
      (await waiting).release();
      pool.tryAcquire().release();
      other.release();
      const { waits, holds, utilisation, hitRate } = pool.stats();
      t.equal([waits.count, waits.mean, waits.max], [1, 40, 40], "waits");
      t.equal([holds.count, holds.mean, holds.max], [4, 20, 40], "holds");
      t.ok(waits.p50 >= 38 && waits.p99 <= 42, `p50 ${waits.p50}, p99 ${waits.p99} of a 40`);
      t.equal([utilisation, hitRate], [0, 0.75]);
    }),
  },
  {
    name: "stats_keep_no_times_that_are_not_wanted",
    async run(t) {
      const { pool, clock } = new World({ waitTimes: false, slowAcquire: Infinity });
      const lease = await pool.acquire();
      const waiting = pool.acquire();
      await clock.advance(40);
      lease.release();
      (await waiting).release();
      const { waits, holds } = pool.stats();
      t.equal([waits.count, holds.count], [0, 0]);
    },
  },
  {
    name: "double_release",
    run: each(async (t, mode) => {
      const { pool } = new World({ mode });
      const first = await pool.acquire();
      t.equal(first.release(), true);
      t.equal(first.release(), false);
      const second = await pool.acquire();
      t.equal(first.release(), false, "another holds it now");
      t.equal(first.discard(), false);
      t.equal([pool.stats().inUse, pool.stats().stale], [1, 3]);
      t.ok(second.release());
    }),
  },
  {
    name: "stale_release",
    run: each(async (t, mode) => {
      const { pool, closed } = new World({ mode });
      const lost = await pool.acquire();
      lost.discard();
      const next = await pool.acquire();
      t.equal(lost.slot, next.slot, "the place is used again");
      t.equal([lost.release(), lost.renew()], [false, false]);
      await t.rejects((async () => lost.take())(), { code: "lease_ended" });
      t.equal(closed, [1]);
      t.equal([pool.stats().inUse, next.value.id], [1, 2]);
      t.ok(next.release(), "its holder can still release it");
    }),
  },
  {
    name: "taken_connection_frees_its_place",
    run: each(async (t, mode) => {
      const it = new World({ mode });
      const lease = await it.pool.acquire();
      const waiting = it.pool.acquire();
      t.equal(it.take(lease).id, 1);
      const served = await waiting;
      t.equal(served.value.id, 2);
      t.equal([it.pool.stats().size, it.pool.stats().inUse], [1, 1]);
      served.release();
      t.equal(it.closed, [], "closing what was taken is up to its taker");
      await it.assertCloses();
    }),
  },
  {
    name: "destroy_called_once_for_each_created",
    run: each(async (t, mode) => {
      const it = new World({
        mode, max: 3, maxUses: 20, maxLifetime: 600_000, idleTimeout: 300_000, checks: true,
        checkAfter: 1_000, resets: true, createTimeout: 10, leaseTtl: Infinity,
      });
      const { pool, clock, plans } = it;
      let gone = 0;
      const left = async (how) => {
        await settle();
        t.equal(it.made.length - it.live, ++gone, `those that left, after ${how}`);
      };
      const use = async () => void (await pool.acquire()).release();
      (await pool.acquire()).discard();
      await left("a discard");
      it.take(await pool.acquire());
      await left("a take");
      plans.reset.push(fails("no"));
      await use();
      await left("a failed reset");
      await use();
      await clock.advance(2_000);
      plans.check.push(() => false);
      const checked = await pool.acquire();
      await left("a failed check");
      pool.invalidate();
      checked.release();
      await left("an invalidation");
      await use();
      t.equal(pool.retain(() => false), 1);
      await left("a retain");
      await use();
      await clock.advance(300_000);
      t.equal(pool.stats().retiredIdle, 1);
      await left("the idle timeout");
      const old = await pool.acquire();
      await clock.advance(600_000);
      old.release();
      await left("the end of its life");
      for (let i = 0; i < 20; i += 1) await use();
      await left("as many uses as it may have");
      await it.warm(2);
      pool.resize(1);
      await left("a resize");
      plans.create.push((make) => it.after(20, make));
      (await pool.acquire()).discard();
      await left("another discard");
      const late = t.rejects(pool.acquire(), { code: "create_timeout" });
      await clock.advance(20);
      await late;
      await left("a creation that came too late");
      await it.assertCloses();
    }),
  },
  {
    name: "an_expired_lease_has_its_resource_closed_once",
    async run(t) {
      const it = new World({ mode: "edge", leaseTtl: 300, heartbeat: 100 });
      const lease = await it.pool.acquire();
      await it.clock.advance(300);
      it.pool.tick();
      t.equal([lease.release(), lease.discard(), it.closed], [false, false, [1]]);
      await it.assertUsable();
      await it.assertCloses();
    },
  },
  {
    name: "destroying_counts_or_does_not",
    run: each(async (t, mode) => {
      const it = new World({ mode });
      it.plans.close.push(() => it.after(20));
      (await it.pool.acquire()).discard();
      const { closing, size, max } = it.pool.stats();
      t.equal([closing, size, max], [1, 1, 1]);
      const waiting = it.pool.acquire();
      t.equal(await state(waiting), "pending", "what is being closed has its place");
      t.equal(it.calls.create, 1, "there is no room yet");
      await it.clock.advance(20);
      t.equal((await waiting).value.id, 2);
    }),
  },
  {
    name: "created_at_survives_a_return",
    run: each(async (t, mode) => {
      const it = new World({ mode, maxLifetime: 100_000, lifetimeJitter: 0 });
      const born = it.clock.now();
      for (let second = 0; second < 100; second += 1) {
        const lease = await it.pool.acquire();
        const { id, createdAt, uses } = lease.info;
        t.equal([id, createdAt, uses], [1, born, second + 1]);
        lease.release();
        await it.clock.advance(1_000);
      }
      t.equal((await it.pool.acquire()).value.id, 2, "at 100 s it is too old");
    }),
  },
  {
    name: "resize_at_every_fill_level",
    run: each(async (t, mode) => {
      const most = 4;
      for (let max = 1; max <= most; max += 1) {
        for (let out = 0; out <= max; out += 1) {
          for (let idle = 0; idle <= max - out; idle += 1) {
            for (let to = 1; to <= most; to += 1) {
              await resizeFrom(t, mode, { max, out, idle, to });
            }
          }
        }
      }
    }),
  },
  {
    name: "random_resizes_under_load",
    run: each(async (t, mode) => {
      for (let seed = 1; seed <= 10; seed += 1) {
        const next = random(seed);
        const below = (n) => Math.floor(next() * n);
        const it = new World({ mode, max: 4, acquireTimeout: 200 });
        it.always.create = (make) => it.after(below(5), next() < 0.1 ? fails("no") : make);
        const callers = Array.from({ length: 16 }, async () => {
          for (let round = 0; round < 20; round += 1) {
            const lease = await it.pool.acquire().catch(() => undefined);
            await it.after(below(3));
            if (next() < 0.2) lease?.discard();
            else lease?.release();
          }
        });
        let before = 4;
        for (let round = 0; round < 100; round += 1) {
          it.pool.resize(1 + below(8));
          await it.clock.advance(below(3));
          const stats = it.pool.stats();
          t.adds(stats, Math.max(before, 8));
          before = Math.max(stats.size, stats.max);
        }
        await it.clock.advance(60_000);
        await Promise.all(callers);
        it.always.create = (make) => make();
        await it.assertUsable();
        await it.assertCloses();
      }
    }),
  },
];
