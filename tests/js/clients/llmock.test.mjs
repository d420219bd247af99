// LLMock: OpenAI and Anthropic with faults by scenario, against the clients in Node.

import assert from "node:assert/strict";
import { test } from "node:test";

import { eventually, sleep } from "../lib/time.mjs";
import {
  Mock, PooledEmbeddingClient, TruncatedStreamError, WAYS, WEATHER, assertQuiet, clients,
  clientsOf, failureOf, say,
} from "./servers.mjs";

/** The kinds that it speaks, with the paths that they have there. */
const KINDS = { openai: "/v1", "openai-responses": "/v1", anthropic: "/anthropic" };
const SHORT = { firstContentTimeout: 300, stallTimeout: 300 };

for (const [kind, path] of Object.entries(KINDS)) {
  test(`${kind}: chats come whole and as streams, with their usage`, async () => {
    const mock = await Mock.fresh();
    const pool = clients(kind, mock.at + path);
    const messages = [
      ...say("Why is the sky blue?").messages,
      { role: "assistant", content: "Light scatters." },
      ...say("Why?").messages,
    ];
    const texts = [];
    for (const ask of Object.values(WAYS)) {
      const { text, usage } = await ask(pool, { system: "Be short.", messages });
      assert.ok(usage?.inputTokens > 0 && usage.outputTokens > 0, JSON.stringify(usage));
      texts.push(text);
    }
    assert.ok(texts[0] !== "" && texts[0] === texts[1], texts.join(" / "));
    await mock.agrees(pool);
  });

  test(`${kind}: the models are listed`, async () => {
    const mock = await Mock.fresh();
    const pool = clients(kind, mock.at + path);
    assert.ok((await pool.models("p")).length > 0);
    await assertQuiet(pool);
  });

  for (const status of [400, 401, 404]) {
    test(`${kind}: ${status} stays wrong, and is not tried again`, async () => {
      const mock = await Mock.fresh();
      const pool = clients(kind, mock.at + path);
      await mock.next({ type: "fail", status, message: "for sk-test" });
      const error = await failureOf(WAYS.streamed(pool, say("Why?")));
      const wanted = { 400: "invalid", 401: "unauthorised", 404: "not_found" }[status];
      assert.deepEqual([error.class, error.status], [wanted, status]);
      assert.ok(!String(error).includes("sk-test"), String(error));
      assert.equal(pool.stats("p").service.sent, 1);
      await mock.agrees(pool);
    });
  }

  for (const [fault, wanted] of Object.entries({
    disconnect: "network", truncate: "truncated", stall: "timeout_between_content",
    malformed: "malformed",
  })) {
    test(`${kind}: a stream that breaks off (${fault}) says how`, async () => {
      const mock = await Mock.fresh();
      const pool = clients(kind, mock.at + path, SHORT);
      const chat = say("Why is the sky blue?");
      // Far enough for content to have come, and for none of it to be the last.
      const after = kind === "openai" ? 3 : 6;
      await mock.next({ type: "stream_fault", kind: fault, after_chunks: after });
      let seen = "";
      const error = await failureOf((async () => {
        for await (const { text } of pool.stream("p", chat)) seen += text ?? "";
      })());
      assert.equal(error.class, wanted, String(error));
      assert.equal(error instanceof TruncatedStreamError, fault === "truncate");
      assert.notEqual(seen, "");
      await assertQuiet(pool);
      // What a caller has seen cannot be taken back, so it is for the caller to ask again.
      // It is the same call for LLMock once that has seen the end of the first attempt.
      await sleep(200);
      assert.ok((await WAYS.streamed(pool, chat)).text.startsWith(seen));
      assert.equal(pool.stats("p").service.sent, 2);
      await mock.agrees(pool);
    });
  }

  test(`${kind}: a stream that is left gives its place back`, async () => {
    const mock = await Mock.fresh();
    const pool = clients(kind, mock.at + path);
    for await (const { type } of pool.stream("p", say("Why is the sky blue?"))) {
      if (type !== "text") continue;
      assert.equal(pool.stats("p").inUse, 1);
      break;
    }
    await assertQuiet(pool);
    const { seen } = await eventually(2_000, "LLMock sees the end", async () => {
      const requests = await mock.requests();
      return requests.length > 0 && requests;
    });
    assert.deepEqual(seen.map(({ completed }) => completed), [false]);
  });
}

for (const [kind, status, wanted] of [
  ["openai", 429, "rate_limited"], ["openai", 503, "overloaded"],
  ["anthropic", 429, "rate_limited"], ["anthropic", 529, "overloaded"],
]) {
  for (const [how, ask] of Object.entries(WAYS)) {
    test(`${kind}: ${status} is tried again when the provider says, ${how}`, async () => {
      const mock = await Mock.fresh();
      const pool = clients(kind, mock.at + KINDS[kind]);
      await mock.next({ type: "fail", status, retry_after: 0.2, times: 2 });
      const start = performance.now();
      assert.notEqual((await ask(pool, say("Why?"))).text, "");
      // Timers of Node may fire 1 ms early.
      assert.ok(performance.now() - start >= 398);
      const { sent, attemptFailures } = pool.stats("p").service;
      assert.deepEqual([sent, attemptFailures], [3, { [wanted]: 2 }]);
      await mock.agrees(pool);
    });
  }
}

