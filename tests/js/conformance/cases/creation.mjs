// Creation: errors, timeouts, and who is served by it.
import { CreateError, Pool } from "edgepool";
import { FakeClock, deferred, settle, state } from "../lib/harness.mjs";

function scripted(options = {}) {
  const clock = new FakeClock();
  const creations = [];
  const closed = [];
  const create = () => {
    const creation = deferred();
    creations.push(creation);
    return creation.promise;
  };
  const close = (resource) => void closed.push(resource);
  const settings = { create, close, max: 1, mode: "process", clock, ...options };
  return { pool: new Pool(settings), clock, creations, closed };
}

export default [
  {
    name: "creation_survives_its_requester",
    async run(t) {
      const { pool, clock, creations } = scripted({ acquireTimeout: 20 });
      const impatient = pool.acquire();
      await clock.advance(20);
      await t.rejects(impatient, { code: "acquire_timeout" });
      await clock.advance(30);
      creations[0].resolve("late");
      await settle();
      t.equal(pool.stats().idle, 1);
      t.equal(pool.tryAcquire().value, "late");
      t.equal(creations.length, 1, "connects");
    },
  },
  {
    name: "served_by_whichever_is_first",
    async run(t) {
      const { pool, creations } = scripted({ max: 2 });
      const first = pool.acquire();
      creations[0].resolve("first");
      const lease = await first;
      const waiting = pool.acquire();
      t.equal(creations.length, 2);
      lease.release();
      t.equal((await waiting).value, "first");
      creations[1].resolve("second");
      await settle();
      t.equal(pool.stats().idle, 1, "the late one is idle");
    },
  },
  {
    name: "creates_never_exceed_need",
    async run(t) {
      const { pool, creations } = scripted({ max: 10 });
      const waiting = [pool.acquire(), pool.acquire(), pool.acquire()];
      t.equal(creations.length, 3);
      creations.forEach((creation, i) => creation.resolve(`r${i}`));
      await Promise.all(waiting);
      t.equal(creations.length, 3);
    },
  },
  {
    name: "discard_frees_capacity_and_starts_a_create",
    async run(t) {
      const { pool, creations, closed } = scripted();
      const first = pool.acquire();
      creations[0].resolve("bad");
      const lease = await first;
      const waiting = pool.acquire();
      lease.discard();
      t.equal(closed, ["bad"]);
      t.equal(creations.length, 2, "a create at once");
      creations[1].resolve("good");
      t.equal((await waiting).value, "good");
    },
  },
  {
    name: "create_error_reaches_the_caller",
    async run(t) {
      const { pool, creations } = scripted();
      const waiting = pool.acquire();
      const cause = new Error("refused");
      creations[0].reject(cause);
      const error = await t.rejects(waiting, { code: "create_failed" });
      t.ok(error instanceof CreateError);
      t.ok(error.cause === cause, "the cause is the factory's error");
      t.adds(pool.stats());
    },
  },
  {
    name: "each_waiter_gets_the_error_of_its_own_creation",
    async run(t) {
      const { pool, creations } = scripted({ max: 3 });
      const waiting = [pool.acquire(), pool.acquire(), pool.acquire()];
      const errors = waiting.map((promise) => t.rejects(promise));
      creations.forEach((creation, i) => creation.reject(new Error(`e${i}`)));
      const causes = (await Promise.all(errors)).map((error) => error.cause.message);
      t.equal(causes, ["e0", "e1", "e2"]);
    },
  },
  {
    name: "create_throws_synchronously",
    async run(t) {
      let broken = true;
      const create = () => {
        if (broken) throw new Error("sync");
        return {};
      };
      const pool = new Pool({ create, max: 2 });
      for (let i = 0; i < 5; i += 1) await t.rejects(pool.acquire(), { code: "create_failed" });
      broken = false;
      await Promise.all([pool.acquire(), pool.acquire()]);
      t.equal(pool.stats().inUse, 2, "capacity is max");
      t.adds(pool.stats());
    },
  },
  {
    name: "create_never_settles",
    async run(t) {
      for (const mode of ["process", "edge"]) {
        const { pool, clock, creations, closed } = scripted({ mode, createTimeout: 1_000 });
        const waiting = pool.acquire();
        await clock.advance(1_000);
        const error = await t.rejects(waiting, { code: "create_failed" });
        t.ok(/1000 ms/.test(error.message), error.message);
        t.equal(pool.stats().size, 0, "the place is free");
        const next = pool.acquire();
        creations[0].resolve("late");
        await settle();
        t.equal(closed, ["late"], "what came late is closed");
        creations[1].resolve("second");
        t.equal((await next).value, "second");
        t.adds(pool.stats());
      }
    },
  },
  {
    name: "create_returns_nothing",
    async run(t) {
      for (const nothing of [undefined, null]) {
        const pool = new Pool({ create: () => nothing, max: 1 });
        const error = await t.rejects(pool.acquire(), { code: "create_failed" });
        t.ok(error.cause instanceof TypeError);
        t.equal(pool.stats().size, 0);
      }
    },
  },
  {
    name: "same_object_twice",
    async run(t) {
      const same = {};
      const pool = new Pool({ create: () => same, max: 2 });
      const lease = await pool.acquire();
      await t.rejects(pool.acquire(), { code: "create_failed" });
      t.equal(pool.stats().size, 1);
      lease.release();
      t.ok((await pool.acquire()).value === same);
    },
  },
  {
    name: "reentrant_callbacks",
    async run(t) {
      let depth = 0;
      const inner = [];
      const pool = new Pool({
        max: 3,
        create: () => {
          depth += 1;
          if (depth === 1) inner.push(pool.acquire());
          return { depth };
        },
        close: () => pool.stats(),
      });
      const lease = await pool.acquire();
      const nested = await inner[0];
      t.ok(lease.value !== nested.value);
      lease.discard();
      nested.release();
      t.adds(pool.stats());
    },
  },
  {
    name: "a_failed_close_frees_the_place",
    async run(t) {
      const reject = () => Promise.reject(new Error("no"));
      const raise = () => {
        throw new Error("no");
      };
      for (const close of [reject, raise]) {
        const pool = new Pool({ create: () => ({}), close, max: 1 });
        (await pool.acquire()).discard();
        await settle();
        t.equal(pool.stats().size, 0);
      }
    },
  },
  {
    name: "destroying_counts_or_does_not",
    async run(t) {
      const closing = deferred();
      const pool = new Pool({ create: () => ({}), close: () => closing.promise, max: 1 });
      (await pool.acquire()).discard();
      t.equal(pool.stats().closing, 1);
      const waiting = pool.acquire();
      t.equal(await state(waiting), "pending", "a resource that is being closed has its place");
      closing.resolve();
      await waiting;
    },
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
      const settings = { create, max: 2, mode: "process", clock, createTimeout: 100 };
      const pool = new Pool(settings);
      const [first, second, third, fourth] = [{}, {}, { signal: stop.signal }, {}].map((options) =>
        t.rejects(pool.acquire({ ...options, timeout: 1_000 })).catch((error) => error),
      );
      await clock.advance(100);
      for (const error of [await first, await second]) t.equal(error.code, "create_failed");
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
    async run(t) {
      const creates = [
        () => ({ get then() { throw new Error("no then"); } }),
        () => ({ then() { throw new Error("no then"); } }),
      ];
      for (const create of creates) {
        const pool = new Pool({ create, max: 1, acquireTimeout: 50 });
        const error = await t.rejects(pool.acquire(), { code: "create_failed" });
        t.equal(error.cause.message, "no then");
        t.equal(pool.stats().size, 0);
      }
    },
  },
];
