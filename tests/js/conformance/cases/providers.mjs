// Chats, streams and embeddings by providers of a client pool. No network: `fetch` is given.
import {
  ClientPool, ClientRegistry, PooledEmbeddingClient, ProviderError, TruncatedStreamError,
} from "edgepool/clients";
import { FakeClock, settle, state } from "../lib/harness.mjs";
import {
  answer, collect, delta, DONE, failure, FINISH, json, KEY, messages, post, readable,
  setup, source, textsIn, USAGE,
} from "../lib/provider-world.mjs";

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
