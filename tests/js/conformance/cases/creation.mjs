// Creation: whom it serves, and how many there are.
import { each, random, settle, settled } from "../lib/harness.mjs";
import { World, fails } from "../lib/world.mjs";

/** Calls `act` until its promise does not reject; tells how often that was. */
async function until(limit, act) {
  for (let attempts = 1; attempts <= limit; attempts += 1) {
    try {
      return { attempts, value: await act() };
    } catch (error) {
      if (error.code === undefined) throw error;
    }
  }
  throw new Error(`it did not succeed in ${limit} attempts`);
}

export default [
  {
    name: "creation_survives_its_requester",
    run: each(async (t, mode) => {
      const it = new World({ mode, acquireTimeout: 20 });
      it.plans.create.push((make) => it.after(50, make));
      const start = it.clock.now();
      const { attempts, value } = await until(10, () => settled(it.clock, it.pool.acquire()));
      t.equal([attempts, it.clock.now() - start, value.value.id], [3, 50, 1]);
      t.equal(it.calls.create, 1, "creations");
    }),
  },
  {
    name: "creation_survives_a_cancelled_requester",
    run: each(async (t, mode) => {
      const it = new World({ mode });
      it.plans.create.push((make) => it.after(50, make));
      for (let i = 0; i < 5; i += 1) {
        const stop = new AbortController();
        const waiting = it.pool.acquire({ signal: stop.signal });
        await it.clock.advance(10);
        // The last one is served in that very moment.
        if (i < 4) stop.abort(new Error("gone"));
        if (i < 4) await t.rejects(waiting, { message: "gone" });
        else (await waiting).release();
      }
      t.equal([it.calls.create, it.pool.stats().idle], [1, 1], "creations, and idle ones");
    }),
  },
  {
    name: "served_by_whichever_is_first",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 2 });
      const lease = await it.pool.acquire();
      it.plans.create.push((make) => it.after(50, make));
      const waiting = it.pool.acquire();
      t.equal(it.pool.stats().creating, 1);
      lease.release();
      t.equal((await waiting).value.id, 1, "what came back");
      t.equal(it.pool.stats().creating, 1, "its own creation goes on");
      const next = it.pool.acquire();
      await it.clock.advance(50);
      t.equal((await next).value.id, 2, "the late one serves the next");
      t.equal(it.calls.create, 2);
      await it.clock.advance(0);

      const idle = new World({ mode, max: 2 });
      const held = await idle.pool.acquire();
      idle.plans.create.push((make) => idle.after(50, make));
      const served = idle.pool.acquire();
      held.release();
      await served;
      await idle.clock.advance(50);
      t.equal(idle.pool.stats().idle, 1, "with nobody there the late one is idle");
    }),
  },
  {
    name: "creates_never_exceed_need",
    run: each(async (t, mode) => {
      for (let seed = 1; seed <= 5; seed += 1) {
        const next = random(seed);
        const below = (n) => Math.floor(next() * n);
        const it = new World({
          mode, max: 6, minIdle: 2, acquireTimeout: 80, checks: true, checkAfter: 5,
        });
        let looks = 0;
        it.always.create = (make) => {
          const stats = it.pool.stats();
          const { idle, checking, resetting, waiting, creating, size, max } = stats;
          const missing = Math.max(2 - idle - checking - resetting, 0);
          const least = `${creating} creations for ${waiting} callers: ${JSON.stringify(stats)}`;
          t.ok(creating <= waiting + missing && size <= max, least);
          looks += 1;
          const act = next() < 0.2 ? fails("no") : make;
          return next() < 0.5 ? act() : it.after(below(30), act);
        };
        it.always.check = () => (next() < 0.2 ? false : it.after(below(10), () => true));
        const callers = Array.from({ length: 20 }, async () => {
          for (let round = 0; round < 20; round += 1) {
            const stop = new AbortController();
            if (next() < 0.1) void it.after(below(30), () => stop.abort());
            const asked = it.pool.acquire({ signal: stop.signal });
            const lease = await asked.catch(() => undefined);
            await it.after(1 + below(20));
            if (next() < 0.3) lease?.discard();
            else lease?.release();
            await it.after(1 + below(60));
          }
        });
        await settled(it.clock, Promise.all(callers), 10, 100_000);
        t.ok(looks > 50, `only ${looks} creations`);
        it.always.create = (make) => make();
        it.always.check = () => true;
        await it.clock.advance(1_000);
        await it.assertCloses();
      }
    }),
  },
  {
    name: "creates_for_those_who_have_left_are_used_first",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 4 });
      it.always.create = (make) => it.after(50, make);
      const stops = [1, 2, 3].map(() => new AbortController());
      const first = stops.map(({ signal }) => it.pool.acquire({ signal }));
      t.equal(it.calls.create, 3, "one for each who waits");
      for (const n of [1, 2]) {
        stops[n].abort(new Error("gone"));
        await t.rejects(first[n], { message: "gone" });
      }
      const second = it.pool.acquire();
      t.equal(it.calls.create, 3, "two wait, three are under way");
      const more = Array.from({ length: 10 }, () => it.pool.acquire().catch(() => undefined));
      t.equal(it.calls.create, 4, "no more than max");
      await it.clock.advance(50);
      t.equal([(await first[0]).value.id, (await second).value.id], [1, 2]);
      void it.pool.close();
      await Promise.all(more.slice(2));
    }),
  },
  {
    name: "discard_frees_capacity_and_starts_a_create",
    run: each(async (t, mode) => {
      for (const part of [(it, lease) => lease.discard(), (it, lease) => it.take(lease)]) {
        const it = new World({ mode });
        const lease = await it.pool.acquire();
        const waiting = it.pool.acquire();
        part(it, lease);
        // On the edge it is begun in the request of who waits, which is rung.
        if (mode === "edge") await settle();
        t.equal(it.calls.create, 2, `creations, at once after ${part}`);
        (await waiting).release();
        await settle();
        t.equal([it.pool.stats().idle, it.live], [1, 1]);
        await it.assertCloses();
      }
      const it = new World({ mode, checks: true, checkAfter: 0 });
      await it.warm(1);
      it.plans.check.push(() => it.after(10, () => false));
      const waiting = it.pool.acquire();
      await it.clock.advance(10);
      t.equal([it.closed, (await waiting).value.id], [[1], 2], "after a failed check");
    }),
  },
  {
    name: "a_creation_whose_waiter_leaves_at_once_serves_the_next",
    run: each(async (t, mode) => {
      const it = new World({ mode });
      const lease = await it.pool.acquire();
      const stop = new AbortController();
      const left = it.pool.acquire({ signal: stop.signal });
      it.plans.create.push((make) => it.after(10, make));
      lease.discard();
      stop.abort(new Error("gone"));
      await t.rejects(left, { message: "gone" });
      const waiting = it.pool.acquire();
      await it.clock.advance(10);
      const next = await waiting;
      t.equal([next.value.id, it.pool.stats().size], [2, 1]);
      next.release();
      await it.assertUsable();
      await it.assertCloses();
    }),
  },
];
