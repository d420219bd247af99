import { type Clock, setBackgroundTimer } from "./clock.js";
import { PoolError } from "./errors.js";
import { hold } from "./hold.js";
import type { Lease } from "./lease.js";

/**
 * How the body that held a lease ended: `stall` is a producer or a consumer that stood still,
 * `expired` a lease whose time to live had passed.
 */
export type BodyEnd = "eof" | "cancel" | "abort" | "error" | "stall" | "expired";

/** The limits of a bound body, in ms; `Infinity` is none. */
export interface BindOptions {
  /** From the call to the first bytes. Default 60,000. */
  firstContentTimeout?: number;
  /** Between bytes, whichever of the two sides is waited for. Default 60,000. */
  stallTimeout?: number;
  /** Ends the body, and with it the lease. */
  signal?: AbortSignal;
}

/** @internal What the owner of a body wants to know and to decide. */
export interface BodyHooks {
  /** Called once, when the body has ended. */
  finish(how: BodyEnd): void;
  /** Called with the first bytes. */
  onFirst?: () => void;
  /** Breaks off what produces the body, beside cancelling it. */
  breakOff?: (reason: unknown) => void;
}

const DEFAULT_STALL = 60_000;

/** Tells whether a response ends with its headers. */
export function hasNoBody(response: Response): boolean {
  return response.body === null || [101, 103, 204, 205, 304].includes(response.status);
}

/** @internal Wraps a response so that its hooks hear once how its body has ended. */
export function bindBody<T>(
  lease: Lease<T>, response: Response, hooks: BodyHooks, options: BindOptions = {},
  headers: HeadersInit = response.headers,
): Response {
  const { status, statusText } = response;
  if (hasNoBody(response)) {
    hooks.finish("eof");
    // What was upgraded is not a body, and cannot be put into another Response.
    if (status === 101) return response;
    return new Response(null, { status, statusText, headers });
  }
  const source = response.body as ReadableStream<Uint8Array>;
  const body = new BoundBody(lease, source, hooks, options);
  const bound = new Response(body.stream, { status, statusText, headers });
  Object.defineProperty(bound, "url", { value: response.url });
  return bound;
}

/**
 * A byte stream driven from JavaScript, because only such a one hears of every end in every
 * runtime. It reads when it is read, so back-pressure reaches the producer, and hands chunks on
 * as they are. One timer watches both sides; what it may wait for is a time that each step moves.
 */
class BoundBody<T> {
  readonly stream: ReadableStream<Uint8Array>;
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  private readonly hooks: BodyHooks;
  private readonly clock: Clock;
  private readonly stallTimeout: number;
  private readonly stopHolding: () => void;
  private controller: ReadableByteStreamController | undefined = undefined;
  private limit: number;
  private started = false;
  private ended = false;
  private timer: unknown = undefined;

  constructor(
    lease: Lease<T>, source: ReadableStream<Uint8Array>, hooks: BodyHooks, options: BindOptions,
  ) {
    const { settings } = lease._engine;
    this.clock = settings.clock;
    this.hooks = hooks;
    this.reader = source.getReader();
    this.stallTimeout = options.stallTimeout ?? DEFAULT_STALL;
    this.limit = this.clock.now() + (options.firstContentTimeout ?? DEFAULT_STALL);
    this.stream = new ReadableStream({
      type: "bytes",
      start: (controller) => {
        this.controller = controller;
      },
      pull: () => this.pull(),
      cancel: (reason) => this.cancelled(reason),
    });
    this.watch();
    this.stopHolding = hold(lease, options.signal, (why, reason) => this.break(why, reason));
  }

  private async pull(): Promise<void> {
    this.stepped();
    try {
      const { done, value } = await this.reader.read();
      if (this.ended) return;
      if (done) this.finished();
      else await this.pass(value);
    } catch (error) {
      this.break("error", error);
    }
  }

  private pass(chunk: Uint8Array): void | Promise<void> {
    // An empty chunk says nothing, and a byte stream takes none.
    if (chunk.byteLength === 0) return this.pull();
    if (!this.started) this.begin();
    this.stepped();
    // Enqueueing hands the whole buffer over, and a Buffer of Node may be a window on a shared one.
    const shared = chunk.constructor !== Uint8Array && chunk.byteLength !== chunk.buffer.byteLength;
    const own = shared ? new Uint8Array(chunk) : chunk;
    this.controller?.enqueue(own as Uint8Array<ArrayBuffer>);
  }

  private begin(): void {
    this.started = true;
    this.clearTimer();
    this.stepped();
    this.watch();
    this.hooks.onFirst?.();
  }

  private finished(): void {
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

  private break(how: BodyEnd, reason: unknown): void {
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

  private end(how: BodyEnd): void {
    if (this.ended) return;
    this.ended = true;
    this.clearTimer();
    this.stopHolding();
    this.hooks.finish(how);
  }

  /** Notes that something moved. Before the first bytes their own limit stands. */
  private stepped(): void {
    if (this.started) this.limit = this.clock.now() + this.stallTimeout;
  }

  private watch(): void {
    const left = this.limit - this.clock.now();
    if (left === Infinity) return;
    this.timer = setBackgroundTimer(this.clock, () => this.look(), Math.max(Math.ceil(left), 1));
  }

  private clearTimer(): void {
    if (this.timer !== undefined) this.clock.clearTimer(this.timer);
    this.timer = undefined;
  }

  private look(): void {
    if (this.clock.now() < this.limit) {
      this.watch();
      return;
    }
    const what = this.started ? "stood still for too long" : "did not begin in time";
    this.break("stall", new PoolError("body_stalled", `the body ${what}`));
  }
}
