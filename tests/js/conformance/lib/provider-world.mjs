// Client pools whose `fetch` is given, on a clock that stands still, and what providers answer.
import { ClientPool, ClientRegistry } from "edgepool/clients";
import { FakeClock } from "./harness.mjs";

const encoder = new TextEncoder();
export const JSON_TYPE = { "content-type": "application/json" };
export const KEY = "sk-secret-0123456789";
export const messages = [{ role: "user", content: "Hello" }];

export function json(value, init = {}) {
  const headers = { ...JSON_TYPE, ...init.headers };
  return new Response(readable(JSON.stringify(value)), { ...init, headers });
}

/** A body that is there at once, for which workerd takes no turn of its own. */
export function readable(text) {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(encoder.encode(text));
      controller.close();
    },
  });
}

export function answer(text = "Hi") {
  return json({
    id: "a1", model: "m", choices: [{ message: { content: text }, finish_reason: "stop" }],
    usage: { prompt_tokens: 3, completion_tokens: 2 },
  });
}

export const failure = (status, message, headers) => json({ error: { message } }, { status, headers });

export const event = (value) => `data: ${JSON.stringify(value)}\n\n`;
export const delta = (content) => event({ id: "s", choices: [{ delta: { content } }] });
export const FINISH = event({ choices: [{ delta: {}, finish_reason: "stop" }] });
export const USAGE = event({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 } });
export const DONE = "data: [DONE]\n\n";

/** A body that is fed by hand, and knows whether it was cancelled. */
export function source(type = "text/event-stream") {
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
export function setup(respond, provider = {}, more = {}) {
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
export function textOf(body) {
  return ArrayBuffer.isView(body) ? new TextDecoder().decode(body) : body;
}

/** Lists every text that can be come by from an object. */
export function textsIn(from) {
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
export function post(clients, body) {
  const init = { method: "POST", body: JSON.stringify({ model: "m", messages, ...body }) };
  return clients.fetch("p")("/chat/completions", init);
}

/** Collects what an iteration gives, and what it ends with. */
export async function collect(stream) {
  const events = [];
  try {
    for await (const event of stream) events.push(event);
  } catch (error) {
    return { events, error };
  }
  return { events };
}
