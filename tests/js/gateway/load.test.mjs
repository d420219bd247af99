// Many more callers than places.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { chat, isComplete } from "../lib/client.mjs";
import { RUNTIME } from "../lib/process.mjs";
import { startGateway, startSimulator } from "../lib/servers.mjs";
import { eventually } from "../lib/time.mjs";

const CALLERS = 200;
const PLACES = 4;
let simulator, gateway;

before(async () => {
  const pace = { "latency-ms": 5, "first-token-ms": 5, "chunk-ms": 2, chunks: 8 };
  simulator = await startSimulator({ max: PLACES, ...pace });
  gateway = await startGateway({
    providers: { few: { kind: "openai", url: `${simulator.url}/v1`, max: PLACES } },
  });
});
after(async () => {
  await gateway?.stop();
  await simulator?.stop();
});

test(`${RUNTIME}: 200 streams at once on a backend that admits 4 all complete`, async (t) => {
  const start = performance.now();
  const one = async () => {
    const response = await chat(`${gateway.url}/few`);
    const text = await response.text();
    const wait = Number(response.headers.get("x-edgepool-wait-ms"));
    return { status: response.status, text, wait, slot: response.headers.get("x-edgepool-slot") };
  };
  const answers = await Promise.all(Array.from({ length: CALLERS }, one));
  const took = Math.round(performance.now() - start);

  for (const { status, text } of answers) {
    assert.equal(status, 200, text);
    assert.ok(isComplete(text), `ends with ${text.slice(-80)}`);
  }
  const { peak, refused, served, completed } = await simulator.rest();
  assert.ok(peak <= PLACES, `the backend saw ${peak} at once`);
  assert.deepEqual({ refused, served, completed }, { refused: 0, served: 200, completed: 200 });
  assert.equal(peak, PLACES, "the places were all used");

  const { seen } = await gateway.rest("few", 5_000);
  assert.equal(seen.max, PLACES);
  const waits = answers.map(({ wait }) => wait).sort((a, b) => a - b);
  assert.ok(waits.every((ms) => Number.isInteger(ms) && ms >= 0 && ms <= took), `${waits}`);
  assert.ok(waits.at(-1) > waits[0], "those who queued were told how long");
  const slots = new Set(answers.map(({ slot }) => slot));
  assert.ok(slots.size <= PLACES && !slots.has(null), `slots ${[...slots]}`);
  t.diagnostic(`${took} ms in all; waits ${waits[0]} to ${waits.at(-1)} ms; peak ${peak}`);
});

test(`${RUNTIME}: callers are served in the order in which they came`, async () => {
  const order = [];
  const calls = [];
  const slow = { "x-sim-first-token-ms": "300", "x-sim-chunks": "1" };
  const { started } = await gateway.stats("few");
  for (let i = 0; i < 24; i += 1) {
    const call = chat(`${gateway.url}/few`, { headers: slow }).then(async (response) => {
      order.push(i);
      await response.text();
    });
    calls.push(call);
    // A request has come when all of it is there.
    await eventually(5_000, "it is in", async () =>
      (await gateway.stats("few")).started === started + i + 1);
  }
  await Promise.all(calls);
  // Those let in together may answer in any order; nobody overtakes a whole round.
  for (const [place, i] of order.entries()) {
    assert.ok(Math.abs(place - i) < PLACES, `order ${order}`);
  }
});
