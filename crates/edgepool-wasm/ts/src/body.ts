import { ContentFinder, isEventStream } from "./content.js";
import { PoolError, messageOf } from "./errors.js";
import { afterBreak, hold } from "./hold.js";
import type { Lease } from "./lease.js";
import { Progress } from "./progress.js";

/**
 * How the body that held a lease ended: `stall` is a producer or a consumer that stood still,
 * `expired` a lease whose time to live had passed.
 */
export type BodyEnd = "eof" | "cancel" | "abort" | "error" | "stall" | "expired";

/**
 * The limits of a bound body, in ms; `Infinity` is none. In an event stream, comments and blank
 * lines are no content.
 */
export interface BindOptions {
  /** From the call to the first content. Default 60,000. */
  firstContentTimeout?: number;
  /** Between content, and for bytes that the consumer leaves lying. Default 60,000. */
  stallTimeout?: number;
  /** Ends the body, and with it the lease. */
  signal?: AbortSignal;
}

/** @internal What the owner of a body wants to know and to decide. */
export interface BodyHooks {
  /** Called once, when the body has ended. */
  finish(how: BodyEnd): void;
  /** Called with the first content. */
  onFirst?: () => void;
  /** Breaks off what produces the body, beside cancelling it. */
  breakOff?: (reason: unknown) => void;
}

const DEFAULT_STALL = 60_000;

/** Tells whether a response ends with its headers. */
export function hasNoBody(response: Response): boolean {
  return response.body === null || [101, 103, 204, 205, 304].includes(response.status);
}

/**
 * @internal Wraps a response so that its hooks hear once how its body has ended. Where that cannot
 * be done it breaks the body off, says that it ended with an error, and throws a PoolError.
 */
export function bindBody<T, H extends BodyHooks>(
  lease: Lease<T>, response: Response, hooks: H, options: BindOptions = {}, headers?: HeadersInit,
  Body: MakeBody<T, H> = BoundBody,
): Response {
  let body: BoundBody<T> | undefined;
  try {
    const init = readInit(response, headers);
    const isOver = hasNoBody(response);
    if (isOver && response.status < 200) {
      // Nobody can make one like an upgrade, or like what a browser shows nothing of.
      hooks.finish("eof");
      return response;
    }
    if (!isOver) body = new Body(lease, response, hooks, options);
    const bound = new Response(body?.stream, init);
    Object.defineProperty(bound, "url", { value: response.url });
    if (body === undefined) hooks.finish("eof");
    else body.watch();
    return bound;
  } catch (cause) {
    const message = `the answer cannot be passed on: ${messageOf(cause)}`;
    const error = new PoolError("upstream_unreachable", message, { cause });
    if (body !== undefined) body.fail(error);
    else {
      hooks.breakOff?.(error);
      afterBreak(lease, () => hooks.finish("error"));
    }
    throw error;
  }
}

/** @internal */
type MakeBody<T, H> = new (
  lease: Lease<T>, response: Response, hooks: H, options: BindOptions,
) => BoundBody<T>;

/** Gives the headers that an answer is passed on with. */
let headersOf = ({ headers }: Response): Headers => headers;

/** @internal Says so where a runtime passes an answer on with what it says of its bytes as it is. */
export function passHeadersBy(read: typeof headersOf): void {
  headersOf = read;
}

/** The bytes of a reason phrase; an HTTP/1 parser may give others, which a Response refuses. */
const PHRASE = /^[\t\x20-\x7e\x80-\xff]*$/;

function readInit(response: Response, headers: HeadersInit | undefined): ResponseInit {
  const { status, statusText, bodyUsed } = response;
  if (bodyUsed) throw new TypeError("its body has been read");
  const phrase = PHRASE.test(statusText) ? statusText : "";
  return { status, statusText: phrase, headers: headers ?? headersOf(response) };
}

/**
 * @internal A byte stream driven from JavaScript, because only such a one hears of every end in
 * every runtime. It reads when it is read, so back-pressure reaches the producer, and hands chunks on
 * as they are.
 */
