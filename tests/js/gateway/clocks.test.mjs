// Silence: in workerd a client that closes while its upstream says nothing is noticed only at the
// next write, so the clocks bound how long it keeps its place. Elsewhere it is noticed at once.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import { CHAT, RawRequest, chat } from "../lib/client.mjs";
import { RUNTIME } from "../lib/process.mjs";
import { startBackend, startGateway, startSimulator } from "../lib/servers.mjs";
import { eventually, sleep, within } from "../lib/time.mjs";

const HEADERS_MS = 1_000;
const FIRST_MS = 1_200;
const STALL_MS = 900;
/** For timers, the statistics and a busy machine. */
const MARGIN_MS = 1_200;
/** What a client that closed in silence may keep its place for. */
const bound = (clock) => (RUNTIME === "workerd" ? clock + MARGIN_MS : clock - 100);
let simulator, pinging, gateway;
/** The streams of comments that the provider still sends. */
let pings = 0;

/** Says one word if the path asks for it, and then keeps the stream alive without any. */
function ping(request, response) {
  request.resume();
  response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
  if (request.url.endsWith("/word")) response.write("data: word\n\n");
  pings += 1;
  const timer = setInterval(() => response.write(": ping\n\n"), 100);
  response.on("close", () => {
    pings -= 1;
    clearInterval(timer);
  });
}

before(async () => {
  pinging = await startBackend(ping);
  simulator = await startSimulator({ max: 8, "latency-ms": 5, "first-token-ms": 5 });
  const clocks = {
    headers_timeout_ms: HEADERS_MS,
    first_content_timeout_ms: FIRST_MS,
    stall_timeout_ms: STALL_MS,
    // Of what is sent again the clocks begin again.
    retry: { retries: 0 },
  };
  gateway = await startGateway({
    providers: {
      one: { kind: "openai", url: `${simulator.url}/v1`, max: 1, ...clocks },
      pinging: { kind: "openai", url: pinging.url, max: 1, ...clocks },
    },
  });
});
after(async () => {
  await gateway?.stop();
  await simulator?.stop();
  await pinging?.stop();
});
beforeEach(() => simulator.reset());

/** Waits until the simulator serves one. */
const isServed = () =>
  eventually(5_000, "one is served", async () => (await simulator.stats()).in_flight === 1);

/** Waits for the headers, which come before any byte of the body. */
const isAnswered = async (raw) => assert.equal(await raw.until(({ status }) => status, 5_000), 200);

/** Opens a request with a fault, waits for `look`, then closes; gives when the place was back. */
async function heldAfter(fault, look, close) {
  const raw = new RawRequest(`${gateway.url}/one${CHAT}`, { headers: { "x-sim-fault": fault } });
  const start = performance.now();
  await look(raw);
  await sleep(100);
  assert.equal((await gateway.stats("one")).in_use, 1);
  close(raw);
  await gateway.rest("one", 10_000);
  return Math.round(performance.now() - start);
}

test(`${RUNTIME}: a silent upstream whose client closed is bounded by first content`, async (t) => {
  const held = await heldAfter("silent", isAnswered, (raw) => raw.leave());
  t.diagnostic(`place back after ${held} ms; the clock is ${FIRST_MS} ms`);
  assert.ok(held <= bound(FIRST_MS), `${held} ms`);
  assert.equal((await simulator.rest()).cancelled, 1);
});

test(`${RUNTIME}: a stalled upstream whose client closed is bounded by its clock`, async (t) => {
  const stalls = (raw) => raw.until(({ events }) => events >= 3, 5_000);
  const held = await heldAfter("stall", stalls, (raw) => raw.leave());
  t.diagnostic(`place back after ${held} ms; the clock is ${STALL_MS} ms`);
  assert.ok(held <= bound(STALL_MS), `${held} ms`);
  assert.equal((await simulator.rest()).cancelled, 1);
});

test(`${RUNTIME}: an upstream without headers whose client closed is bounded too`, async (t) => {
  const headers = { "x-sim-latency-ms": "60000" };
  const raw = new RawRequest(`${gateway.url}/one${CHAT}`, { headers });
  const start = performance.now();
  await eventually(2_000, "held", async () => (await gateway.stats("one")).in_use === 1);
  raw.leave();
  await gateway.rest("one", 10_000);
  const held = Math.round(performance.now() - start);
  t.diagnostic(`place back after ${held} ms; the clock is ${HEADERS_MS} ms`);
  assert.ok(held <= bound(HEADERS_MS), `${held} ms`);
  assert.equal((await simulator.rest()).cancelled, 1);
});

