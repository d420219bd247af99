// Clients: chat requests over fetch, and raw ones that can be cut by RST or by FIN.

import { request as httpRequest } from "node:http";
import { connect } from "node:net";

import { within } from "./time.mjs";

export const CHAT = "/v1/chat/completions";

export const prompt = (stream = true) => ({
  model: "any",
  stream,
  messages: [{ role: "user", content: "hello there" }],
});

/** Asks for a chat answer by fetch. */
export function chat(base, { headers = {}, stream = true, ms = 60_000, signal } = {}) {
  const late = AbortSignal.timeout(ms);
  return fetch(`${base}${CHAT}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(prompt(stream)),
    signal: signal ? AbortSignal.any([signal, late]) : late,
  });
}

/** Says whether a body is an event stream that came to its end. */
export const isComplete = (text) => text.endsWith("data: [DONE]\n\n");

/**
 * A request over a socket of its own, whose end the test chooses. Its head and body leave in one
 * segment; with `later`, the body comes so many milliseconds after the head.
 */
export class RawRequest {
  constructor(url, options = {}) {
    const { method = "POST", path, headers = {}, later = 0 } = options;
    const { body = JSON.stringify(prompt()) } = options;
    const { hostname, port, pathname, search, host } = new URL(url);
    const target = path ?? `${pathname}${search}`;
    this.received = "";
    this.watchers = new Set();
    this.socket = connect({ host: hostname, port: Number(port) });
    this.socket.setEncoding("latin1");
    this.socket.on("data", (text) => this.#got(text));
    this.closed = new Promise((done) => {
      this.socket.on("error", (error) => (this.error = error));
      this.socket.on("close", () => done(this.error));
    });
    this.closed.then(() => {
      this.over = true;
      this.#got("");
    });
    const all = { host, "content-type": "application/json", connection: "close", ...headers };
    if (body !== null) all["content-length"] = Buffer.byteLength(body);
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    const head = `${method} ${target} HTTP/1.1\r\n${lines.join("")}\r\n`;
    this.socket.write(later > 0 ? head : `${head}${body ?? ""}`);
    if (later > 0) setTimeout(() => this.socket.write(body), later);
  }

  #got(text) {
    this.received += text;
    for (const watch of this.watchers) watch();
  }

  /** The status, once the headers are here. */
  get status() {
    const match = this.received.match(/^HTTP\/1\.1 (\d{3})[^]*?\r\n\r\n/);
    return match ? Number(match[1]) : undefined;
  }

  /** Counts the events received so far. */
  get events() {
    return this.received.split("data: ").length - 1;
  }

  /** Waits until `look(this)` holds or the connection is over; gives what it gave. */
  until(look, ms = 30_000) {
    let watch;
    const seen = new Promise((done) => {
      watch = () => {
        const now = look(this);
        if (now || this.over) done(now);
      };
      this.watchers.add(watch);
      watch();
    });
    return within(ms, `a raw request after ${this.received.length} bytes`, seen).finally(() =>
      this.watchers.delete(watch),
    );
  }

  /** Cuts the connection with a reset. */
  reset() {
    this.socket.resetAndDestroy();
  }

  /** Closes the writing side, and goes on reading: the peer sees a FIN. */
  fin() {
    this.socket.end();
  }

  /** Closes both sides with a FIN; bytes that come later are answered by a reset. */
  leave() {
    this.socket.pause();
    this.socket.end(() => this.socket.destroy());
  }

  /** Waits for the end of the connection; gives everything received. */
  async whole(ms = 60_000) {
    await within(ms, "the end of a raw request", this.closed);
    return this.received;
  }
}

/**
 * Sends a request by node:http, which changes nothing: no decoding, no redirects, any header.
 * `body` is bytes, or a function that is given the request to write to.
 */
export async function send(url, { method = "GET", headers = {}, body, ms = 20_000 } = {}) {
  const outgoing = httpRequest(url, { method, headers, agent: false });
  const answered = new Promise((done, fail) => {
    outgoing.on("response", done).on("error", fail);
  });
  if (typeof body === "function") body(outgoing);
  else outgoing.end(body);
  try {
    const response = await within(ms, `headers of ${method} ${url}`, answered);
    const chunks = [];
    const read = async () => {
      for await (const chunk of response) chunks.push(chunk);
    };
    await within(ms, `the body of ${method} ${url}`, read());
    const { statusCode: status, headers: got, rawHeaders } = response;
    return { status, headers: got, rawHeaders, body: Buffer.concat(chunks) };
  } finally {
    outgoing.destroy();
  }
}
