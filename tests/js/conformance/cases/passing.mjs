// What is passed on as it is, for SDKs: the `fetch` of one provider, and of several.
import { ClientPool, ClientRegistry, TruncatedStreamError } from "edgepool/clients";
import { FakeClock, settle, state } from "../lib/harness.mjs";
import {
  answer, delta, DONE, failure, FINISH, JSON_TYPE, KEY, messages, readable, setup, source,
  textOf,
} from "../lib/provider-world.mjs";

export default [
  {
    name: "a_fetch_is_passed_on_to_the_next_provider",
    async run(t) {
      const sent = [];
      const answers = {};
      const clients = new ClientPool({
        providers: {
          first: { kind: "openai", baseURL: "http://first/v1", apiKey: KEY, model: "m" },
          second: { kind: "openai-compatible", baseURL: "http://second/api/v1", model: "small" },
          third: { kind: "openai-compatible", baseURL: "http://third/v1" },
          other: { kind: "ollama", baseURL: "http://other" },
        },
        defaults: { retry: { retries: 0 }, max: 1 },
        clock: new FakeClock(1), registry: new ClientRegistry(), mode: "process",
        fetch: (url, { body, headers }) => {
          const { host } = new URL(url);
          const keys = ["authorization", "x-goog-api-key"].map((name) => headers.get(name));
          sent.push([url, textOf(body), ...keys]);
          return Promise.resolve(answers[host]?.() ?? answer(host));
        },
      });
      t.equal(["first", "third"].map((name) => `${clients.get(name).model}`), ["m", "undefined"]);
      const fetchAny = clients.fetchAny(["first", "second", "third"]);
      // With what is no model of its own, and a number that JavaScript's cannot hold.
      const body = (model) =>
        `{"a":{"model":"x"},"b":"model", "model" : "${model}","seed":9007199254740993}`;
      const ask = (url) =>
        fetchAny(url, {
          method: "POST", body: body("m"),
          headers: { authorization: "Bearer mine", "x-goog-api-key": "mine", cookie: "mine=1" },
        });
      const textFrom = async (response) =>
        [response.status, (await response.json()).choices?.[0].message.content];

      t.equal(await textFrom(await ask("/chat/completions")), [200, "first"]);
      for (const status of [503, 401, 404]) {
        answers.first = () => failure(status, "broken");
        sent.length = 0;
        // As an SDK puts it together, and as a path.
        for (const url of ["http://first/v1/chat/completions", "/chat/completions"]) {
          t.equal(await textFrom(await ask(url)), [200, "second"], `after ${status}`);
        }
        t.equal(sent.slice(0, 2), [
          ["http://first/v1/chat/completions", body("m"), `Bearer ${KEY}`, "mine"],
          ["http://second/api/v1/chat/completions", body("small"), null, null],
        ]);
      }
      t.equal(clients.stats("first").service.fallbacks, 6);
      answers.second = () => failure(500, "broken too");
      t.equal(await textFrom(await ask("/chat/completions")), [200, "third"]);
      t.equal(sent.at(-1)[1], body("m"), "it has none of its own");
      answers.third = () => failure(429, "the last one", { "retry-after": "1" });
      const last = await ask("/chat/completions");
      t.equal([last.status, (await last.json()).error.message], [429, "the last one"]);
      answers.first = () => failure(400, "wrong");
      sent.length = 0;
      t.equal([(await ask("/chat/completions")).status, sent.length], [400, 1], "none is better");
      t.equal(clients.stats().total.inUse, 0);
    },
  },
  {
    name: "a_fetch_of_several_providers_says_what_it_takes",
    async run(t) {
      const sent = [];
      const clients = new ClientPool({
        providers: {
          first: { kind: "openai", baseURL: "http://first/v1", apiKey: KEY },
          second: { kind: "openai-responses", baseURL: "http://second/v1", apiKey: KEY },
          other: { kind: "ollama", baseURL: "http://other" },
          web: { kind: "http", baseURL: "http://web" },
          web2: { kind: "http", baseURL: "http://web2" },
        },
        defaults: { retry: { retries: 0 } },
        clock: new FakeClock(1), registry: new ClientRegistry(), mode: "process",
        fetch: (url, { method }) => {
          sent.push(url.url === undefined ? `${method} ${url}` : `${url.method} ${url.url}`);
          return Promise.resolve(failure(500, "broken"));
        },
      });
      t.throws(() => clients.fetchAny(["first", "other"]), /"first" speaks openai, and "other" oll/);
      t.throws(() => clients.fetchAny([]), /at least one provider/);
      t.throws(() => clients.fetchAny(["first"], { onRefusal: "loud" }), /fetchAny: "onRefusal".*throw/);
      const wrong = new Promise((resolve) => resolve(clients.fetchAny(["first", "third"])));
      await t.rejects(wrong, { code: "unknown_provider" });
      const both = clients.fetchAny(["first", "second"], { onRefusal: "throw" });
      const error = await t.rejects(both("http://elsewhere/v1/models"), { name: "TypeError" });
      t.ok(/below the base of "first", http:\/\/first\/v1/.test(error.message), error.message);
      const body = new Blob(["{}"]).stream();
      const once = await both("/chat/completions", { method: "POST", body, duplex: "half" });
      t.equal([once.status, sent.length], [500, 1], "a body that streams goes to the first alone");
      const asked = new Request("http://first/v1/models/m", { method: "DELETE" });
      const deleted = await both(asked, { method: undefined, signal: undefined });
      t.equal([deleted.status, sent.slice(1)], [500, [
        "DELETE http://first/v1/models/m", "DELETE http://second/v1/models/m",
      ]]);
      const [count, anyway] = [sent.length, clients.fetchAny(["web", "web2"])];
      const statuses = ["POST", "GET"].map(async (method) => (await anyway("/x", { method })).status);
      t.equal([await Promise.all(statuses), sent.slice(count).sort()], [[500, 500], [
        "GET http://web/x", "GET http://web2/x", "POST http://web/x",
      ]], "what may happen once only does");
      const stop = new AbortController();
      stop.abort(new Error("enough"));
      await t.rejects(both("/models", { signal: stop.signal }), { message: "enough" });
      clients.removeProvider("second");
      await t.rejects(both("/models"), { code: "unknown_provider" });
      t.equal(clients.stats().total.inUse, 0);
    },
  },
  {
    name: "a_fetch_that_no_other_provider_may_take_is_refused_with_an_answer",
    async run(t) {
      const [sent, refused] = [[], []];
      const clients = new ClientPool({
        providers: {
          first: { kind: "openai", baseURL: "http://first/v1", apiKey: KEY },
          second: { kind: "openai-compatible", baseURL: "http://second/v1" },
        },
        defaults: { retry: { retries: 0 } },
        clock: new FakeClock(1), registry: new ClientRegistry(), mode: "process",
        observer: (event) => event.type === "refused" && refused.push([event.provider, event.code]),
        fetch: (url) => {
          sent.push(new URL(url).host);
          const isFirst = sent.at(-1) === "first";
          return isFirst ? Promise.reject(new TypeError("unreachable")) : Promise.resolve(answer());
        },
      });
      const ask = (onRefusal, body) =>
        clients.fetchAny(["first", "second"], { onRefusal })("/chat/completions", {
          method: "POST", body, duplex: "half",
        });
      const told = await ask("respond", readable("{}"));
      const { code } = (await told.json()).error;
      t.equal([told.status, code, sent], [502, "upstream_unreachable", ["first"]]);
      t.equal(refused, [["first", "upstream_unreachable"]]);
      await t.rejects(ask("throw", readable("{}")), { code: "upstream_unreachable" });
      t.equal(sent, ["first", "first"], "a stream is sent once");
      const answered = await ask("respond", "{}");
      t.equal([answered.status, sent.slice(2)], [200, ["first", "second"]], "a text is sent again");
      await answered.text();
      t.equal(refused.length, 3);
      t.equal(clients.stats().total.inUse, 0);
    },
  },
  {
    name: "a_fetch_is_sent_again_and_passes_the_last_answer_on",
    async run(t) {
      const it = setup((place) => (place === 0 ? failure(503, "busy") : answer()));
      const post = (body, headers = {}) => it.clients.fetch("p")("/v1/chat/completions", {
        method: "POST", headers: { ...JSON_TYPE, ...headers }, body,
      });
      const first = post('{"model":"m"}');
      await it.clock.advance(1_000);
      const response = await first;
      t.equal([response.status, it.sent.length], [200, 2]);
      t.equal(it.sent.map(({ body }) => body), ['{"model":"m"}', '{"model":"m"}']);
      await response.text();
      t.equal(it.inUse(), 0);

      const busy = setup(() => failure(503, "still busy"));
      const last = busy.clients.fetch("p")("/v1/x", { method: "POST", body: "{}" });
      await busy.clock.advance(10_000);
      const told = await last;
      t.equal([told.status, busy.sent.length], [503, 3]);
      t.equal((await told.json()).error.message, "still busy", "as the provider said it");
      t.equal(told.headers.get("x-should-retry"), "false");
      t.equal(busy.inUse(), 0);

      const once = setup(() => failure(503, "busy"));
      const body = readable("{}");
      const streamed = await once.clients.fetch("p")("/v1/x", { method: "POST", body });
      t.equal([streamed.status, once.sent.length], [503, 1], "a stream can be sent once");
    },
  },
  {
    name: "a_fetched_stream_ends_with_its_protocol",
    async run(t) {
      const feed = source();
      const it = setup(() => feed.response);
      const response = await it.clients.fetch("p")("/v1/x", { method: "POST", body: "{}" });
      const text = response.text();
      feed.send(delta("Hi") + FINISH);
      await settle();
      t.equal(it.inUse(), 1);
      feed.send(DONE);
      t.ok((await text).endsWith(DONE), "all of it is passed on");
      t.equal(it.inUse(), 0, "though the connection stays open");
      await it.clock.advance(1_000);
      t.ok(feed.cancelled !== undefined, "what goes on after it is given up");

      const cut = source();
      const other = setup(() => cut.response);
      const broken = (await other.clients.fetch("p")("/v1/x", { method: "POST", body: "{}" })).body;
      const reader = broken.getReader();
      cut.send(delta("Hi"));
      await reader.read();
      cut.end();
      const error = await t.rejects(reader.read());
      t.ok(error instanceof TruncatedStreamError, String(error));
      await other.clock.advance(0);
      t.equal(other.inUse(), 0);
    },
  },
  {
    name: "an_sdk_may_have_its_own_kind_of_refusals",
    async run(t) {
      const it = setup(() => new Promise(() => undefined), { maxWaiting: 0 });
      it.clients.chat("p", { messages }).catch(() => undefined);
      await settle();
      t.equal((await it.clients.fetch("p")("/v1/x")).status, 429);
      const thrown = it.clients.fetch("p", { onRefusal: "throw" })("/v1/x");
      await t.rejects(thrown, { code: "queue_full" });
      t.throws(() => it.clients.fetch("p", { onRefusal: "x" }), /onRefusal/);
    },
  },
  {
    name: "a_fetch_that_is_given_up_as_its_answer_comes_tells_so",
    async run(t) {
      for (let turns = 0; turns < 16; turns += 1) {
        const held = [];
        const feed = source();
        const it = setup(() => new Promise((resolve) => held.push(resolve)));
        const fetched = it.clients.fetch("p", { onRefusal: "throw" })("/v1/x");
        // By hand: `text` of a browser says of every stream that failed that the network did.
        const read = fetched.then((response) => response.body.getReader().read());
        await settle();
        const closing = it.clients.close({ deadline: 500, force: true });
        const due = it.clock.time + 500;
        const [timer] = [...it.clock.timers.values()].filter(({ at }) => at === due);
        held[0](feed.response);
        for (let turn = 0; turn < turns; turn += 1) await null;
        timer.fire();
        await closing;
        t.equal(await state(read), "rejected", `given up ${turns} turns later`);
        await t.rejects(read, { code: "pool_closed" });
        await it.clock.advance(0);
        t.equal(it.inUse(), 0);
      }
    },
  },
  {
    name: "a_body_of_a_call_that_was_forgotten_does_not_seem_to_end",
    async run(t) {
      const clock = new FakeClock(1);
      const feed = source();
      const it = setup(() => feed.response, {}, { mode: "edge", clock });
      const response = await it.clients.fetch("p")("/v1/x", { method: "POST", body: "{}" });
      const reader = response.body.getReader();
      feed.send(delta("Hel"));
      await reader.read();
      // Its timers stand still, as they do where a request seems to have died.
      clock.timers.clear();
      clock.time += 16_000;
      t.equal(it.clients.cleanupStale(), 1);
      feed.send(delta("lo"));
      await t.rejects(reader.read(), { code: "lease_ended" });
      await clock.advance(0);
      t.ok(feed.cancelled !== undefined, "the producer was told");
    },
  },
];
