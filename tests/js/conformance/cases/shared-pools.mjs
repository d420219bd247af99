// Tenants that share one pool: who is served next, how much each may have, and who is let in.
import { AcquireTimeoutError, Pool, PoolError, QueueFullError, TooManyError } from "edgepool";
import { PoolTenant, SharedPool } from "edgepool/tenants";
import { each as eachOf, settle, state } from "../lib/harness.mjs";
import { World, fails } from "../lib/world.mjs";

const MODES = ["process", "edge", "durable-object"];
const each = (run) => eachOf(run, MODES);

/** A pool with tenants of these shares, and who was served by it, in order. */
class Shared extends World {
  served = [];

  constructor(shares, options) {
    super({ of: SharedPool, ...options });
    this.tenants = shares.map((share) => this.pool.tenant(share));
  }

  /** Has so many callers of a tenant, or of nobody, wait; each gives back what it gets by `next`. */
  queue(tenant, count) {
    for (let i = 0; i < count; i += 1) {
      this.pool.acquire({ tenant }).then((lease) => {
        this.served.push(this.tenants.indexOf(tenant));
        this.last = lease;
      }, () => undefined);
    }
  }

  /** Gives back what was lent last, so often, and tells whom it went to. */
  async serve(lease, rounds) {
    this.last = lease;
    this.served = [];
    for (let i = 0; i < rounds; i += 1) {
      const { last } = this;
      last.release();
      await settle();
    }
    return this.served;
  }

  /** Fails unless every lease of every tenant is accounted for. */
  assertCounts(t) {
    for (const tenant of this.tenants) {
      const { acquired, released, inUse } = tenant.stats();
      t.equal(acquired - released, inUse, "what was lent is back or out");
    }
  }
}

const count = (all, one) => all.filter((each) => each === one).length;

