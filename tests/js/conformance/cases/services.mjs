// What client pools share, how they are closed, their endpoints, and traps of their module.
import { ClientPool, ClientRegistry } from "edgepool/clients";
import { FakeClock, settle, state } from "../lib/harness.mjs";
import {
  answer, delta, failure, json, KEY, messages, setup, source,
} from "../lib/provider-world.mjs";
import { breakClients, whileFull } from "./recovery.mjs";

export default [
  {
    name: "client_pools_share_what_is_the_same_service",
    async run(t) {
      const registry = new ClientRegistry();
      const clock = new FakeClock(1);
      const held = [];
      const fetch = () => new Promise((resolve) => held.push(resolve));
      const make = (provider = {}, more = {}) => new ClientPool({
        providers: {
          p: {
            kind: "openai", baseURL: "http://h/v1", apiKey: KEY, model: "m", max: 1, ...provider,
          },
        },
        registry, clock, fetch, mode: "process", ...more,
      });
      const [one, two] = [make(), make({ baseURL: "http://h/v1/", acquireTimeout: 5 })];
      t.equal(registry.stats(), { services: 1, hits: 1, misses: 1 });
      const first = one.chat("p", { messages });
      const second = two.chat("p", { messages });
      await settle();
      t.equal([held.length, two.stats("p").waiting], [1, 1], "one place for both");
      t.throws(() => make({ max: 2 }), /max is 1, not 2/);
      const others = [
        make({ apiKey: "other" }), make({ max: 3 }, { name: "mine" }), make({ max: 3, pool: "own" }),
      ];
      for (const separate of others) separate.chat("p", { messages }).catch(() => undefined);
      await settle();
      t.equal(held.length, 4, "another key, or a name, has places of its own");
      const closing = one.close();
      held[0](answer());
      t.equal((await first).text, "Hi", "what was sent goes on");
      t.equal(await closing, 0);
      await settle();
      held[4](answer());
      t.equal((await second).text, "Hi", "the other goes on");
      await t.rejects(one.chat("p", { messages }), { code: "pool_closed" });
      registry.closeAll();
      await t.rejects(two.chat("p", { messages }), { code: "pool_closed" });
      t.ok(registry.isClosed);
      t.ok((() => {
        try {
          return make() === undefined;
        } catch (error) {
          return error.code === "pool_closed";
        }
      })(), "nothing is shared by it any more");
    },
  },
  {
    name: "providers_are_replaced_and_removed",
    async run(t) {
      const held = [];
      const it = setup(() => new Promise((resolve) => held.push(resolve)));
      const { clients } = it;
      const old = clients.chat("p", { messages });
      const kept = clients.get("p");
      await settle();
      const other = { kind: "ollama", baseURL: "http://h2", model: "x" };
      clients.registerProvider("p", other);
      t.equal([clients.get("p").kind, kept.kind, kept.model], ["ollama", "openai", "m"]);
      held[0](answer("old"));
      t.equal((await old).text, "old", "what is under way ends where it began");
      clients.registerProvider("q", { ...other, baseURL: "http://h3", max: 3 });
      t.equal(clients.providerNames(), ["p", "q"]);
      t.equal([clients.removeProvider("p"), clients.removeProvider("p")], [true, false]);
      t.ok(!clients.hasProvider("p"));
      await t.rejects(clients.chat("p", { messages }), { code: "unknown_provider" });
      const again = kept.chat({ messages });
      await settle();
      held[1](answer("kept"));
      t.equal((await again).text, "kept", "a client that was got has its provider");
      kept[Symbol.dispose ?? Symbol.for("Symbol.dispose")]();
      await t.rejects(kept.chat({ messages }), { code: "pool_closed" });
      t.throws(() => clients.registerProvider("r", { kind: "gopher" }), /"kind"/);
      t.equal(clients.providerNames(), ["q"]);
    },
  },
  {
    name: "closing_waits_for_what_was_sent_and_breaks_it_off_if_told",
    async run(t) {
      const it = setup(() => new Promise(() => undefined));
      const sent = it.clients.chat("p", { messages });
      const queued = it.clients.chat("p", { messages });
      sent.catch(() => undefined);
      await settle();
      const closing = it.clients.close({ deadline: 500, force: true });
      await t.rejects(queued, { code: "pool_closed" });
      t.equal(await state(sent), "pending");
      await it.clock.advance(500);
      t.equal(await closing, 1);
      await t.rejects(sent, { code: "pool_closed" });
      t.ok(it.clients.isClosed && it.sent[0].init.signal.aborted);
      await it.clock.advance(0);
      t.equal(it.inUse(), 0);
    },
  },
  {
    name: "providers_come_from_the_environment",
    async run(t) {
      const env = {
        OPENAI_API_KEY: KEY, OPENAI_BASE_URL: "http://h/v1", OLLAMA_HOST: "127.0.0.1:11434",
        ANTHROPIC_API_KEY: "a-key", OTHER: "x", MINE: "key-of-mine",
      };
      const options = { registry: new ClientRegistry(), clock: new FakeClock(1) };
      const clients = ClientPool.fromEnv(env, options);
      t.equal(clients.providerNames().sort(), ["anthropic", "ollama", "openai"]);
      const { needsKey, isLocal, kind } = clients.get("ollama");
      t.equal([needsKey, isLocal, kind], [false, true, "ollama"]);
      t.ok(clients.get("anthropic").needsKey && !clients.get("anthropic").isLocal);
      t.ok(!JSON.stringify(clients.stats()).includes(KEY), "stats have the key");
      const sent = [];
      const own = new ClientPool({
        providers: { p: { kind: "openai", baseURL: "http://h/v1", apiKeyEnv: "MINE", model: "m" } },
        env, ...options, registry: new ClientRegistry(), mode: "process",
        fetch: (_, init) => {
          sent.push(init.headers.get("authorization"));
          return Promise.resolve(answer());
        },
      });
      await own.chat("p", { messages });
      t.equal(sent, ["Bearer key-of-mine"]);
      t.throws(() => new ClientPool({
        providers: { p: { kind: "openai", apiKeyEnv: "NOT_SET" } }, env, ...options,
      }), /NOT_SET/);
    },
  },
  {
    name: "endpoints_take_turns_and_failing_ones_are_left_out",
    async run(t) {
      const respond = (_, { url }) =>
        (url.startsWith("http://a/") ? failure(500, "broken") : answer());
      const provider = {
        baseURL: undefined, endpoints: ["http://a/v1", { baseURL: "http://b/v1", weight: 1 }],
        balance: "roundRobin", max: 4, ejection: { consecutive: 2 }, retry: { base: 1 },
      };
      const it = setup(respond, provider);
      for (let calls = 0; calls < 6; calls += 1) {
        const chat = it.clients.chat("p", { messages });
        await it.clock.advance(10);
        t.equal((await chat).text, "Hi");
      }
      const [a, b] = it.clients.stats("p").service.endpoints;
      t.equal([a.name, a.sent, a.breaker], ["http://a/v1", 2, "open"]);
      t.equal([b.answered, b.breaker], [6, "closed"]);
      t.equal(it.types("ejected").map(({ endpoint }) => endpoint), ["http://a/v1"]);
    },
  },
  {
    name: "too_little_room_is_told_once_and_its_end_too",
    async run(t) {
      const held = [];
      const it = setup(() => new Promise((resolve) => held.push(resolve)), { alertAfter: 1_000 });
      const calls = [1, 2].map(() => it.clients.chat("p", { messages }));
      await it.clock.advance(999);
      t.equal(it.types("alert").length, 0);
      await it.clock.advance(1);
      t.equal(it.types("alert").map(({ waiting }) => waiting), [1]);
      held[0](answer());
      await calls[0];
      await settle();
      held[1](answer());
      await calls[1];
      t.equal([it.types("alert").length, it.types("alertEnded").length], [1, 1]);
    },
  },
  {
    name: "endpoints_are_checked_where_that_is_asked_for",
    async run(t) {
      const it = setup(() => json({ data: [] }), { checks: { interval: 1_000, timeout: 100 } });
      await it.clock.advance(5_000);
      t.ok(it.sent.length >= 4, `${it.sent.length} checks in 5 s`);
      t.ok(it.sent.every(({ url }) => url.endsWith("/models")), "on an address that costs nothing");
      t.equal(it.clients.stats("p").started, 0, "outside of the queue");
      await it.clients.close();
      const before = it.sent.length;
      await it.clock.advance(5_000);
      t.equal(it.sent.length, before);
    },
  },
  {
    name: "a_trap_of_the_clients_module_ends_what_is_under_way_and_no_more",
    async run(t) {
      for (const mode of ["process", "edge"]) {
        const held = [];
        const it = setup(() => new Promise((resolve) => held.push(resolve)), { max: 2 }, { mode });
        const under = t.rejects(it.clients.chat("p", { messages }), { code: "core_reset" });
        await settle();
        breakClients();
        const other = it.clients.chat("p", { messages });
        await t.rejects(other, { code: "core_reset" });
        await it.clock.advance(1_000);
        await under;
        t.ok(it.sent[0].init.signal.aborted, "what was under way is broken off");
        t.equal(it.inUse(), 0, mode);
        const next = [1, 2, 3].map(() => it.clients.chat("p", { messages }));
        await settle();
        t.equal(held.length, 3, `max holds in ${mode} mode`);
        for (const resolve of held) resolve(answer());
        await it.clock.advance(100);
        for (const resolve of held) resolve(answer());
        await it.clock.advance(100);
        t.equal((await Promise.all(next)).length, 3);
        t.equal(it.clients.stats("p").service.answered, 3);
      }
    },
  },
  {
    name: "a_trap_of_the_clients_module_without_memory_for_another_is_recovered_from_later",
    async run(t) {
      const it = setup(() => answer());
      await it.clients.chat("p", { messages });
      breakClients();
      await whileFull(async () => {
        for (let time = 1; time <= 2; time += 1) {
          const chat = it.clients.chat("p", { messages });
          const error = await t.rejects(chat, { code: "core_reset" });
          t.ok(error.cause instanceof RangeError, `why there is none: ${error.cause}`);
          t.equal(it.inUse(), 0);
        }
      });
      t.equal((await it.clients.chat("p", { messages })).text, "Hi", "afterwards");
      t.equal([it.sent.length, it.inUse()], [2, 0], "what was refused was not sent");
    },
  },
  {
    name: "a_service_that_is_left_is_shared_while_it_is_called",
    async run(t) {
      const registry = new ClientRegistry();
      const clock = new FakeClock(1);
      const held = [];
      const fetch = () => new Promise((resolve) => held.push(resolve));
      const provider = { kind: "openai", baseURL: "http://h/v1", apiKey: KEY, model: "m", max: 1 };
      const make = (more = {}) => new ClientPool({
        providers: { p: { ...provider, ...more } }, registry, clock, fetch, mode: "process",
      });
      const one = make();
      const first = one.chat("p", { messages });
      await settle();
      const closing = one.close();
      t.throws(() => make({ max: 2 }), /max is 1, not 2/);
      const two = make();
      const second = two.chat("p", { messages });
      await settle();
      t.equal([held.length, two.stats("p").waiting], [1, 1], "one place for both");
      held[0](answer());
      await Promise.all([first, closing]);
      await settle();
      held[1](answer());
      await second;

      const got = two.get("p");
      two.removeProvider("p");
      t.equal([registry.stats().services, two.cleanupStale()], [0, 0]);
      two.registerProvider("p", provider);
      const calls = [got.chat({ messages }), two.chat("p", { messages })];
      await settle();
      t.equal([held.length, two.stats("p").waiting], [3, 1], "one place for a client that was got");
      for (const call of calls) {
        held.at(-1)(answer());
        await call;
        await settle();
      }
      two.removeProvider("p");
      t.equal(make({ max: 2 }).stats("p").max, 2, "nobody uses it any more");
    },
  },
  {
    name: "a_closed_client_pool_leaves_a_service_once",
    async run(t) {
      const registry = new ClientRegistry();
      const clock = new FakeClock(1);
      const fetch = () => new Promise(() => undefined);
      const make = (max) => new ClientPool({
        providers: { p: { kind: "openai", baseURL: "http://h/v1", apiKey: KEY, max } },
        registry, clock, fetch, mode: "process",
      });
      const [one, two] = [make(1), make(1)];
      await one.close();
      t.ok(one.removeProvider("p"));
      t.throws(() => make(2), /max is 1, not 2/);
      t.equal([two.stats("p").max, registry.stats().services], [1, 1]);
    },
  },
  {
    name: "a_trap_in_a_timer_of_the_clients_ends_the_call_alone",
    async run(t) {
      const feed = source();
      const it = setup(() => feed.response, { stallTimeout: 200 });
      const response = await it.clients.fetch("p")("/v1/x", { method: "POST", body: "{}" });
      const reader = response.body.getReader();
      feed.send(delta("Hel"));
      await reader.read();
      const late = t.rejects(reader.read(), { code: "core_reset" });
      breakClients();
      await it.clock.advance(200);
      await late;
      await it.clock.advance(0);
      t.equal(it.inUse(), 0);

      const begun = source();
      const told = setup(() => begun.response, { stallTimeout: 200 }, {
        observer: ({ type }) => type === "ended" && breakClients(),
      });
      const stream = told.clients.stream("p", { messages });
      begun.send(delta("Hel"));
      await stream.next();
      await told.clock.advance(300);
      t.equal(told.inUse(), 0, "a reader that stands still is given up");
      t.ok(told.sent[0].init.signal.aborted);
      // Another call finds out what the observer has broken.
      await told.clients.chat("p", { messages }).catch(() => undefined);
    },
  },
  {
    name: "closing_waits_for_calls_of_providers_that_were_removed",
    async run(t) {
      const held = [];
      const it = setup(() => new Promise((resolve) => held.push(resolve)));
      const chat = it.clients.chat("p", { messages });
      await settle();
      it.clients.removeProvider("p");
      const closing = it.clients.close();
      t.equal(await state(closing), "pending");
      held[0](answer());
      t.equal([(await chat).text, await closing], ["Hi", 0]);
    },
  },
];
