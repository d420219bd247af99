// Tenants that share the places of a provider: by ids that calls give, and shares that options say.
import { PoolError } from "edgepool";
import { ClientPool, ClientRegistry } from "edgepool/clients";
import { each, settle } from "../lib/harness.mjs";
import { answer, failure, json, setup } from "../lib/provider-world.mjs";
import { breakTenants, whileFull } from "./recovery.mjs";

/** A client pool whose requests are answered by hand, one after the other. */
function world(tenants, provider = {}, more = {}) {
  const held = [];
  const it = setup(() => new Promise((resolve) => held.push(resolve)), provider, {
    tenants, ...more,
  });
  /** Makes a chat of a tenant's, whose only message is its id. */
  const chat = (tenant, options = {}) =>
    it.clients.chat("p", { messages: [{ role: "user", content: tenant ?? "nobody" }] }, {
      tenant, ...options,
    });
  const order = () => it.sent.map(({ body }) => JSON.parse(body).messages[0].content);
  /** Answers what is sent, so often. */
  const serve = async (rounds) => {
    for (let i = 0; i < rounds; i += 1) {
      held.shift()?.(answer());
      await it.clock.advance(100);
    }
  };
  const of = (id, name = "p") => it.clients.tenants()[name].tenants.find((one) => one.id === id);
  return { ...it, held, chat, order, serve, of };
}

const count = (all, one) => all.filter((each) => each === one).length;