test(`${RUNTIME}: a client that resets gives its place back before any clock`, async (t) => {
  const held = await heldAfter("silent", isAnswered, (raw) => raw.reset());
  t.diagnostic(`place back after ${held} ms`);
  assert.ok(held < FIRST_MS, `${held} ms`);
  assert.equal((await simulator.rest()).cancelled, 1);
});

for (const [fault, clock] of [["silent", FIRST_MS], ["stall", STALL_MS]]) {
  test(`${RUNTIME}: a client that stays on a ${fault} stream is told of its end`, async (t) => {
    const start = performance.now();
    const answer = chat(`${gateway.url}/one`, { headers: { "x-sim-fault": fault } });
    await assert.rejects(answer.then((response) => response.text()));
    const took = Math.round(performance.now() - start);
    t.diagnostic(`cut after ${took} ms; the clock is ${clock} ms`);
    assert.ok(took >= clock - 50 && took <= clock + MARGIN_MS, `${took} ms`);
    await gateway.rest("one", 2_000);
  });
}

for (const [path, words, clock] of [["silence", 0, FIRST_MS], ["word", 1, STALL_MS]]) {
  const after = words > 0 ? "after a word" : "from the start";
  test(`${RUNTIME}: comments alone ${after} do not keep a stream from its clock`, async (t) => {
    const start = performance.now();
    const response = await fetch(`${gateway.url}/pinging/${path}`);
    let text = "";
    const read = async () => {
      for await (const chunk of response.body) text += Buffer.from(chunk);
    };
    await within(10_000, "the end of a stream of comments", assert.rejects(read()));
    const took = Math.round(performance.now() - start);
    t.diagnostic(`cut after ${took} ms; the clock is ${clock} ms`);
    assert.ok(took >= clock - 50 && took <= clock + MARGIN_MS, `${took} ms`);
    assert.ok(text.split(": ping").length > 4, `the comments were passed on: ${text}`);
    assert.equal(text.split("data: ").length - 1, words);
    await gateway.rest("pinging", 2_000);
    await eventually(2_000, "the provider is told too", () => pings === 0);
  });
}

for (const later of [0, 30]) {
  // Deno's server hears of a reset only once it has read the body, and a queued one is unread.
  const atItsTurn = later > 0 && RUNTIME === "deno";
  const when = atItsTurn ? "when its turn comes" : "at once";
  const what = later > 0 ? "with a body that came late" : "with its body";
  test(`${RUNTIME}: who resets while queued ${what} leaves the queue ${when}`, async (t) => {
    const headers = { "x-sim-fault": "never-ends", "x-sim-chunk-ms": "100" };
    const holder = new RawRequest(`${gateway.url}/one${CHAT}`, { headers });
    await isServed();
    const queued = new RawRequest(`${gateway.url}/one${CHAT}`, { later });
    await eventually(2_000, "one waits", async () => (await gateway.stats("one")).waiting === 1);
    await sleep(100);
    queued.reset();
    if (atItsTurn) holder.reset();
    const gone = async () => (await gateway.stats("one")).waiting === 0;
    const { took } = await eventually(1_000, "none waits", gone);
    t.diagnostic(`left after ${took} ms`);
    holder.reset();
    await gateway.rest("one", 5_000);
    await simulator.rest();
  });
}

test(`${RUNTIME}: a slow stream that keeps coming is not cut by the clocks`, async () => {
  const slow = { "x-sim-first-token-ms": "400", "x-sim-chunk-ms": "500", "x-sim-chunks": "4" };
  const response = await chat(`${gateway.url}/one`, { headers: slow });
  assert.match(await response.text(), /data: \[DONE\]\n\n$/);
});

test(`${RUNTIME}: who waits behind a silent request is served after its clock`, async (t) => {
  const silent = chat(`${gateway.url}/one`, { headers: { "x-sim-fault": "silent" } });
  const cut = assert.rejects(silent.then((response) => response.text()));
  await isServed();
  const start = performance.now();
  const response = await chat(`${gateway.url}/one`, { headers: { "x-sim-chunks": "1" } });
  await response.text();
  const took = Math.round(performance.now() - start);
  t.diagnostic(`served after ${took} ms`);
  assert.equal(response.status, 200);
  assert.ok(took <= FIRST_MS + MARGIN_MS, `${took} ms`);
  await cut;
});