for (const kind of ["openai", "anthropic"]) {
  for (const fault of [
    { type: "stream_fault", kind: "disconnect", after_chunks: 0 },
    { type: "stream_fault", kind: "truncate", after_chunks: 0 },
    { type: "stream_fault", kind: "stall", after_chunks: 0 },
    { type: "slow_first_token", seconds: 5 },
  ]) {
    const name = fault.kind ?? fault.type;
    test(`${kind}: before content ${name} is no failure, but asked for again`, async () => {
      const mock = await Mock.fresh();
      const pool = clients(kind, mock.at + KINDS[kind], SHORT);
      await mock.next(fault);
      assert.notEqual((await WAYS.streamed(pool, say("Why?"))).text, "");
      assert.equal(pool.stats("p").service.sent, 2);
      await mock.agrees(pool);
    });
  }

  test(`${kind}: tools are called, and their answers passed on`, async () => {
    const mock = await Mock.fresh();
    const pool = clients(kind, mock.at + KINDS[kind]);
    for (const ask of Object.values(WAYS)) {
      const chat = { ...say("What is the weather?"), tools: [WEATHER] };
      const call = { name: "weather", arguments: { city: "Berlin" } };
      await mock.next({ type: "reply", tool_calls: [call] });
      const { toolCalls } = await ask(pool, chat);
      assert.deepEqual(toolCalls.map(({ name, arguments: told }) => [name, JSON.parse(told)]),
        [["weather", { city: "Berlin" }]]);
      const told = { role: "tool", toolCallId: toolCalls[0].id, content: "sunny" };
      const messages = [...chat.messages, { role: "assistant", toolCalls }, told];
      assert.notEqual((await ask(pool, { ...chat, messages })).text, "");
    }
    const bodies = (await mock.requests()).map(({ body }) => JSON.stringify(body));
    assert.ok(bodies.every((body) => body.includes("Tells the weather")), bodies.join("\n"));
    assert.equal(bodies.filter((body) => body.includes("sunny")).length, 2, bodies.join("\n"));
    await mock.agrees(pool);
  });
}

test("embeddings come in the order of their texts", async () => {
  const mock = await Mock.fresh();
  const pool = clients("openai", `${mock.at}/v1`, { embeddingModel: "text-embedding-3-small" });
  const texts = Array.from({ length: 5 }, (_, at) => `text ${at}`);
  const all = await pool.embed("p", texts);
  const single = new PooledEmbeddingClient(pool, "p");
  assert.equal(all.length, texts.length);
  for (const [at, text] of texts.entries()) {
    assert.deepEqual(await single.getEmbedding(text), all[at], text);
  }
  await assertQuiet(pool);
  await mock.judges();
});

for (const [how, ask] of Object.entries({
  whole: (pool, chat) => pool.chatAny(["first", "second"], chat),
  streamed: (pool, chat) => pool.streamAny(["first", "second"], chat).answer(),
})) {
  test(`where one provider fails the next one answers, ${how}`, async () => {
    const [broken, good] = [await Mock.fresh(), await Mock.fresh("LLMOCK_LIMITED")];
    const pool = clientsOf({
      first: { kind: "openai", baseURL: `${broken.at}/v1` },
      second: { kind: "anthropic", baseURL: `${good.at}/anthropic` },
    });
    await broken.next({ type: "fail", status: 401 });
    assert.notEqual((await ask(pool, say("Why?"))).text, "");
    const { service } = pool.stats("first");
    assert.deepEqual([service.failures, service.fallbacks], [{ unauthorised: 1 }, 1]);
    assert.equal(pool.stats("second").service.answered, 1);
    await broken.agrees(pool, "first");
    await good.agrees(pool, "second");
  });
}

test("no more are under way than may be, and all are answered", async () => {
  const mock = await Mock.fresh();
  const pool = clients("openai", `${mock.at}/v1`);
  const chats = Array.from({ length: 40 }, (_, at) => say(`What is ${at}?`));
  const answers = await Promise.all(chats.map((chat) => WAYS.whole(pool, chat)));
  assert.ok(answers.every(({ text }) => text !== ""));
  const requests = await mock.requests();
  const atOnce = requests.map(({ started_at: at }) =>
    requests.filter((other) => other.started_at <= at && at < other.ended_at).length);
  assert.ok(Math.max(...atOnce) <= 4, `${Math.max(...atOnce)} of 4 places`);
  await mock.agrees(pool);
});
