// Chats, streams and embeddings by providers of a client pool. No network: `fetch` is given.
import {
  ClientPool, ClientRegistry, PooledEmbeddingClient, ProviderError, TruncatedStreamError,
} from "edgepool/clients";
import { FakeClock, settle, state } from "../lib/harness.mjs";
import { breakClients, whileFull } from "./recovery.mjs";

const encoder = new TextEncoder();
const JSON_TYPE = { "content-type": "application/json" };
const KEY = "sk-secret-0123456789";
const messages = [{ role: "user", content: "Hello" }];

function json(value, init = {}) {
  const headers = { ...JSON_TYPE, ...init.headers };
  return new Response(readable(JSON.stringify(value)), { ...init, headers });
}

/** A body that is there at once, for which workerd takes no turn of its own. */
function readable(text) {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(encoder.encode(text));
      controller.close();
    },
  });
}

function answer(text = "Hi") {
  return json({
    id: "a1", model: "m", choices: [{ message: { content: text }, finish_reason: "stop" }],
    usage: { prompt_tokens: 3, completion_tokens: 2 },
  });
}

const failure = (status, message, headers) => json({ error: { message } }, { status, headers });

const event = (value) => `data: ${JSON.stringify(value)}\n\n`;
const delta = (content) => event({ id: "s", choices: [{ delta: { content } }] });
const FINISH = event({ choices: [{ delta: {}, finish_reason: "stop" }] });
const USAGE = event({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 } });
const DONE = "data: [DONE]\n\n";

/** A body that is fed by hand, and knows whether it was cancelled. */
function source(type = "text/event-stream") {
  const feed = { cancelled: undefined };
  const stream = new ReadableStream({
    start: (controller) => void (feed.controller = controller),
    cancel: (reason) => void (feed.cancelled = reason ?? true),
  });
  feed.response = new Response(stream, { headers: { "content-type": type } });
  feed.send = (text) => feed.controller.enqueue(encoder.encode(text));
  feed.end = () => feed.controller.close();
  return feed;
}

/** A client pool whose requests are answered by `respond`, on a clock that stands still. */
function setup(respond, provider = {}, more = {}) {
  const clock = more.clock ?? new FakeClock(1);
  const events = [];
  const sent = [];
  const clients = new ClientPool({
    providers: {
      p: {
        kind: "openai", baseURL: "http://127.0.0.1:9/v1", apiKey: KEY, model: "m",
        embeddingModel: "e", max: 1, ...provider,
      },
    },
    clock, mode: "process", random: () => 0.999, registry: new ClientRegistry(),
    observer: (event) => void events.push(event),
    fetch: async (input, init) => {
      sent.push({ url: String(input), init, body: textOf(init.body) });
      return await respond(sent.length - 1, sent.at(-1));
    },
    ...more,
  });
  const inUse = () => clients.stats("p").inUse;
  const types = (type) => events.filter((event) => event.type === type);
  return { clients, clock, events, types, sent, inUse };
}

/** Reads what is sent, unless it is a stream. */
function textOf(body) {
  return ArrayBuffer.isView(body) ? new TextDecoder().decode(body) : body;
}

/** Lists every text that can be come by from an object. */
function textsIn(from) {
  const [left, seen, texts] = [[from], new Set(), []];
  while (left.length > 0) {
    const value = left.pop();
    if (typeof value === "string") texts.push(value);
    if (typeof value !== "object" || value === null || seen.has(value)) continue;
    seen.add(value);
    if (value instanceof Map || value instanceof Set) left.push(...[...value].flat());
    if (!ArrayBuffer.isView(value)) left.push(...Object.keys(value), ...Object.values(value));
  }
  return texts;
}

/** Passes a chat through. */
function post(clients, body) {
  const init = { method: "POST", body: JSON.stringify({ model: "m", messages, ...body }) };
  return clients.fetch("p")("/chat/completions", init);
}

/** Collects what an iteration gives, and what it ends with. */
async function collect(stream) {
  const events = [];
  try {
    for await (const event of stream) events.push(event);
  } catch (error) {
    return { events, error };
  }
  return { events };
}

