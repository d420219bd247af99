// What a caller does with a lease, and the responses that hold one.
import { Pool } from "edgepool";
import { each, settle, state } from "../lib/harness.mjs";
import { World } from "../lib/world.mjs";

/** A Response as `fetch` may give it, but as nobody may make one. */
function odd(more) {
  const response = new Response("odd");
  for (const [name, value] of Object.entries(more)) {
    Object.defineProperty(response, name, { value });
  }
  return response;
}

/** Binds the promise of a response. */
function bindLater(lease, response) {
  return lease.bind(Promise.resolve(response));
}

export default [
  {
    name: "a_lease_that_was_released_binds_nothing",
    run: each(async (t, mode) => {
      const { pool } = new World({ mode });
      const lease = await pool.acquire();
      lease.release();
      const told = [];
      const response = () =>
        new Response(new ReadableStream({ cancel: (reason) => void told.push(reason) }));
      await t.rejects((async () => lease.bind(response()))(), { code: "lease_ended" });
      await t.rejects(lease.bind(Promise.resolve(response())), { code: "lease_ended" });
      await settle();
      t.equal(told.length, 2, "what nobody will read is cancelled");
      const next = await pool.acquire();
      t.equal([next.value === lease.value, next.release()], [true, true]);
    }),
  },
  {
    name: "a_lease_tells_of_its_resource",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 2, idleTimeout: 60_000 });
      await it.clock.advance(5);
      const lease = await it.pool.acquire();
      const other = await it.pool.acquire();
      const { id, createdAt, uses, lastUsed, waited } = lease.info;
      t.equal([id, createdAt, uses, lastUsed, waited], [1, 1_005, 1, undefined, 0]);
      t.equal([lease.slot, other.slot, other.info.id], [0, 1, 2]);
      const waiting = it.pool.acquire();
      await it.clock.advance(20);
      lease.release();
      const again = await waiting;
      const info = again.info;
      t.equal([info.id, info.createdAt, info.uses, info.waited], [1, 1_005, 2, 20]);
      t.equal([info.lastUsed, again.slot, again.value === lease.value], [1_025, 0, true]);
    }),
  },
  {
    name: "take_gives_the_resource_for_good",
    run: each(async (t, mode) => {
      const it = new World({ mode });
      const lease = await it.pool.acquire();
      const { value } = lease;
      t.ok(it.take(lease) === value, "it is the lease's own");
      t.equal([it.pool.stats().taken, it.pool.stats().size], [1, 0]);
      t.equal([lease.release(), lease.discard()], [false, false], "the lease has ended");
      await t.rejects((async () => lease.take())(), { code: "lease_ended" });
      t.equal((await it.pool.acquire()).value.id, 2);
      t.adds(it.pool.stats());
    }),
  },
  {
    name: "what_was_taken_may_be_given_again",
    run: each(async (t, mode) => {
      const same = {};
      const pool = new Pool({ create: () => same, max: 2, minIdle: 0, mode });
      (await pool.acquire()).take();
      const [lease, other] = [await pool.acquire(), t.rejects(pool.acquire())];
      t.ok(lease.value === same);
      t.ok((await other).cause instanceof TypeError, "but not twice");
    }),
  },
  {
    name: "renew_keeps_a_lease",
    async run(t) {
      const it = new World({ mode: "edge", leaseTtl: 300, heartbeat: 100 });
      const lease = await it.pool.acquire();
      for (let beat = 0; beat < 10; beat += 1) {
        await it.clock.advance(250);
        t.equal(lease.renew(), true, "for another time to live");
      }
      t.equal(lease.renew(1_000), true);
      await it.clock.advance(999);
      t.equal(it.pool.stats().expired, 0);
      await it.clock.advance(1);
      t.equal([it.pool.stats().expired, lease.renew(), lease.release()], [1, false, false]);
    },
  },
  {
    name: "a_lease_whose_time_has_passed_is_not_lent_on",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 3 });
      const late = await it.pool.acquire();
      t.ok(late.renew(20));
      await it.clock.advance(100);
      t.equal(it.pool.stats().expired, 1);
      const first = await it.pool.acquire();
      t.equal(late.release(), false, "it has ended");
      const second = await it.pool.acquire();
      t.ok(first.value !== second.value, "nothing is lent to two");
      t.equal(it.pool.stats().inUse, 2);
    }),
  },
  {
    name: "a_lease_in_a_process_may_have_a_time_to_live",
    async run(t) {
      const it = new World({ leaseTtl: 300 });
      const lost = await it.pool.acquire();
      const waiting = it.pool.acquire();
      await it.clock.advance(299);
      t.equal(await state(waiting), "pending");
      await it.clock.advance(1);
      t.equal([(await waiting).value.id, it.closed], [2, [1]], "it is retired, and closed");
      t.equal([lost.release(), it.pool.stats().expired], [false, 1]);
      const forever = new World({});
      await forever.pool.acquire();
      await forever.clock.advance(1e9);
      t.equal(forever.pool.stats().inUse, 1, "without one it stays good");
    },
  },
  {
    name: "a_lease_that_goes_to_the_next_has_a_time_to_live_of_its_own",
    async run(t) {
      const it = new World({ leaseTtl: 300, acquireTimeout: Infinity });
      const first = await it.pool.acquire();
      first.renew(Infinity);
      const [second, third] = [it.pool.acquire(), it.pool.acquire()];
      await it.clock.advance(1_000);
      first.release();
      t.equal((await second).waited, 1_000);
      await it.clock.advance(299);
      t.equal([it.closed, await state(third)], [[], "pending"]);
      await it.clock.advance(1);
      t.equal([it.closed, (await third).value.id], [[1], 2], "nobody has called meanwhile");
    },
  },
  {
    name: "use_renews_a_lease_with_a_time_to_live",
    run: each(async (t, mode) => {
      const it = new World({ mode, leaseTtl: 300, heartbeat: 100 });
      const done = it.pool.use(() => it.after(5_000, () => "done"));
      await it.clock.advance(5_000);
      t.equal([await done, it.pool.stats().expired, it.pool.stats().released], ["done", 0, 1]);
      const ended = it.pool.use((_value, lease) => lease.discard());
      t.equal([await ended, it.closed], [true, [1]], "what it ends by itself has ended");
      await it.assertUsable();
    }),
  },
  {
    name: "disposing_releases",
    run: each(async (t, mode) => {
      const { pool } = new World({ mode });
      const lease = await pool.acquire();
      lease[Symbol.dispose ?? Symbol.for("Symbol.dispose")]();
      const other = await pool.acquire();
      await other[Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose")]();
      t.equal(pool.stats().released, 2);
    }),
  },
  {
    name: "discard_tells_the_observer_why",
    run: each(async (t, mode) => {
      const it = new World({ mode });
      const lease = await it.pool.acquire();
      t.equal([lease.discard(new Error("broken pipe")), lease.discard()], [true, false]);
      t.equal([it.closed, it.pool.stats().discarded, it.pool.stats().stale], [[1], 1, 1]);
      await it.assertUsable();
    }),
  },
  {
    name: "a_lease_outlives_its_pool",
    run: each(async (t, mode) => {
      const it = new World({ mode });
      const lease = await it.pool.acquire();
      void it.pool.close();
      t.equal([lease.value.id, lease.info.uses, it.closed], [1, 1, []]);
      lease.release();
      await settle();
      t.equal(it.closed, [1]);
    }),
  },
  {
    name: "a_response_without_a_body_ends_its_lease_at_once",
    run: each(async (t, mode) => {
      const { pool } = new World({ mode });
      const url = "http://backend/there";
      const headers = { "content-length": "5", location: url };
      const answers = [
        () => new Response(null, { headers }),
        ...[204, 205, 301, 303, 304, 307, 503].map((status) =>
          () => new Response(null, { status, headers })),
        () => Response.redirect(url, 308),
      ];
      for (const answer of answers) {
        for (const bind of [(lease, one) => lease.bind(one), bindLater]) {
          const original = Object.defineProperty(answer(), "url", { value: url });
          const bound = await bind(await pool.acquire(), original);
          t.equal([bound.status, bound.body, bound.url], [original.status, null, url]);
          t.equal(bound.headers.get("location"), url, `the headers of ${bound.status}`);
          bound.headers.set("x-more", "1");
          t.equal(pool.stats().inUse, 0, `the lease of ${bound.status}`);
        }
      }
      const { released, discarded } = pool.stats();
      t.equal([released, discarded], [18, 0]);
    }),
  },
  {
    name: "a_response_that_nobody_can_make_is_passed_on_as_it_is",
    run: each(async (t, mode) => {
      const { pool } = new World({ mode });
      const upgrade = odd({ status: 101, body: null });
      const hidden = odd({ status: 0, type: "opaqueredirect", body: null });
      for (const response of [upgrade, hidden, Response.error()]) {
        for (const bind of [(lease, one) => lease.bind(one), bindLater]) {
          const bound = await bind(await pool.acquire(), response);
          t.ok(bound === response, `another one of status ${response.status}`);
          t.equal(pool.stats().inUse, 0);
        }
      }
      const { released, discarded } = pool.stats();
      t.equal([released, discarded], [6, 0]);
    }),
  },
  {
    name: "a_bound_answer_does_not_claim_an_encoding_that_fetch_took_off",
    async run(t) {
      const { pool } = new World();
      const named = ["content-encoding", "content-length", "x-other"];
      const headersOf = async (response, url) => {
        const given = url === undefined ? response
          : Object.defineProperty(response, "url", { value: url });
        const bound = (await pool.acquire()).bind(given);
        await bound.text();
        return named.map((name) => bound.headers.get(name));
      };
      const init = (coding) =>
        ({ headers: { "content-encoding": coding, "content-length": "7", "x-other": "1" } });
      const url = "http://backend/";
      const kept = ["gzip", "7", "1"];
      // workerd encodes again what says so; elsewhere the bytes are sent as they are.
      const isKept = globalThis.navigator?.userAgent === "Cloudflare-Workers";
      const fetched = await headersOf(new Response("decoded", init("gzip")), url);
      t.equal(fetched, isKept ? kept : [null, null, "1"]);
      const unknown = await headersOf(new Response("encoded", init("compress")), url);
      t.equal(unknown, ["compress", "7", "1"], "nothing took that off");
      t.equal(await headersOf(new Response("encoded", init("gzip"))), kept, "made by hand");
      const empty = await headersOf(new Response(null, init("gzip")), url);
      t.equal(empty, kept, "of the body that is not there");
    },
  },
  {
    name: "a_chunk_is_handed_over_and_not_copied",
    async run(t) {
      const { pool } = new World();
      const chunk = new Uint8Array(100_000).fill(7);
      const { buffer } = chunk;
      const source = new ReadableStream({
        pull(controller) {
          controller.enqueue(chunk);
          controller.close();
        },
      });
      const bound = (await pool.acquire()).bind(new Response(source));
      const { value } = await bound.body.getReader().read();
      t.equal([value[0], value.at(-1)], [7, 7]);
      // A byte stream takes the buffer itself, so that who enqueued it has none any more.
      t.equal(buffer.byteLength, 0, "bytes left with who made the chunk");
    },
  },
  {
    name: "a_response_that_cannot_be_bound_costs_no_place",
    async run(t) {
      const { pool, clock } = new World();
      const locked = new Response("x");
      locked.body.getReader();
      const used = new Response("x");
      await used.text();
      for (const bad of [locked, used, odd({ status: 600 }), odd({ status: 0 }), null, "text"]) {
        const binds = [
          async (lease) => lease.bind(bad),
          (lease) => lease.bind(Promise.resolve(bad)),
        ];
        for (const bind of binds) {
          await t.rejects(bind(await pool.acquire()), { code: "upstream_unreachable" });
          await clock.advance(0);
          t.equal(pool.stats().inUse, 0);
        }
      }
      t.equal(pool.stats().discarded, 12);
      t.equal(pool.stats().stale, 0, "each was discarded once");
      t.equal(clock.timers.size, 0);
    },
  },
  {
    name: "a_strange_reason_phrase_is_left_out",
    async run(t) {
      const { pool } = new World();
      const bound = (await pool.acquire()).bind(odd({ statusText: "so\u0107ut\n" }));
      t.equal([bound.statusText, await bound.text()], ["", "odd"]);
      t.equal(pool.stats().inUse, 0);
    },
  },
];