export default [
  {
    name: "calls_of_tenants_share_a_provider_by_weight",
    run: each(async (t, mode) => {
      const it = world({ named: { heavy: { weight: 3 } } }, {}, { mode });
      const calls = [it.chat()];
      await settle();
      for (const id of ["light", "heavy"]) {
        for (let i = 0; i < 12; i += 1) calls.push(it.chat(id));
      }
      await settle();
      await it.serve(calls.length);
      await Promise.all(calls);
      const early = it.order().slice(1, 9);
      t.equal([count(early, "light"), count(early, "heavy")], [2, 6], `${it.order()}`);
      const [heavy, light] = [it.of("heavy"), it.of("light")];
      t.equal([heavy.acquired, heavy.isNamed, heavy.share.weight], [12, true, 3]);
      t.equal([light.acquired, light.released, light.isNamed, light.inUse], [12, 12, false, 0]);
      t.ok(light.longestWait > heavy.longestWait / 2 && light.totalWait > 0, "waits are told");
      const { total, rest } = it.clients.tenants(0).p;
      t.equal([total.acquired, total.tenants, rest.tenants, rest.acquired], [24, 2, 1, 12]);
    }),
  },
  {
    name: "a_tenants_max_and_queue_hold_at_a_provider",
    run: each(async (t, mode) => {
      const tenants = { named: { acme: { max: 1, maxWaiting: 1 } }, default: { maxWaiting: 0 } };
      const it = world(tenants, { max: 2, acquireTimeout: 5_000 }, { mode });
      const first = it.chat("acme");
      const second = it.chat("acme", { acquireTimeout: 1_000 });
      await settle();
      t.equal([it.sent.length, it.of("acme").waiting], [1, 1], "a place is free, and not for it");
      const full = await t.rejects(it.chat("acme"), { code: "queue_full" });
      t.ok(/the tenant's queue is full/.test(full.message), full.message);
      const other = it.chat("other");
      await settle();
      t.equal(it.order(), ["acme", "other"], "another one has it");
      await t.rejects(it.chat("other"), { code: "queue_full" });
      const late = t.rejects(second, { code: "acquire_timeout" });
      await it.clock.advance(1_500);
      const { message } = await late;
      t.ok(/its tenant had all of the 1 places .*raise the tenant's max/.test(message), message);
      const { timedOut, cancelled, refused } = it.of("acme");
      t.equal([timedOut, cancelled, refused], [1, 0, 1]);
      const third = it.chat("acme");
      await settle();
      await it.serve(3);
      await Promise.all([first, other, third]);
      t.equal([it.of("acme").acquired, it.of("acme").inUse], [2, 0]);
    }),
  },
  {
    name: "requests_that_are_passed_on_have_tenants",
    async run(t) {
      const it = setup(() => json({ ok: true }), { kind: "http", apiKey: undefined }, {
        tenants: { named: { acme: {} }, unknown: "refuse" },
      });
      const send = it.clients.fetch("p", { onRefusal: "respond" });
      const response = await send("/v1/a", { tenant: "acme" });
      t.equal([response.status, await response.json()], [200, { ok: true }]);
      await settle();
      t.equal("tenant" in it.sent[0].init, false, "fetch knows no tenants");
      t.equal(it.types("ended").map(({ tenant }) => tenant), ["acme"], "observers are told");
      for (const [tenant, status, code] of [
        ["globex", 403, "unknown_tenant"], ["no one's", 400, "invalid_tenant"],
        ["", 400, "invalid_tenant"], ["x".repeat(10_000), 400, "invalid_tenant"],
        ["a\0b", 400, "invalid_tenant"],
      ]) {
        const refused = await send("/v1/a", { tenant });
        const { error } = await refused.json();
        t.equal([refused.status, error.code], [status, code]);
        t.ok(error.message.length < 500, "what is wrong is told without it");
      }
      const told = it.types("refused").map(({ tenant, code }) => [tenant, code]);
      t.equal(told.slice(0, 2), [["globex", "unknown_tenant"], [undefined, "invalid_tenant"]]);
      const thrown = it.clients.fetch("p", { onRefusal: "throw" });
      const error = await t.rejects(thrown("/v1/a", { tenant: "globex" }), {
        code: "unknown_tenant",
      });
      t.ok(error instanceof PoolError);
      const wrong = await t.rejects(send("/v1/a", { tenant: 7 }));
      t.ok(wrong instanceof TypeError && /"tenant" takes an id/.test(wrong.message), `${wrong}`);
      await (await send("/v1/a")).text();
      t.equal(it.sent.length, 2, "without a tenant it is nobody's");
      const any = it.clients.fetchAny(["p"]);
      await (await any("/v1/a", { tenant: "acme" })).text();
      await settle();
      t.equal(it.clients.tenants().p.tenants[0].acquired, 2);
      await it.clients.close();
      const before = it.types("refused").length;
      await send("/v1/a", { tenant: "a\0b" });
      await send("/v1/a", { tenant: "acme" });
      const late = it.types("refused").slice(before).map(({ tenant, code }) => [tenant, code]);
      t.equal(late, [[undefined, "invalid_tenant"], ["acme", "pool_closed"]], "closed or not");
    },
  },
  {
    name: "a_tenant_that_has_its_max_sends_no_second_attempt",
    run: each(async (t, mode) => {
      const it = world({ named: { acme: { max: 1 } } }, { max: 3, hedgeAfter: 100 }, { mode });
      const capped = it.chat("acme");
      await it.clock.advance(1_000);
      t.equal([it.sent.length, it.of("acme").waiting, it.of("acme").refused], [1, 0, 0]);
      const free = it.chat("other");
      await it.clock.advance(1_000);
      t.equal(it.order(), ["acme", "other", "other"], "one that has none does");
      await it.serve(3);
      await Promise.all([capped, free]);
    }),
  },
  {
    name: "a_tenant_that_has_its_max_goes_on_to_the_next_endpoint",
    run: each(async (t, mode) => {
      const provider = {
        baseURL: undefined, endpoints: ["http://a/v1", "http://b/v1"], max: 3, retry: { base: 1 },
      };
      const it = world({ named: { acme: { max: 1 } } }, provider, { mode });
      const call = it.chat("acme");
      await it.clock.advance(10);
      it.held.shift()(failure(503, "busy"));
      await it.clock.advance(100);
      t.equal(new Set(it.sent.map(({ url }) => new URL(url).host)).size, 2, "the other one is free");
      await it.serve(1);
      t.equal((await call).text, "Hi");
      t.equal(it.of("acme").inUse, 0);
    }),
  },
  {
    name: "a_tenant_in_constant_use_is_not_forgotten",
    run: each(async (t, mode) => {
      const it = setup(() => answer(), { max: 2 }, { tenants: { idleTimeout: 10_000 }, mode });
      const chat = () => it.clients.chat("p", {
        messages: [{ role: "user", content: "Hi" }],
      }, { tenant: "a" });
      for (let second = 0; second < 20; second += 1) {
        await chat();
        await it.clock.advance(1_000);
      }
      t.equal(it.clients.cleanupStale(), 0, "it called a second ago");
      t.equal(it.clients.tenants().p.tenants[0].acquired, 20);
      await it.clock.advance(10_000);
      t.equal(it.clients.cleanupStale(), 1);
    }),
  },
  {
    name: "tenants_are_not_lost_while_there_is_no_module",
    async run(t) {
      const it = setup(() => answer(), { max: 1 }, { tenants: {} });
      const chat = (tenant) =>
        it.clients.chat("p", { messages: [{ role: "user", content: "Hi" }] }, { tenant });
      for (const id of ["a", "b", "a"]) await chat(id);
      t.equal(it.clients.tenants().p.total.acquired, 3);
      breakTenants();
      await whileFull(async () => {
        for (const id of ["a", "b", "a"]) await t.rejects(chat(id));
      });
      await chat("a");
      const { tenants, total } = it.clients.tenants().p;
      t.equal(tenants.map(({ id, acquired }) => [id, acquired]), [["a", 3], ["b", 1]]);
      t.equal([total.tenants, total.acquired], [2, 4]);
    },
  },
  {
    name: "what_was_told_of_the_waits_of_tenants_is_not_taken_back_after_a_trap",
    async run(t) {
      const it = world({}, { max: 1, acquireTimeout: 100 });
      const first = it.chat();
      await settle();
      const waits = async (count) => {
        const late = Array.from({ length: count }, () =>
          t.rejects(it.chat("a"), { code: "acquire_timeout" }));
        await it.clock.advance(200);
        await Promise.all(late);
      };
      const gives = async () => {
        const stop = new AbortController();
        const given = t.rejects(it.chat("a", { signal: stop.signal }), { message: "no" });
        await settle();
        stop.abort(new Error("no"));
        await given;
      };
      const told = () => [it.of("a").timedOut, it.of("a").cancelled];
      await waits(2);
      await gives();
      t.equal(told(), [2, 1]);
      // Nobody was told of these.
      await waits(5);
      breakTenants();
      await t.rejects(it.chat("a"));
      t.equal(told(), [2, 1], "as it was told");
      await gives();
      t.equal(told(), [2, 2], "and it goes on from there");
      await waits(1);
      t.equal(told(), [3, 2]);
      await it.serve(1);
      await first;
    },
  },
  {
    name: "tenants_that_are_not_asked_for_are_forgotten",
    async run(t) {
      const it = setup(() => answer(), { max: 4 }, {
        tenants: { named: { acme: {} }, idleTimeout: 60_000, maxKept: 100 },
      });
      const chat = (tenant) =>
        it.clients.chat("p", { messages: [{ role: "user", content: "Hi" }] }, { tenant });
      await chat("acme");
      for (let at = 0; at < 300; at += 1) await chat(`t${at}`);
      const { rest, total, tenants } = it.clients.tenants(5).p;
      t.equal(tenants.map(({ id }) => id), ["acme", "t200", "t201", "t202", "t203", "t204"]);
      t.equal([rest.tenants, rest.acquired, total.tenants, total.acquired], [95, 95, 301, 301]);
      await it.clock.advance(61_000);
      t.equal(it.clients.cleanupStale(), 100, "those that are not named");
      const after = it.clients.tenants().p;
      t.equal([after.tenants.length, after.total.acquired, after.rest.tenants], [1, 301, 0]);
      await chat("t7");
      const again = it.clients.tenants().p;
      t.equal([again.tenants[1].acquired, again.total.acquired], [1, 302], "it begins anew");
    },
  },
  {
    name: "a_tenant_with_calls_is_not_forgotten",
    run: each(async (t, mode) => {
      const it = world({ maxKept: 1, idleTimeout: 1_000 }, { max: 2 }, { mode, leaseTtl: Infinity });
      const [held, waiting] = [it.chat("a"), it.chat("a")];
      const queued = it.chat("b");
      await settle();
      await it.clock.advance(5_000);
      for (const id of ["c", "d"]) void it.chat(id).catch(() => undefined);
      await settle();
      t.equal(it.clients.tenants().p.total.tenants, 4);
      t.equal([it.of("a")?.inUse, it.of("b")?.waiting], [2, 1]);
      await it.serve(5);
      await Promise.all([held, waiting, queued]);
    }),
  },
  {
    name: "what_is_wrong_about_the_tenants_of_clients_is_told",
    async run(t) {
      const registry = new ClientRegistry();
      const make = (tenants) => new ClientPool({
        providers: { p: { kind: "http", baseURL: "http://h" } }, registry, tenants,
      });
      for (const [tenants, pattern] of [
        [{ name: {} }, /tenants: unknown option "name"; it takes named, default, unknown/],
        [{ named: { acme: { weight: 0 } } }, /tenants.named: "acme": "weight" takes/],
        [{ named: { acme: 7 } }, /tenants.named: "acme": expected an object/],
        [{ named: { "no id": {} } }, /tenants.named: no tenant can have this id/],
        [{ named: [] }, /tenants.named: expected an object/],
        [{ default: { max: 0 } }, /tenants.default: "max" takes/],
        [{ unknown: "maybe" }, /tenants: "unknown" takes "create" or "refuse"/],
        [{ idleTimeout: 0 }, /tenants: "idleTimeout" takes/],
        [{ maxKept: 0 }, /tenants: "maxKept" takes/],
        [{ unknown: "refuse", default: {} }, /tenants: "default" is for tenants that are not named/],
        [{ unknown: "refuse", idleTimeout: 1 }, /tenants: "idleTimeout" is for/],
        [{ unknown: "refuse", maxKept: 1 }, /tenants: "maxKept" is for/],
        [null, /expected an object/],
      ]) t.throws(() => make(tenants), pattern);
      const clients = make({ named: { acme: { weight: 2 } } });
      for (const [tenants, parts] of [
        [{ named: { acme: { weight: 3 } } }, 'named: "acme"'],
        [{ named: { acme: { weight: 2 }, beta: {} } }, 'named: "beta"'],
        [{}, "named"],
        [{ named: { acme: { weight: 2 } }, default: { max: 1 }, maxKept: 7 }, "default, maxKept"],
        [{ named: { acme: { weight: 2 } }, unknown: "refuse" }, "unknown"],
        [{ named: { acme: { weight: 2 } }, idleTimeout: 7 }, "idleTimeout"],
      ]) {
        const text = `its service is in use with other limits: tenants are others (${parts}); use`;
        t.throws(() => make(tenants), new RegExp(text.replace(/[()]/g, "\\$&")));
      }
      t.throws(() => clients.tenants(-1), /"top" takes/);
      t.equal(make({ named: { acme: { weight: 2 } } }).providerNames(), ["p"], "the same are shared");
    },
  },
];
