// How a burst tells the ends of its requests, over answers that the test writes.

import assert from "node:assert/strict";
import { before, test } from "node:test";

import { importSource } from "../lib/gateway-source.mjs";
import { within } from "../lib/time.mjs";

const PROVIDERS = { one: { kind: "openai", baseURL: "http://127.0.0.1:9", max: 1 } };
let burst;

before(async () => ({ burst } = await importSource("burst.ts")));

/** Sends a burst of one, whose answer `forward` makes. */
async function send(forward, count = 1) {
  const request = new Request("http://gateway/_page/burst", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ provider: "one", count, model: "any" }),
  });
  return burst(request, PROVIDERS, forward);
}

function refusal(status, code, headers = {}) {
  const error = { message: `it is ${code}`, type: "edgepool_error", param: null, code };
  const all = { "content-type": "application/json", "x-should-retry": "false", ...headers };
  return new Response(JSON.stringify({ type: "error", error }), { status, headers: all });
}

const SLOT = { "x-edgepool-slot": "0", "x-edgepool-wait-ms": "0" };
/** An answer, and what the burst says of it. */
const ENDS = [
  ["a full queue", () => refusal(429, "queue_full"), "refused"],
  ["a wait that was too long", () => refusal(503, "acquire_timeout"), "refused"],
  ["a closed pool", () => refusal(503, "pool_closed"), "refused"],
  ["a provider that nobody runs", () => refusal(502, "upstream_unreachable"), "failed"],
  ["a provider without headers", () => refusal(504, "upstream_timeout"), "failed"],
  ["a lease that ended", () => refusal(503, "lease_ended"), "failed"],
  ["a provider that says the same", () => refusal(429, "queue_full", SLOT), "failed"],
  ["a provider that asks for no retry", () => refusal(400, "invalid_request", SLOT), "failed"],
  ["an error that is no JSON", () => new Response("oh", { status: 500 }), "failed"],
  ["an error without an object", () => new Response("null", { status: 500 }), "failed"],
  ["an answer", () => new Response("fine", { headers: SLOT }), "completed"],
];

for (const [what, answer, outcome] of ENDS) {
  test(`${what} counts as ${outcome}`, async () => {
    const text = await (await send(async () => answer())).text();
    const last = JSON.parse(text.trim().split("\n").at(-1));
    assert.deepEqual([last.type, last.outcome], ["end", outcome], text);
  });
}

test("a burst that breaks is an error to its reader, and to nobody else", async () => {
  const unhandled = [];
  const note = (error) => unhandled.push(error);
  process.on("unhandledRejection", note);
  try {
    // It cannot be written as text.
    const broken = Object.create(null);
    let stopped = false;
    const stop = (signal) => new Promise((_, fail) => {
      signal.addEventListener("abort", () => fail((stopped = true)));
    });
    let calls = 0;
    const response = await send(({ signal }) => {
      calls += 1;
      return calls === 1 ? Promise.reject(broken) : stop(signal);
    }, 2);
    await within(2_000, "the end", assert.rejects(response.text()));
    await new Promise((done) => setTimeout(done, 20));
    assert.ok(stopped, "the other was stopped too");
    assert.deepEqual(unhandled, []);
  } finally {
    process.off("unhandledRejection", note);
  }
});
