// As much of a client of Redis as the example needs: one command at a time, over one socket.

import { connect } from "cloudflare:sockets";

/** How long a command may take, in ms. */
const COMMAND_TIMEOUT = 5_000;

const LF = 10;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What Redis answers where it refuses a command; the connection is as good as before. */
export class ReplyError extends Error {}

/** One connection. */
export class Connection {
  /** Whether it can still be used. */
  isOpen = true;
  /** Resolves when it has ended, whichever side ended it. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  /** What was received and not yet taken as a reply. */
  #received = new Uint8Array(0);
  /** Called when more was received, or the end. */
  #wake = (): void => undefined;

  /** Connects to `host:port`; gives up when `signal` aborts. */
  static async open(address: string, signal: AbortSignal): Promise<Connection> {
    signal.throwIfAborted();
    const socket = connect(address);
    const giveUp = (): void => void socket.close().catch(() => undefined);
    signal.addEventListener("abort", giveUp, { once: true });
    try {
      await socket.opened;
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
    signal.throwIfAborted();
    return new Connection(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#writer = socket.writable.getWriter();
    this.closed = this.#receive(socket.readable.getReader());
  }

  /** Reads all the time: the end of an idle connection is seen by nothing else. */
  async #receive(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    try {
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        const longer = new Uint8Array(this.#received.length + next.value.length);
        longer.set(this.#received);
        longer.set(next.value, this.#received.length);
        this.#received = longer;
        this.#wake();
      }
    } catch {
      // It was reset, which is an end like any other.
    }
    this.isOpen = false;
    this.#wake();
  }

  /** Throws if it cannot be used any more. */
  mustBeOpen(): void {
    if (!this.isOpen) throw new Error("the connection to Redis has ended");
  }

  /** Closes it; no reply comes any more. */
  async close(): Promise<void> {
    this.isOpen = false;
    this.#wake();
    await this.#socket.close();
  }

  /** Sends a command and gives its reply, null if there is no value. */
  async send(...words: string[]): Promise<string | null> {
    this.mustBeOpen();
    const parts = words.map((word) => `$${encoder.encode(word).length}\r\n${word}\r\n`);
    const late = setTimeout(() => void this.close().catch(() => undefined), COMMAND_TIMEOUT);
    try {
      await this.#writer.write(encoder.encode(`*${parts.length}\r\n${parts.join("")}`));
      return await this.#readReply();
    } catch (error) {
      // What is left of a reply would be taken for the next one.
      if (!(error instanceof ReplyError)) this.isOpen = false;
      throw error;
    } finally {
      clearTimeout(late);
    }
  }

  async #readReply(): Promise<string | null> {
    const line = decoder.decode(await this.#take((bytes) => bytes.indexOf(LF) + 1));
    const text = line.slice(1, -2);
    if (line.startsWith("+") || line.startsWith(":")) return text;
    if (line.startsWith("-")) throw new ReplyError(text);
    if (!line.startsWith("$")) throw new Error(`Redis sent what is no reply: ${line}`);
    const length = Number(text);
    if (length < 0) return null;
    const value = await this.#take((bytes) => (bytes.length < length + 2 ? 0 : length + 2));
    return decoder.decode(value.subarray(0, length));
  }

  /** Takes as many of the bytes as `count` tells, and waits while that is none. */
  async #take(count: (bytes: Uint8Array) => number): Promise<Uint8Array> {
    let end = count(this.#received);
    for (; end === 0; end = count(this.#received)) {
      this.mustBeOpen();
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    const taken = this.#received.subarray(0, end);
    this.#received = this.#received.subarray(end);
    return taken;
  }
}
