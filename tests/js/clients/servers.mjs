// The servers that were written by others, and clients of them. `cargo xtask test --only
// providers-js` starts them, and names their addresses; see `tests/providers/serve.py`.

import assert from "node:assert/strict";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { eventually } from "../lib/time.mjs";

function named(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: cargo xtask test --only providers-js`);
  return value;
}

const built = join(named("EDGEPOOL_PACKAGE"), "dist/clients-index.js");
export const {
  ClientPool, ClientRegistry, ProviderError, PooledEmbeddingClient, TruncatedStreamError,
} = await import(pathToFileURL(built).href);

/** Gives the address of a server, such as `LLMOCK`. */
export const address = (server) => named(`EDGEPOOL_${server}`);

/** Makes clients of providers by name, who share nothing with those of other tests. */
export function clientsOf(providers) {
  const all = Object.entries(providers).map(([name, { kind, baseURL, ...more }]) => [name, {
    kind, baseURL, apiKey: "sk-test", model: "gpt-4o", max: 4, totalTimeout: 20_000, ...more,
  }]);
  return new ClientPool({ providers: Object.fromEntries(all), registry: new ClientRegistry() });
}

/** Makes clients of one provider, `p`. */
export const clients = (kind, baseURL, more) => clientsOf({ p: { kind, baseURL, ...more } });

export const say = (content) => ({ messages: [{ role: "user", content }] });

export const WEATHER = {
  name: "weather",
  description: "Tells the weather of a city",
  parameters: {
    type: "object", properties: { city: { type: "string" } }, required: ["city"],
  },
};

/** In which ways an answer is asked for: whole, and as a stream. */
export const WAYS = {
  whole: (pool, chat) => pool.chat("p", chat),
  streamed: (pool, chat) => pool.stream("p", chat).answer(),
};

/** How a call fails, which it must. */
export async function failureOf(call) {
  const error = await call.then((answer) => assert.fail(JSON.stringify(answer)), (it) => it);
  assert.ok(error instanceof ProviderError, String(error?.stack));
  return error;
}

export const sum = (counts) => Object.values(counts).reduce((all, count) => all + count, 0);

/** Holds that nothing is kept, and that each call came to an end that was counted. */
export async function assertQuiet(pool, name = "p") {
  // The place of a body that was broken off is free when the runtime has closed what was open.
  await eventually(1_000, "all places are back", () => pool.stats(name).inUse === 0);
  const { inUse, waiting, service } = pool.stats(name);
  assert.deepEqual([inUse, waiting, service.inFlight, service.waiting], [0, 0, 0, 0]);
  assert.equal(service.calls, service.answered + sum(service.failures));
}

/** LLMock's own interface: its log of requests is a witness, and it judges the client. */
export class Mock {
  /** Begins anew. */
  static async fresh(server = "LLMOCK") {
    const mock = new Mock();
    mock.at = address(server);
    await mock.#call("POST", "/reset");
    return mock;
  }

  async #call(method, path, body) {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(`${this.at}/_llmock${path}`, {
      method, ...(body && { headers, body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    assert.ok(answer.ok, `${path}: ${text}`);
    return text;
  }

  /** Sets what becomes of the next requests. */
  next(behaviour) {
    return this.#call("POST", "/scenario", { behaviors: [behaviour] });
  }

  /** What it was asked, in order. */
  async requests() {
    return JSON.parse(await this.#call("GET", "/requests")).requests;
  }

  /** Holds that its log agrees with what the pool has counted, and that it finds nothing wrong. */
  async agrees(pool, name = "p") {
    await assertQuiet(pool, name);
    const { sent, attemptFailures } = pool.stats(name).service;
    const requests = await this.requests();
    assert.equal(requests.length, sent, JSON.stringify(requests));
    const failed = requests.filter(({ status }) => status >= 400).length;
    assert.ok(sum(attemptFailures) >= failed, JSON.stringify(attemptFailures));
    await this.judges();
  }

  async judges() {
    console.log((await this.#call("GET", "/verdict?format=text")).trimEnd());
    const { passed, errors, warnings } = JSON.parse(await this.#call("GET", "/verdict"));
    assert.deepEqual({ passed, errors, warnings }, { passed: true, errors: 0, warnings: 0 });
  }
}