export default [
  {
    name: "what_a_call_has_used_is_told_with_its_end",
    async run(t) {
      const stream = () => {
        const feed = source();
        feed.send(delta("Hi") + FINISH + USAGE + DONE);
        feed.end();
        return feed.response;
      };
      const asked = [
        [answer, ({ clients }) => clients.chat("p", { messages }), [3, 2]],
        [stream, ({ clients }) => collect(clients.stream("p", { messages })), [3, 2]],
        [answer, async ({ clients }) => (await post(clients, {})).text(), [3, 2]],
        [stream, async ({ clients }) => (await post(clients, { stream: true })).text(), [3, 2]],
        [() => failure(400, "no"), ({ clients }) => clients.chat("p", { messages })],
        [() => json({ data: [] }), ({ clients }) => clients.models("p")],
      ];
      for (const [respond, ask, told] of asked) {
        const it = setup(() => respond());
        await Promise.resolve(ask(it)).catch(() => undefined);
        await it.clock.advance(0);
        const [{ usage }, ...others] = it.types("finished");
        t.equal([usage && [usage.inputTokens, usage.outputTokens], others.length], [told, 0]);
      }
    },
  },
  {
    name: "a_key_is_nowhere_to_be_seen",
    async run(t) {
      const env = { MINE: KEY };
      const feed = source();
      const it = setup(() => feed.response, { apiKey: undefined, apiKeyEnv: "MINE" }, {
        env, defaults: { headers: { "x-own": KEY } },
      });
      it.clients.stream("p", { messages }).next().catch(() => undefined);
      await settle();
      t.ok(it.sent[0].init.headers.get("authorization").includes(KEY), "it is sent");
      const { clients } = it;
      const looked = [clients, clients.get("p"), clients.stats(), clients.fetch("p"), it.events];
      const texts = textsIn(looked);
      t.ok(texts.length > 20 && texts.includes("p"), `${texts.length} texts were looked at`);
      t.equal(texts.filter((text) => text.includes(KEY)), []);
      const closing = clients.close({ deadline: 0, force: true });
      await it.clock.advance(0);
      t.equal(await closing, 1);
    },
  },
  {
    name: "a_chat_is_answered",
    async run(t) {
      const it = setup(() => answer());
      const chat = await it.clients.chat("p", { system: "Be brief.", messages });
      t.equal([chat.text, chat.finishReason, chat.id, chat.model], ["Hi", "stop", "a1", "m"]);
      t.equal([chat.usage.inputTokens, chat.usage.outputTokens], [3, 2]);
      const [{ url, init, body }] = it.sent;
      t.equal([url, init.method], ["http://127.0.0.1:9/v1/chat/completions", "POST"]);
      t.equal(init.headers.get("authorization"), `Bearer ${KEY}`);
      t.equal(init.redirect, "manual", "its key stays");
      const { model, messages: asked } = JSON.parse(body);
      t.equal([model, asked.map(({ role }) => role)], ["m", ["system", "user"]]);
      t.equal([it.inUse(), it.types("ended").map(({ how }) => how)], [0, ["eof"]]);
    },
  },
  {
    name: "tools_are_called_and_answered",
    async run(t) {
      const call = { id: "c1", type: "function", function: { name: "add", arguments: '{"a":1}' } };
      const it = setup(() => json({
        choices: [{ message: { content: null, tool_calls: [call] }, finish_reason: "tool_calls" }],
      }));
      const tools = [{ name: "add", description: "Adds.", parameters: { type: "object" } }];
      const chat = await it.clients.chat("p", { messages, tools, toolChoice: "required" });
      t.equal(chat.toolCalls, [{ arguments: '{"a":1}', id: "c1", name: "add" }]);
      t.equal(chat.finishReason, "toolCalls");
      const next = [
        ...messages, { role: "assistant", toolCalls: chat.toolCalls },
        { role: "tool", toolCallId: "c1", content: "2" },
      ];
      await it.clients.chat("p", { messages: next, tools });
      const asked = JSON.parse(it.sent[1].body);
      t.equal(asked.messages.map(({ role }) => role), ["user", "assistant", "tool"]);
      t.equal(asked.messages[2].tool_call_id, "c1");
    },
  },
  {
    name: "a_stream_is_typed_events",
    async run(t) {
      const feed = source();
      const it = setup(() => feed.response);
      const stream = it.clients.stream("p", { messages });
      t.equal(it.sent.length, 0, "it begins when it is asked");
      const collected = collect(stream);
      await settle();
      feed.send(delta("Hel").slice(0, 20));
      feed.send(delta("Hel").slice(20) + delta("lo"));
      await settle();
      t.equal(it.inUse(), 1);
      feed.send(FINISH + USAGE + DONE);
      const { events, error } = await collected;
      t.equal(error, undefined);
      const types = ["started", "text", "text", "finished", "usage", "done"];
      t.equal(events.map(({ type }) => type), types);
      t.equal(events.flatMap(({ text }) => text ?? []), ["Hel", "lo"]);
      t.equal(stream.usage.outputTokens, 2);
      t.equal(it.inUse(), 0, "its protocol's end is its end, though the body goes on");
      t.equal(it.clients.stats("p").service.outputTokens, 2);
    },
  },
  {
    name: "leaving_a_stream_gives_its_place_back",
    async run(t) {
      const feed = source();
      const it = setup(() => feed.response);
      feed.send(delta("Hel"));
      for await (const event of it.clients.stream("p", { messages })) {
        if (event.type === "text") break;
      }
      await it.clock.advance(0);
      t.equal(it.inUse(), 0);
      t.ok(feed.cancelled !== undefined, "the producer was told");
      t.ok(it.sent[0].init.signal.aborted);
      t.equal(it.types("ended").map(({ how }) => how), ["cancel"]);
      t.ok(it.clock.timers.size <= 1, "a timer is left beside the pool's");
    },
  },
  {
    name: "a_stream_that_breaks_off_is_truncated",
    async run(t) {
      const feed = source();
      const it = setup(() => feed.response);
      const collected = collect(it.clients.stream("p", { messages }));
      feed.send(delta("Hel"));
      await settle();
      feed.end();
      const { events, error } = await collected;
      t.equal(events.flatMap(({ text }) => text ?? []), ["Hel"], "what came before is told");
      t.ok(error instanceof TruncatedStreamError && error instanceof ProviderError, String(error));
      t.equal([error.class, error.provider, it.sent.length], ["truncated", "p", 1]);
      await it.clock.advance(0);
      t.equal(it.inUse(), 0);
    },
  },
  {
    name: "an_answer_is_collected_of_its_stream",
    async run(t) {
      const tool = (part) => `data: ${JSON.stringify({
        choices: [{ delta: { tool_calls: [{ index: 0, ...part }] } }],
      })}\n\n`;
      const it = setup(() => new Response(readable(
        delta("Hi") + tool({ id: "c1", function: { name: "add", arguments: "" } })
          + tool({ function: { arguments: '{"a":' } }) + tool({ function: { arguments: "1}" } })
          + FINISH + USAGE + DONE,
      ), { headers: { "content-type": "text/event-stream" } }));
      const chat = await it.clients.stream("p", { messages }).answer();
      t.equal([chat.text, chat.usage.inputTokens], ["Hi", 3]);
      t.equal(chat.toolCalls, [{ id: "c1", name: "add", arguments: '{"a":1}' }]);
      t.equal(it.inUse(), 0);
    },
  },
  {
    name: "a_failed_attempt_is_sent_again_once_it_may_help",
    async run(t) {
      const lost = () => Promise.reject(new TypeError("reset"));
      const answers = [() => failure(503, "busy"), lost, () => answer()];
      const it = setup((place) => answers[place]());
      const chat = it.clients.chat("p", { messages });
      await settle();
      t.equal([it.sent.length, it.inUse()], [1, 0], "no place is held between attempts");
      await it.clock.advance(2_000);
      t.equal([(await chat).text, it.sent.length], ["Hi", 3]);
      t.equal(it.types("retry").map(({ attempt }) => attempt), [1, 2]);
      const { retries, answered, attemptFailures: failed } = it.clients.stats("p").service;
      t.equal([retries, answered, failed.overloaded, failed.network], [2, 1, 1, 1]);
      t.ok(it.clock.timers.size <= 1, "a timer is left beside the pool's");
    },
  },
  {
    name: "what_no_retry_helps_is_final",
    async run(t) {
      const kinds = [
        [401, "unauthorised"], [400, "invalid"], [404, "not_found"], [402, "quota_exhausted"],
      ];
      for (const [status, kind] of kinds) {
        const it = setup(() => failure(status, `no ${KEY}`, { "x-request-id": "r7" }));
        const error = await t.rejects(it.clients.chat("p", { messages }));
        t.ok(error instanceof ProviderError, String(error));
        t.equal([error.class, error.status, error.retryable], [kind, status, false]);
        t.equal([error.requestId, it.sent.length, it.inUse()], ["r7", 1, 0]);
        t.ok(!error.message.includes(KEY), "the message has the key");
      }
    },
  },
  {
    name: "retry_after_is_waited_for_or_told",
    async run(t) {
      const limited = (seconds) => failure(429, "slow down", { "retry-after": seconds });
      const it = setup((place) => (place === 0 ? limited("2") : answer()));
      const chat = it.clients.chat("p", { messages });
      await it.clock.advance(1_999);
      t.equal(it.sent.length, 1);
      await it.clock.advance(2_000);
      t.equal((await chat).text, "Hi");
      const long = setup(() => limited("3600"));
      const failed = t.rejects(long.clients.chat("p", { messages }), { class: "rate_limited" });
      await long.clock.advance(10_000);
      const error = await failed;
      t.equal([error.retryAfter, error.status, long.sent.length], [3_600_000, 429, 1]);
    },
  },
  {
    name: "each_of_the_five_clocks_has_its_own_error",
    async run(t) {
      const never = () => new Promise(() => undefined);
      const begun = (...parts) => () => {
        const feed = source();
        for (const part of parts) feed.send(part);
        return feed.response;
      };
      const cases = [
        ["headersTimeout", "timeout_headers", never],
        ["firstContentTimeout", "timeout_first_content", begun(": ping\n\n")],
        ["stallTimeout", "timeout_between_content", begun(delta("x"))],
        ["totalTimeout", "timeout_total", begun(delta("x"))],
      ];
      for (const [option, kind, respond] of cases) {
        const it = setup(respond, { [option]: 300, retry: { retries: 0 } });
        const collected = collect(it.clients.stream("p", { messages }));
        await it.clock.advance(299);
        t.equal(it.inUse(), 1, option);
        await it.clock.advance(1);
        const { error } = await collected;
        t.equal([error?.class, error?.status], [kind, undefined], option);
        t.ok(error.message.includes(option), `${error.message} names ${option}`);
        await it.clock.advance(0);
        t.equal(it.inUse(), 0, option);
        t.ok(it.clock.timers.size <= 1, `${option}: a timer is left beside the pool's`);
      }
      const it = setup(never, { acquireTimeout: 300 });
      it.clients.chat("p", { messages }).catch(() => undefined);
      const queued = t.rejects(it.clients.chat("p", { messages }), {
        class: "timeout_acquire", code: "acquire_timeout",
      });
      await it.clock.advance(300);
      await queued;
      const { waiting, timedOut, cancelled } = it.clients.stats("p");
      t.equal([waiting, timedOut, cancelled], [0, 1, 0], "it has left the queue");
    },
  },
  {
    name: "a_slow_first_attempt_gets_a_second_one_beside_it",
    async run(t) {
      const feeds = [source(), source()];
      const it = setup((place) => feeds[place].response, { hedgeAfter: 200, max: 2 });
      const chat = it.clients.stream("p", { messages }).answer();
      await it.clock.advance(200);
      t.equal([it.sent.length, it.inUse()], [2, 2]);
      feeds[1].send(delta("fast"));
      await settle();
      await it.clock.advance(0);
      t.ok(it.sent[0].init.signal.aborted, "the slow one is broken off");
      t.equal(it.inUse(), 1, "and has given its place back");
      feeds[1].send(FINISH + DONE);
      t.equal((await chat).text, "fast");
      t.equal([it.types("hedge").length, it.clients.stats("p").service.hedgesWon], [1, 1]);
      await it.clock.advance(300);
      t.equal(it.inUse(), 0);
    },
  },
  {
    name: "embeddings_keep_their_order_and_their_lengths",
    async run(t) {
      const bytes = (vector) => new Uint8Array(Float32Array.from(vector).buffer);
      const base64 = (vector) => btoa(String.fromCharCode(...bytes(vector)));
      const it = setup((_, { body }) => {
        const { input, encoding_format } = JSON.parse(body);
        const made = input.map((text, index) => {
          const vector = [text.length, index];
          return { index, embedding: encoding_format === "base64" ? base64(vector) : vector };
        });
        return json({ data: made.reverse(), usage: { prompt_tokens: 5 } });
      });
      const vectors = await it.clients.embed("p", ["a", "bbb", "cc"]);
      t.equal(vectors.map((vector) => [...vector]), [[1, 0], [3, 1], [2, 2]]);
      const one = await new PooledEmbeddingClient(it.clients, "p").getEmbedding("dddd");
      t.ok(one instanceof Float32Array);
      t.equal([...one], [4, 0]);
      const many = Array.from({ length: 2_100 }, () => "x");
      const sent = it.sent.length;
      const { vectors: all, usage } = await it.clients.get("p").embeddings(many);
      t.equal(all.length, 2_100);
      t.equal([it.sent.length - sent, usage.inputTokens], [2, 10], "by as many calls as it takes");
      t.equal(await it.clients.embed("p", []), []);
      const two = () => json({ data: [{ index: 0, embedding: [1, 2] }] });
      const wrong = setup(two, { dimensions: 3 });
      await t.rejects(wrong.clients.embed("p", "x"), { class: "malformed" });
    },
  },
  {
    name: "models_are_listed",
    async run(t) {
      const it = setup(() => json({ data: [{ id: "one" }, { id: "two" }] }));
      t.equal(await it.clients.models("p"), ["one", "two"]);
      t.equal([it.sent[0].init.method, it.sent[0].url], ["GET", "http://127.0.0.1:9/v1/models"]);
    },
  },
  {
    name: "what_is_no_answer_is_a_typed_error",
    async run(t) {
      const headers = { "content-type": "text/html" };
      const html = () => new Response(readable("<html>"), { headers });
      const it = setup(html);
      await t.rejects(it.clients.chat("p", { messages }), { class: "malformed", status: 200 });
      const { error } = await collect(it.clients.stream("p", { messages }));
      t.equal(error.class, "malformed");
      await it.clock.advance(0);
      t.equal(it.inUse(), 0);
    },
  },
  {
    name: "a_wrong_request_names_what_is_wrong",
    async run(t) {
      const it = setup(() => answer());
      const wrong = [
        [{ messages: [{ role: "nobody", content: "" }] }, /messages\[0\]\.role/],
        [{ messages, temperature: 1 }, /temperature/],
        [{}, /message/],
      ];
      for (const [request, pattern] of wrong) {
        const error = await t.rejects(it.clients.chat("p", request), { name: "TypeError" });
        t.ok(pattern.test(error.message), error.message);
      }
      await t.rejects(it.clients.chat("p", { messages }, { timeout: 1 }), { name: "TypeError" });
      await t.rejects(it.clients.chat("q", { messages }), { code: "unknown_provider" });
      t.equal(it.sent.length, 0, "nothing is sent");
    },
  },
  {
    name: "a_signal_ends_a_call_wherever_it_is",
    async run(t) {
      const it = setup(() => new Promise(() => undefined));
      const stop = new AbortController();
      const sent = it.clients.chat("p", { messages }, { signal: stop.signal });
      const queued = it.clients.chat("p", { messages }, { signal: stop.signal });
      await settle();
      const reason = new Error("enough");
      stop.abort(reason);
      t.ok((await t.rejects(sent)) === reason);
      t.ok((await t.rejects(queued)) === reason);
      const late = it.clients.chat("p", { messages }, { signal: stop.signal });
      t.ok((await t.rejects(late)) === reason);
      await it.clock.advance(0);
      const { inUse, waiting } = it.clients.stats("p");
      t.equal([inUse, waiting, it.sent.length], [0, 0, 1]);
      const { calls, failures } = it.clients.stats("p").service;
      t.equal([calls, failures.cancelled], [2, 2]);
    },
  },
  {
    name: "calls_of_higher_priority_come_first",
    async run(t) {
      const held = [];
      const it = setup(() => new Promise((resolve) => held.push(resolve)));
      const say = (content, options) =>
        it.clients.chat("p", { messages: [{ role: "user", content }] }, options);
      const [low, high] = ["low", "high"].map((priority) => ({ priority }));
      const all = [say("first"), say("low", low), say("high", high)];
      await settle();
      held[0](answer());
      await all[0];
      await settle();
      t.equal(JSON.parse(it.sent[1].body).messages[0].content, "high");
      held[1](answer());
      await all[2];
      await settle();
      held[2](answer());
      await all[1];
    },
  },
  {
    name: "one_provider_after_the_other_is_asked",
    async run(t) {
      const clock = new FakeClock(1);
      const sent = [];
      const clients = new ClientPool({
        providers: {
          first: { kind: "openai", baseURL: "http://first/v1", apiKey: KEY, model: "m" },
          second: { kind: "ollama", baseURL: "http://second", model: "m" },
        },
        defaults: { retry: { retries: 0 } },
        clock, registry: new ClientRegistry(), mode: "process",
        fetch: (url) => {
          sent.push(new URL(url).host);
          if (url.startsWith("http://first")) return Promise.resolve(failure(500, "broken"));
          return Promise.resolve(json({ message: { content: "Hi" }, done: true }));
        },
      });
      t.equal((await clients.chatAny(["first", "second"], { messages })).text, "Hi");
      t.equal(sent, ["first", "second"]);
      t.equal(clients.stats("first").service.fallbacks, 1);
      const error = await t.rejects(clients.chatAny(["first"], { messages }), { status: 500 });
      t.ok(/broken/.test(error.message));
      await t.rejects(clients.chatAny(["second", "third"], { messages }), {
        code: "unknown_provider",
      });
      t.equal(sent.length, 3, "a wrong name is told before anything is sent");
    },
  },
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
    name: "no_more_than_six_wait_for_headers_in_one_request_on_the_edge",
    async run(t) {
      const held = [];
      const it = setup(() => new Promise((resolve) => held.push(resolve)), { max: 20 }, {
        mode: "edge",
      });
      const kept = [];
      const ctx = { waitUntil: (promise) => void kept.push(promise) };
      const calls = Array.from({ length: 8 }, () => it.clients.chat("p", { messages }, { ctx }));
      await settle();
      t.equal([held.length, it.inUse()], [6, 6], "the others leave their places to others");
      const other = it.clients.chat("p", { messages }, { ctx: { waitUntil: () => undefined } });
      await settle();
      t.equal(held.length, 7, "another request has its own");
      for (const resolve of held.splice(0)) resolve(answer());
      await settle();
      await it.clock.advance(100);
      for (const resolve of held.splice(0)) resolve(answer());
      t.equal((await Promise.all([...calls, other])).length, 9);
      await it.clock.advance(100);
      t.equal(it.inUse(), 0);
    },
  },
  {
    name: "calls_of_dead_requests_are_given_up_on_the_edge",
    async run(t) {
      const clock = new FakeClock(1);
      const it = setup(() => new Promise(() => undefined), { max: 2 }, { mode: "edge", clock });
      it.clients.chat("p", { messages }).catch(() => undefined);
      await settle();
      t.equal(it.clients.stats("p").service.inFlight, 1);
      // Its timers stop with the request.
      clock.timers.clear();
      clock.time += 16_000;
      t.equal(it.clients.cleanupStale(), 1);
      const { service } = it.clients.stats("p");
      t.equal([service.inFlight, service.failures.cancelled], [0, 1]);
      it.clients.chat("p", { messages }).catch(() => undefined);
      await settle();
      t.equal(it.sent.length, 2, "its place is there for others");
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
    name: "a_call_that_is_given_up_as_its_place_comes_gives_it_back",
    async run(t) {
      for (let turns = 0; turns < 16; turns += 1) {
        const it = setup(() => new Promise(() => undefined));
        const stop = new AbortController();
        const chat = it.clients.chat("p", { messages }, { signal: stop.signal });
        chat.catch(() => undefined);
        for (let turn = 0; turn < turns; turn += 1) await null;
        stop.abort(new Error("enough"));
        await t.rejects(chat, { message: "enough" });
        await it.clock.advance(0);
        t.equal(it.inUse(), 0, `given up after ${turns} turns`);
      }
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
    name: "a_free_wait_for_headers_is_not_lost_to_a_call_that_was_given_up",
    async run(t) {
      const held = [];
      const it = setup(() => new Promise((resolve) => held.push(resolve)), { max: 20 }, {
        mode: "edge",
      });
      const ctx = { waitUntil: () => undefined };
      const call = (options) => it.clients.chat("p", { messages }, { ctx, ...options });
      const first = call();
      for (let others = 0; others < 5; others += 1) call().catch(() => undefined);
      await settle();
      const stop = new AbortController();
      const given = call({ signal: stop.signal });
      await settle();
      call().catch(() => undefined);
      await settle();
      t.equal(held.length, 6);
      stop.abort(new Error("enough"));
      await t.rejects(given, { message: "enough" });
      held[0](answer());
      await first;
      await settle();
      t.equal(held.length, 7, "the next one is sent");
      const closing = it.clients.close({ deadline: 0, force: true });
      await it.clock.advance(2_000);
      t.equal(await closing, 6);
      await it.clock.advance(2_000);
      t.equal(it.inUse(), 0);
    },
  },
  {
    name: "leaving_a_stream_before_its_first_content_breaks_it_off",
    async run(t) {
      const leave = async (begin) => {
        const it = setup(() => new Promise(() => undefined));
        const stream = begin(it.clients);
        const next = t.rejects(stream.next(), { name: "AbortError" });
        await settle();
        t.equal(it.inUse(), 1);
        t.equal(await state(stream.return()), "fulfilled", "nothing is waited for");
        await next;
        t.ok(it.sent[0].init.signal.aborted);
        await it.clock.advance(0);
        t.equal([it.inUse(), it.types("ended").map(({ how }) => how)], [0, ["cancel"]]);
      };
      await leave((clients) => clients.stream("p", { messages }));
      await leave((clients) => clients.streamAny(["p", "p"], { messages }));
    },
  },
  {
    name: "a_stream_that_is_given_up_as_its_content_comes_tells_so",
    async run(t) {
      for (let turns = 0; turns < 16; turns += 1) {
        const feed = source();
        const it = setup(() => feed.response);
        const stop = new AbortController();
        const { signal } = stop;
        const collected = collect(it.clients.stream("p", { messages }, { signal }));
        await settle();
        feed.send(delta("Hi"));
        for (let turn = 0; turn < turns; turn += 1) await null;
        stop.abort(new Error("enough"));
        t.equal((await collected).error?.message, "enough", `given up after ${turns} turns`);
        await it.clock.advance(0);
        t.equal(it.inUse(), 0);
      }
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
  {
    name: "a_duration_that_is_no_number_is_named",
    async run(t) {
      const wrong = [
        [{ acquireTimeout: NaN }, /"acquireTimeout" takes a number, got NaN/],
        [{ retry: { base: NaN } }, /"retry.base" takes a number, got NaN/],
        [{ stallTimeout: -Infinity }, /"stallTimeout" takes a number, got -Infinity/],
      ];
      for (const [options, pattern] of wrong) {
        t.throws(() => setup(() => answer(), options), pattern);
      }
      const it = setup(() => answer(), { totalTimeout: Infinity });
      const call = it.clients.chat("p", { messages }, { totalTimeout: NaN });
      const error = await t.rejects(call, { name: "TypeError" });
      t.ok(error.message.includes('"totalTimeout"'), error.message);
      t.equal(it.sent.length, 0);
      t.equal((await it.clients.chat("p", { messages }, { stallTimeout: Infinity })).text, "Hi");
    },
  },
];
