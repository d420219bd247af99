// One call of one SDK to its end, wherever it runs, and what is left after it.
import { ClientPool } from "edgepool/clients";

import { pairOf } from "./pairs.mjs";
import { SDKS } from "./sdks.mjs";

/** Nothing takes as long; what does hangs. */
const HANGS = 25_000;
/** How long a place may take to come back: `ai` reads ahead for seconds before it stands still. */
const BACK = 10_000;

/** Where each kind of provider has its chats. */
const CHATS = {
  openai: "/v1/chat/completions", anthropic: "/v1/messages", ollama: "/api/chat",
};

/** The pools of the attempts so far, by their run. */
const pools = new Map();
/** What is neither read nor ended stays reachable: a collector must not end it. */
const kept = [];

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The calls of one SDK under one ending. */
class Call {
  #at;
  #sdk;
  #model;
  #stop = new AbortController();

  constructor(at, sdk, model = at.ending.model) {
    this.#at = at;
    this.#sdk = sdk;
    this.#model = model;
  }

  chat = () => this.#sdk.chat(this.#model, this.#stop.signal);
  stream = () => this.#sdk.stream(this.#model, this.#stop.signal);
  tool = async () => ({ tool: await this.#sdk.tool(this.#model) });
  toolStream = async () => ({ tool: await this.#sdk.toolStream(this.#model) });
  embed = async () => ({ vectors: await this.#sdk.embed(this.#model) });
  abort = () => this.#stop.abort();

  /** Gives the calls of the same client to another model. */
  of(model) {
    return new Call(this.#at, this.#sdk, model);
  }

  keep(iterator) {
    kept.push(iterator);
    return iterator;
  }

  /** Takes the only place; gives what gives it back. */
  async occupy() {
    const stop = new AbortController();
    const body = JSON.stringify({ model: "held", stream: true, messages: [] });
    const headers = { "content-type": "application/json" };
    const { send, base, sdk } = this.#at;
    const { signal } = stop;
    const url = base + CHATS[sdk.kind];
    const response = await send(url, { method: "POST", headers, body, signal });
    const read = response.text().catch(() => undefined);
    return async () => {
      stop.abort();
      await read;
    };
  }

  /** Waits until the request is at the provider. */
  async arrives() {
    const { origin, run } = this.#at;
    const look = async () => {
      const { models } = await (await fetch(`${origin}/_runs/${run}`)).json();
      return models[this.#model] > 0;
    };
    while (!await look()) await sleep(10);
  }

  /** Waits until the counts of the pool are as wanted. */
  async until(look) {
    while (!look(this.#at.counts())) await sleep(5);
  }
}

/** Makes the pool of a run, with one place. */
function open({ sdk, ending, origin, run }) {
  const base = `${origin}/${run}`;
  const { kind, path } = sdk;
  const provider = { kind, baseURL: `${base}${path}`, max: 1, ...ending.limits };
  const clients = new ClientPool({ providers: { it: provider } });
  return { sdk, ending, origin, run, base, clients, counts: () => clients.stats().total };
}

/** What the SDK is handed. */
function fetchOf({ clients, sdk: { onRefusal } }) {
  return clients.fetch("it", { onRefusal });
}

/**
 * Makes a call and ends it as the ending says. `scope` goes with each call, as in a Worker.
 */
export async function attempt({ pair, origin, run, scope = {} }) {
  const at = open({ ...pairOf(pair), origin, run });
  pools.set(run, at);
  const given = fetchOf(at);
  const send = (input, init) => given(input, { ...init, ...scope });
  let calls = 0;
  const fetch = (input, init) => {
    calls += 1;
    return send(input, init);
  };
  const retries = at.ending.own ? at.sdk.retries : 0;
  const call = new Call({ ...at, send }, at.sdk.open({ base: at.base, fetch, retries }));
  const start = Date.now();
  const saw = await inTime(HANGS, at.ending.run(call)).catch(describe);
  return { saw, calls, ms: Date.now() - start };
}

/** Opens a stream of an SDK in the pool of a run, for whoever reads it. */
export function streamOf({ sdk: at, model, origin, run, scope }) {
  const sdk = SDKS[at];
  const it = open({ sdk, ending: { model }, origin, run });
  pools.set(run, it);
  const send = fetchOf(it);
  const fetch = (input, init) => send(input, { ...init, ...scope });
  return sdk.open({ base: it.base, fetch, retries: 0 }).stream(model);
}

/** Tells how many places are in use as soon as none is, or after some time, and calls once more. */
export async function after({ run, scope = {} }) {
  const at = pools.get(run);
  const start = Date.now();
  const isBusy = () => at.counts().inUse + at.counts().waiting > 0;
  while (isBusy() && Date.now() - start < BACK) await sleep(5);
  const { inUse, waiting } = at.counts();
  const backMs = Date.now() - start;
  const again = inUse > 0 ? { text: "no place" } : await once(at, scope);
  pools.delete(run);
  return { inUse, waiting, backMs, again };
}

/** Calls once more, which the only place must be free for. */
async function once(at, scope) {
  const send = fetchOf(at);
  const fetch = (input, init) => send(input, { ...init, ...scope });
  const sdk = at.sdk.open({ base: at.base, fetch, retries: 0 });
  try {
    return { text: await inTime(HANGS, sdk.chat("again")) };
  } catch (error) {
    return describe(error);
  }
}

async function inTime(ms, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing after ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Describes an error and all that stands behind it. */
function describe(error) {
  const chain = [...behind(error)];
  const first = (read) => chain.map(read).find((value) => value !== undefined && value !== null);
  const isAbort = ({ name, message }) => /abort/i.test(`${name} ${message}`);
  return {
    failed: true,
    error: first(({ name, text }) => (text === undefined ? name : undefined)),
    message: chain.map(({ message }) => message).filter(Boolean).join(" < "),
    text: first(({ text }) => text),
    status: first(({ status, statusCode, status_code }) => status ?? statusCode ?? status_code),
    class: first((one) => one.class),
    code: first(({ code }) => (typeof code === "string" ? code : undefined)),
    aborted: chain.some(isAbort),
  };
}

/** The errors behind an error, and what the SDKs keep of an answer. */
function* behind(error, seen = new Set()) {
  if (typeof error !== "object" || error === null || seen.has(error)) return;
  seen.add(error);
  yield error;
  const { cause, lastError, error: inner, data } = error;
  for (const next of [cause, lastError, inner, data]) yield* behind(next, seen);
}