export class BoundBody<T> {
  readonly stream: ReadableStream<Uint8Array>;
  protected readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  private readonly lease: Lease<T>;
  private readonly hooks: BodyHooks;
  private readonly options: BindOptions;
  private progress: Progress | undefined;
  /** Missing where every byte is content. */
  private readonly finder: ContentFinder | undefined;
  private stopHolding: (() => void) | undefined;
  private controller: ReadableByteStreamController | undefined;
  protected started = false;
  protected ended = false;

  constructor(lease: Lease<T>, response: Response, hooks: BodyHooks, options: BindOptions) {
    this.lease = lease;
    this.hooks = hooks;
    this.options = options;
    this.reader = (response.body as ReadableStream<Uint8Array>).getReader();
    this.finder = isEventStream(response) ? new ContentFinder() : undefined;
    this.stream = new ReadableStream({
      type: "bytes",
      start: (controller) => {
        this.controller = controller;
      },
      pull: () => this.pull(),
      cancel: (reason) => this.cancelled(reason),
    });
  }

  /** Starts the clocks, and listens for what ends the body from outside. */
  watch(): void {
    const { options, lease } = this;
    const limits = {
      first: options.firstContentTimeout ?? DEFAULT_STALL,
      stall: options.stallTimeout ?? DEFAULT_STALL,
    };
    this.progress = new Progress(lease._engine.settings.clock, limits, (what) =>
      this.break("stall", new PoolError("body_stalled", `the body ${what}`)));
    this.stopHolding = hold(lease, options.signal, (why, reason) => this.break(why, reason));
  }

  /** Gives the body up before anybody has it. */
  fail(error: unknown): void {
    void this.stopProducer(error);
    this.end("error", false);
  }

  protected async pull(): Promise<void> {
    this.progress?.asked();
    try {
      let { done, value } = await this.reader.read();
      // An empty chunk says nothing, and a byte stream takes none.
      while (!done && value?.byteLength === 0) ({ done, value } = await this.reader.read());
      if (this.ended) return;
      if (value === undefined) this.finished();
      else this.pass(value);
    } catch (error) {
      this.break("error", error);
    }
  }

  /** Tells whether there is content in a chunk. */
  protected look(chunk: Uint8Array): boolean {
    return this.finder?.look(chunk) ?? true;
  }

  protected pass(chunk: Uint8Array): void {
    const content = this.look(chunk);
    this.progress?.passed(content);
    if (content && !this.started) {
      this.started = true;
      this.hooks.onFirst?.();
    }
    // Enqueueing hands the whole buffer over, and a Buffer of Node may be a window on a shared one.
    const shared = chunk.constructor !== Uint8Array && chunk.byteLength !== chunk.buffer.byteLength;
    const own = shared ? new Uint8Array(chunk) : chunk;
    this.controller?.enqueue(own as Uint8Array<ArrayBuffer>);
  }

  protected finished(): void {
    this.end("eof");
    this.controller?.close();
    // A pending read into the caller's own buffer is answered by this, or hangs.
    this.controller?.byobRequest?.respond(0);
  }

  private cancelled(reason: unknown): Promise<void> {
    const cancelled = this.stopProducer(reason);
    this.end("cancel");
    return cancelled;
  }

  protected break(how: BodyEnd, reason: unknown): void {
    if (this.ended) return;
    void this.stopProducer(reason);
    this.end(how);
    this.controller?.error(reason);
  }

  /** Comes before the end: the next holder must not meet this producer still at work. */
  private stopProducer(reason: unknown): Promise<void> {
    this.hooks.breakOff?.(reason);
    return this.reader.cancel(reason).catch(() => undefined);
  }

  /** `byItself` says that the producer has ended, and was not broken off. */
  private end(how: BodyEnd, byItself = how === "eof" || how === "error"): void {
    if (this.ended) return;
    this.ended = true;
    this.progress?.stop();
    const finish = (): void => {
      this.stopHolding?.();
      this.hooks.finish(how);
    };
    if (byItself) finish();
    else afterBreak(this.lease, finish);
  }
}