export default [
  {
    name: "tenants_are_served_in_the_proportion_of_their_weights",
    run: each(async (t, mode) => {
      const it = new Shared([{ weight: 1 }, { weight: 3 }], { mode });
      const [light, heavy] = it.tenants;
      const held = await it.pool.acquire();
      it.queue(light, 30);
      it.queue(heavy, 30);
      const served = await it.serve(held, 24);
      t.equal([count(served, 0), count(served, 1)], [6, 18], `${served}`);
      heavy.setShare({ weight: 1 });
      const later = await it.serve(it.last, 8);
      t.ok(Math.abs(count(later, 0) - 4) <= 1, `as many of each then: ${later}`);
    }),
  },
  {
    name: "a_loud_tenant_does_not_keep_another_waiting",
    run: each(async (t, mode) => {
      const it = new Shared([{}, {}], { mode, maxWaiting: 50 });
      const [loud, quiet] = it.tenants;
      const held = await it.pool.acquire({ tenant: loud });
      it.queue(loud, 50);
      await settle();
      t.equal(it.pool.stats().waiting, 50, "the queue is full");
      const refused = await t.rejects(it.pool.acquire({ tenant: loud }), { code: "queue_full" });
      t.equal([refused instanceof QueueFullError, refused.maxWaiting], [true, 50]);
      it.queue(quiet, 2);
      it.queue(undefined, 1);
      const served = await it.serve(held, 6);
      t.ok(served.indexOf(1) <= 2 && count(served, 1) === 2, `it is let in, and served: ${served}`);
      t.ok(served.includes(-1), `and so is nobody's caller: ${served}`);
    }),
  },
  {
    name: "a_tenant_has_no_more_than_its_max",
    run: each(async (t, mode) => {
      const it = new Shared([{ max: 2 }, {}], { mode, max: 4 });
      const [capped, other] = it.tenants;
      const held = await Promise.all([1, 2].map(() => it.pool.acquire({ tenant: capped })));
      const third = it.pool.acquire({ tenant: capped, timeout: 1_000 });
      t.equal(await state(third), "pending", "a place is free, and not for it");
      t.equal(it.pool.tryAcquire(capped), undefined);
      t.equal([capped.stats().inUse, capped.stats().waiting, it.pool.stats().size], [2, 1, 2]);
      const lease = await it.pool.acquire({ tenant: other });
      t.equal(await state(third), "pending", "another is served before it");
      lease.release();
      await settle();
      t.equal([await state(third), it.pool.stats().idle], ["pending", 1], "beside an idle one");
      const spare = it.pool.tryAcquire(other);
      t.ok(spare?.release(), "which anybody else may have");
      held[0].release();
      (await third).release();
      t.equal(capped.stats().inUse, 1, "it is served as soon as it has less");
      held[1].release();
      await settle();
      it.assertCounts(t);
      await it.assertUsable();
      await it.assertCloses();
    }),
  },
  {
    name: "what_a_tenant_does_not_use_others_may",
    run: each(async (t, mode) => {
      const it = new Shared([{}, { weight: 5 }], { mode, max: 3 });
      const [first, second] = it.tenants;
      const all = await Promise.all([1, 2, 3].map(() => it.pool.acquire({ tenant: first })));
      t.equal(first.stats().inUse, 3, "it has all of them");
      it.queue(first, 3);
      await settle();
      it.queue(second, 3);
      for (const lease of all) lease.release();
      await settle();
      t.ok(count(it.served, 1) >= 2, `the other has its share of the next: ${it.served}`);
    }),
  },
  {
    name: "a_tenant_has_a_queue_of_its_own_length",
    run: each(async (t, mode) => {
      const it = new Shared([{ maxWaiting: 1 }, {}], { mode });
      const [few, many] = it.tenants;
      const held = await it.pool.acquire();
      it.queue(few, 1);
      await settle();
      const error = await t.rejects(it.pool.acquire({ tenant: few }), { code: "queue_full" });
      t.ok(error instanceof QueueFullError && error.maxWaiting === 1, `${error}`);
      t.ok(/the tenant's queue is full: 1 callers wait/.test(error.message), error.message);
      it.queue(many, 2);
      const served = await it.serve(held, 3);
      t.equal([count(served, 0), count(served, 1), few.stats().refused], [1, 2, 1], `${served}`);
    }),
  },
  {
    name: "a_tenant_that_is_closed_ends_its_waits_and_keeps_its_leases",
    run: each(async (t, mode) => {
      const it = new Shared([{ weight: 2 }, {}], { mode, max: 2 });
      const [gone, stays] = it.tenants;
      const held = await it.pool.acquire({ tenant: gone });
      const other = await it.pool.acquire({ tenant: stays });
      const waiting = [1, 2].map(() =>
        t.rejects(it.pool.acquire({ tenant: gone }), { code: "tenant_removed" }));
      const waits = it.pool.acquire({ tenant: stays });
      gone.endWaits();
      for (const error of await Promise.all(waiting)) t.ok(error instanceof PoolError);
      t.equal([gone.stats().ended, gone.stats().waiting, gone.isClosed], [2, 0, false]);
      const again = t.rejects(it.pool.acquire({ tenant: gone }), { code: "tenant_removed" });
      gone.close();
      gone.close();
      gone.endWaits();
      gone.setShare({ weight: 7 });
      await again;
      t.equal([gone.isClosed, gone.share.weight, gone.stats().ended], [true, 2, 3]);
      const error = await t.rejects(it.pool.acquire({ tenant: gone }), { code: "unknown_tenant" });
      t.ok(error instanceof PoolError && /pool\.tenant\(\)/.test(error.message), error.message);
      t.equal(await state(waits), "pending", "the others wait as before");
      t.ok(held.release(), "its lease is good");
      (await waits).release();
      other.release();
      await settle();
      t.equal(stays.stats().acquired, 2);
      await it.assertUsable();
      await it.assertCloses();
    }),
  },
  {
    name: "a_wait_that_times_out_says_that_its_tenant_has_all_it_may",
    run: each(async (t, mode) => {
      const it = new Shared([{ max: 1 }, {}], { mode, max: 2 });
      const [capped, other] = it.tenants;
      const held = await it.pool.acquire({ tenant: capped });
      const late = t.rejects(it.pool.acquire({ tenant: capped, timeout: 500 }), {
        code: "acquire_timeout", phase: "tenant-at-max",
      });
      await it.clock.advance(600);
      const error = await late;
      t.ok(error instanceof AcquireTimeoutError, `${error}`);
      t.ok(/tenant has 1 of its max of 1/.test(error.message), error.message);
      const second = await it.pool.acquire({ tenant: other });
      const plain = t.rejects(it.pool.acquire({ tenant: other, timeout: 500 }), {
        code: "acquire_timeout", phase: "waiting",
      });
      await it.clock.advance(600);
      await plain;
      t.equal([capped.stats().timedOut, other.stats().timedOut], [1, 1]);
      held.release();
      second.release();
      await settle();
      it.assertCounts(t);
    }),
  },
  {
    name: "a_caller_cannot_need_more_than_its_tenant_may_have",
    run: each(async (t, mode) => {
      const it = new Shared([{ max: 2 }], { mode, max: 4 });
      const [tenant] = it.tenants;
      const many = await t.rejects(it.pool.acquireMany(3, { tenant }), { code: "too_many" });
      t.equal([many instanceof TooManyError, many.max], [true, 2]);
      const two = await it.pool.acquireMany(2, { tenant });
      t.equal([two.length, tenant.stats().inUse], [2, 2]);
      const waiting = t.rejects(it.pool.acquireMany(2, { tenant }), { code: "too_many", max: 1 });
      await settle();
      tenant.setShare({ max: 1 });
      await waiting;
      t.equal([tenant.share.max, tenant.share.weight], [1, 1]);
      two.forEach((lease) => lease.release());
      await settle();
      const [one] = await it.pool.acquireMany(1, { tenant });
      t.equal(tenant.stats().inUse, 1);
      one.release();
      it.assertCounts(t);
      await it.assertCloses();
    }),
  },
  {
    name: "a_tenants_calls_are_counted_once",
    run: each(async (t, mode) => {
      const it = new Shared([{}], { mode });
      const [tenant] = it.tenants;
      await it.clock.advance(100);
      t.equal(await it.pool.use(({ id }) => id, { tenant }), 1);
      for (let i = 0; i < 5; i += 1) (await it.pool.acquire({ tenant })).release();
      t.ok(it.pool.tryAcquire(tenant)?.release());
      t.equal([tenant.stats().acquired, tenant.stats().released], [7, 7]);
      const held = await it.pool.acquire({ tenant });
      const stop = new AbortController();
      const given = t.rejects(it.pool.acquire({ tenant, signal: stop.signal }), { message: "no" });
      const waits = it.pool.acquire({ tenant });
      stop.abort(new Error("no"));
      await given;
      await it.clock.advance(250);
      held.discard();
      const next = await waits;
      it.take(next);
      const stats = tenant.stats();
      t.equal([stats.acquired, stats.released, stats.cancelled], [9, 9, 1]);
      t.ok(stats.totalWait >= 250 && stats.longestWait === stats.totalWait, `${stats.totalWait}`);
      t.ok(stats.openedAt === 1_000 && stats.lastActive >= 1_350, `${stats.lastActive}`);
      it.plans.create.push(fails("no more"));
      await t.rejects(it.pool.acquire({ tenant }), { code: "create_failed" });
      t.equal(tenant.stats().failed, 1);
      t.adds(it.pool.stats());
      await it.assertCloses();
      t.equal([tenant.stats().acquired, tenant.stats().inUse], [9, 0], "it is told after the end");
      await t.rejects(it.pool.acquire({ tenant }), { code: "pool_closed" });
      await t.rejects((async () => it.pool.tenant())(), { code: "pool_closed" });
    }),
  },
  {
    name: "a_tenant_is_active_when_its_callers_come_and_go",
    run: each(async (t, mode) => {
      const it = new Shared([{}], { mode });
      await it.warm(1);
      const [tenant] = it.tenants;
      await it.clock.advance(500);
      const lease = it.pool.tryAcquire(tenant);
      await it.clock.advance(250);
      t.equal(tenant.stats().lastActive, 1_500);
      lease.release();
      await it.clock.advance(250);
      t.equal(tenant.stats().lastActive, 1_750);
    }),
  },
  {
    name: "a_pool_that_closes_opens_no_tenant",
    run: each(async (t, mode) => {
      const it = new Shared([{}], { mode });
      const lease = await it.pool.acquire({ tenant: it.tenants[0] });
      const closing = it.pool.close();
      await t.rejects((async () => it.pool.tenant())(), { code: "pool_closed" });
      lease.release();
      t.equal(await closing, []);
    }),
  },
  {
    name: "what_was_lent_before_there_was_a_tenant_counts_for_none",
    run: each(async (t, mode) => {
      // Warm leases that nobody waits for go round without a word to the module.
      const it = new Shared([], { mode, max: 2 });
      await it.warm(2);
      const early = it.pool.tryAcquire();
      it.pool.tryAcquire().release();
      const tenant = it.pool.tenant({ max: 1 });
      const mine = it.pool.tryAcquire(tenant);
      t.equal([mine.value.id === early.value.id, tenant.stats().inUse], [false, 1]);
      early.release();
      t.equal(it.pool.tryAcquire(tenant), undefined, "one is idle, and it has its max");
      mine.release();
      const again = it.pool.tryAcquire(tenant);
      t.equal([tenant.stats().acquired, tenant.stats().inUse], [2, 1]);
      again.release();
      t.equal(tenant.stats().inUse, 0);
      await it.assertUsable();
    }),
  },
  {
    name: "a_lease_of_a_tenant_that_runs_out_is_not_lent_again",
    run: eachOf(async (t, mode) => {
      const it = new Shared([{ max: 1 }], { mode, max: 2, leaseTtl: 1_000 });
      const [tenant] = it.tenants;
      const lost = await it.pool.acquire({ tenant });
      const next = it.pool.acquire({ tenant });
      await it.clock.advance(500);
      t.equal(await state(next), "pending");
      await it.clock.advance(600);
      t.equal([lost.release(), (await next).value.id], [false, 2], "its place came back");
      t.equal([tenant.stats().inUse, tenant.stats().released], [1, 1]);
    }, ["process", "edge"]),
  },
  {
    name: "what_is_wrong_about_a_tenant_is_told",
    async run(t) {
      const { pool } = new World({ of: SharedPool });
      for (const [share, pattern] of [
        [{ weight: 0 }, /"weight" takes a whole number from 1 to 1000000, got 0/],
        [{ weight: -1 }, /"weight"/], [{ weight: 1.5 }, /"weight"/], [{ weight: 1e7 }, /"weight"/],
        [{ weight: "2" }, /"weight"/], [{ max: 0 }, /"max" takes a whole number from 1/],
        [{ max: -Infinity }, /"max"/], [{ max: NaN }, /"max"/], [{ maxWaiting: -1 }, /"maxWaiting"/],
        [{ maxWait: 1 }, /unknown option "maxWait"; it takes weight, max, maxWaiting/],
        [null, /expected an object/], [7, /expected an object/],
      ]) {
        t.throws(() => pool.tenant(share), pattern);
        const tenant = pool.tenant();
        t.throws(() => tenant.setShare(share), pattern);
        tenant.close();
      }
      const wide = pool.tenant({ max: Infinity, maxWaiting: 0 });
      t.equal([wide.share.max, wide.share.maxWaiting, wide.share.weight], [Infinity, 0, 1]);
      const foreign = new World({ of: SharedPool }).pool.tenant();
      await t.rejects(pool.acquire({ tenant: foreign }), { code: "unknown_tenant" });
      for (const tenant of [null, "", "acme", {}]) {
        const error = await t.rejects(pool.acquire({ tenant }));
        t.ok(error instanceof TypeError && /"tenant" takes/.test(error.message), `${error}`);
        t.throws(() => pool.tryAcquire(tenant), /"tenant" takes/);
      }
      for (const [options, pattern] of [
        [{ tennant: wide }, /it takes signal, timeout, priority, ctx, request, tenant$/],
        [null, /^acquire: expected an object of options, got null/],
      ]) {
        const error = await t.rejects(pool.acquire(options));
        t.ok(error instanceof TypeError && pattern.test(error.message), `${error}`);
      }
      const waits = await t.rejects(pool.use(() => 1, { tenant: foreign }), {
        code: "unknown_tenant",
      });
      t.ok(waits instanceof PoolError && foreign instanceof PoolTenant);
      const plain = new Pool({ create: () => 1 });
      const error = await t.rejects(plain.acquire({ tenant: wide }));
      const says = /unknown option "tenant"; .*, request; SharedPool of edgepool\/tenants takes it/;
      t.ok(error instanceof TypeError && says.test(error.message), `${error}`);
    },
  },
  {
    name: "thousands_of_tenants_share_one_pool",
    async run(t) {
      const it = new World({ of: SharedPool, max: 2, maxWaiting: 20_000 });
      const tenants = Array.from({ length: 5_000 }, () => it.pool.tenant());
      const held = await it.leases(2);
      const order = [];
      tenants.forEach((tenant, at) => {
        void it.pool.use(() => order.push(at), { tenant });
      });
      await settle();
      held.forEach((lease) => lease.release());
      while (order.length < tenants.length) await settle();
      t.equal(new Set(order).size, tenants.length);
      for (const tenant of tenants) tenant.close();
      t.equal(it.pool.stats().direct + it.pool.stats().waited, 5_002);
      await it.assertUsable();
    },
  },
];
