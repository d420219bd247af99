// What the cases of real requests use: requests to one Worker, whole ones and such as are cut off.
import assert from "node:assert/strict";
import { RawRequest } from "../../lib/client.mjs";
import { eventually, within } from "../../lib/time.mjs";

/** Nothing here takes this long; a request that does hangs. */
const HANGS = 60_000;

/** Asks, and gives the text of an answer that must be a 200. */
export function text(url, init = {}) {
  const asked = ask(url, init);
  // A case that fails early leaves others of its requests to nobody.
  asked.catch(() => undefined);
  return asked;
}

async function ask(url, init) {
  const response = await fetch(url, { signal: AbortSignal.timeout(HANGS), ...init });
  const body = await response.text();
  assert.equal(response.status, 200, `${url}: ${response.status} ${body}`);
  return body;
}

export function json(url, init) {
  const read = text(url, init).then((body) => JSON.parse(body));
  read.catch(() => undefined);
  return read;
}

/** The routes of one pool of a Worker, which has the pool made by the first call. */
export function poolAt(at, name, options = {}) {
  const address = (route, query = {}) =>
    `${at}${route}?${new URLSearchParams({ pool: name, ...options, ...query })}`;
  const stats = () => json(address("/stats"));
  return {
    address,
    stats,
    text: (route, query, init) => text(address(route, query), init),
    json: (route, query, init) => json(address(route, query), init),
    open: (route, query, headers) => open(address(route, query), headers),
    /** Has another request hold `n` places, and gives what ends that. */
    async occupy(n = 1, query = {}) {
      const held = text(address("/hold", { n, ...query }));
      await untilStats(stats, { inUse: n }, 20_000);
      return async () => {
        await text(address("/let-go"));
        assert.equal(await held, "held", "it holds to its end");
      };
    },
    /** Waits until the pool's gauges and counters are as `wanted`. */
    until: (wanted, ms = 20_000) => untilStats(stats, wanted, ms),
  };
}

async function untilStats(stats, wanted, ms) {
  let last;
  const look = async () => {
    last = await stats();
    return Object.entries(wanted).every(([name, value]) => last[name] === value) && last;
  };
  try {
    return (await eventually(ms, JSON.stringify(wanted), look)).seen;
  } catch (error) {
    throw new Error(`${error.message}; at last ${JSON.stringify(last)}`);
  }
}

/** Opens a request over a socket of its own, which can be cut. */
export function open(url, headers = {}) {
  return new RawRequest(url, { method: "GET", body: null, headers });
}

/** The two ways in which a connection goes. */
export const HOWS = ["RST", "FIN"];

/** Cuts a request off, and waits until its socket is gone. */
export async function cut(raw, how) {
  assert.ok(!raw.over, `to be cut, and over by itself: ${raw.received.slice(0, 200)}`);
  if (how === "RST") raw.reset();
  else raw.leave();
  await within(30_000, "the end of a socket that was cut", raw.closed);
}
