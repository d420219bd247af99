import { type ChatAnswer, type ChatEvent, Collector, type Usage } from "./answers.js";
import { AbortError } from "./errors.js";
import { asyncDispose } from "./lease.js";

/** @internal Where the events of a stream come from. */
export interface EventSource {
  /** Gives the next events, and none at the end. */
  read(): Promise<ChatEvent[] | undefined>;
  /** Breaks it off. */
  cancel(): void;
}

/**
 * An answer that comes in pieces, as typed events. The call begins with the first `next`, and its
 * place is held until the answer has ended; to leave the loop breaks it off. An answer whose stream
 * ends without the end of its protocol is a {@link TruncatedStreamError}.
 *
 * @example
 * ```ts
 * import { ClientPool } from "edgepool/clients";
 *
 * const openai = { kind: "openai", apiKey, model: "gpt-5.4-mini" } as const;
 * const clients = new ClientPool({ providers: { openai } });
 * const messages = [{ role: "user", content: "Hello?" }] as const;
 * for await (const event of clients.stream("openai", { messages })) {
 *   if (event.type === "text") console.log(event.text);
 * }
 * ```
 */
export class ChatStream implements AsyncIterableIterator<ChatEvent, undefined> {
  private readonly open: (stop: AbortSignal) => Promise<EventSource>;
  /** Ends the call though its first content has not come. */
  private readonly stop = new AbortController();
  private source: Promise<EventSource> | undefined = undefined;
  private readonly events: ChatEvent[] = [];
  private turn: Promise<unknown> = Promise.resolve();
  private isOver = false;
  private used: Usage | undefined = undefined;

  /** @internal */
  constructor(open: (stop: AbortSignal) => Promise<EventSource>) {
    this.open = open;
  }

  /** What the call used, once the provider has told it, which it does at the end. */
  get usage(): Usage | undefined {
    return this.used;
  }

  /** Gives the next event. Rejects with how the call failed, before its first content or after. */
  next(): Promise<IteratorResult<ChatEvent, undefined>> {
    const next = this.turn.then(() => this.take());
    this.turn = next.catch(() => undefined);
    return next;
  }

  private async take(): Promise<IteratorResult<ChatEvent, undefined>> {
    try {
      while (!this.isOver && this.events.length === 0) await this.more();
    } catch (error) {
      this.isOver = true;
      throw error;
    }
    const event = this.events.shift();
    if (event === undefined) return { done: true, value: undefined };
    if (event.type === "usage") this.used = event.usage;
    return { done: false, value: event };
  }

  private async more(): Promise<void> {
    this.source ??= this.open(this.stop.signal);
    const events = await (await this.source).read();
    if (events === undefined) this.isOver = true;
    else this.events.push(...events);
  }

  /** Breaks the answer off, as leaving a loop does. */
  async return(): Promise<IteratorResult<ChatEvent, undefined>> {
    this.isOver = true;
    this.events.length = 0;
    this.stop.abort(new AbortError());
    const source = await this.source?.catch(() => undefined);
    source?.cancel();
    return { done: true, value: undefined };
  }

  /** Reads to the end, and puts the events that are left together. */
  async answer(): Promise<ChatAnswer> {
    const collector = new Collector();
    for await (const event of this) collector.add(event);
    return collector.finish();
  }

  /** Gives itself: it can be read once. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** @internal */
  async [asyncDispose](): Promise<void> {
    await this.return();
  }
}

export interface ChatStream {
  /** Breaks the answer off, at the end of a block with `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}
