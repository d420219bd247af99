// aimock: a second opinion on OpenAI and Anthropic, and the one that speaks Ollama's NDJSON.

import assert from "node:assert/strict";
import { test } from "node:test";

import { WAYS, WEATHER, address, assertQuiet, clients, failureOf, say } from "./servers.mjs";

const KINDS = { ollama: "", openai: "/v1", "openai-responses": "/v1", anthropic: "" };
/** As in `tests/js/providers/fixtures`. */
const ANSWER = "Light scatters, and the blue of it most.";
const SKY = say("Why is the sky blue?");

for (const [kind, path] of Object.entries(KINDS)) {
  const of = (more) => clients(kind, address("AIMOCK") + path, more);

  test(`${kind}: chats come whole and as streams`, async () => {
    const pool = of();
    for (const ask of Object.values(WAYS)) assert.equal((await ask(pool, SKY)).text, ANSWER);
    const { sent, answered } = pool.stats("p").service;
    assert.deepEqual([sent, answered], [2, 2]);
    await assertQuiet(pool);
  });

  test(`${kind}: a stream comes in pieces, to the end of its protocol`, async () => {
    const pool = of();
    const events = [];
    for await (const event of pool.stream("p", SKY)) events.push(event);
    const texts = events.filter(({ type }) => type === "text").map(({ text }) => text);
    assert.ok(texts.length > 1, JSON.stringify(events));
    assert.equal(texts.join(""), ANSWER);
    assert.deepEqual(events.at(-1), { type: "done" });
    const finished = events.filter(({ type }) => type === "finished");
    assert.deepEqual(finished, [{ type: "finished", finishReason: "stop" }]);
    await assertQuiet(pool);
  });

  test(`${kind}: tools are called`, async () => {
    const pool = of();
    for (const ask of Object.values(WAYS)) {
      const { toolCalls } = await ask(pool, { ...say("What is the weather?"), tools: [WEATHER] });
      assert.deepEqual(toolCalls.map(({ name, arguments: told }) => [name, JSON.parse(told)]),
        [["weather", { city: "Berlin" }]]);
    }
    await assertQuiet(pool);
  });

  test(`${kind}: a wrong key is told without it, and not tried again`, async () => {
    const pool = of({ apiKey: "sk-wrong" });
    for (const ask of Object.values(WAYS)) {
      const error = await failureOf(ask(pool, SKY));
      assert.equal(error.class, "unauthorised", String(error));
      assert.match(error.message, /Check the key/);
      assert.ok(!`${error.stack} ${JSON.stringify(error)}`.includes("sk-wrong"), error.stack);
    }
    assert.equal(pool.stats("p").service.sent, 2);
    await assertQuiet(pool);
  });

  test(`${kind}: a stream that is left gives its place back`, async () => {
    const pool = of();
    for await (const { type } of pool.stream("p", SKY)) if (type === "text") break;
    await assertQuiet(pool);
    assert.equal((await WAYS.streamed(pool, SKY)).text, ANSWER);
    await assertQuiet(pool);
  });

  test(`${kind}: what it does not know is not found`, async () => {
    const pool = of();
    const error = await failureOf(WAYS.streamed(pool, say("What does nobody know?")));
    assert.equal(error.class, "not_found", String(error));
    assert.equal(pool.stats("p").service.sent, 1);
    await assertQuiet(pool);
  });
}
