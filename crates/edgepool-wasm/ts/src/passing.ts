import type { Attempt } from "./attempt.js";
import {
  type BindOptions, type BodyEnd, type BodyHooks, BoundBody, bindBody, hasNoBody,
} from "./body.js";
import { decodedHeaders } from "./decoded.js";
import {
  BETWEEN_CONTENT, CONTENT, type Drive, FAILED, FIRST_CONTENT, OVER, type ToldRequest,
  type Transmit, drain,
} from "./drive.js";
import { PoolError, leaseEnded, messageOf } from "./errors.js";
import type { Described } from "./hub.js";
import type { Lease } from "./lease.js";

/** A request as its caller has made it, for whichever endpoint it is sent to. */
export interface Passed {
  /** What the module is told of it. */
  request: string;
  /** Whether its body can be sent only once, so that only its caller can send it again. */
  once: boolean;
  transmit: Transmit;
}

/** Takes a request in before anything waits, so that a wrong one fails at once. */
export function prepare(
  { kind }: Described, input: string | URL | Request, init: RequestInit,
): Passed {
  const source = input instanceof Request ? input : undefined;
  const url = source?.url ?? String(input);
  const headers = new Headers(init.headers ?? source?.headers);
  const method = init.method ?? source?.method ?? "GET";
  checkMethod(method, init.body);
  const body = init.body ?? source?.body ?? undefined;
  const once = body !== undefined && !canRepeat(body);
  const whole = isWhole(kind, body);
  const request = JSON.stringify({ method, url, headers: [...headers], once, whole });
  const redirect = init.redirect ?? source?.redirect ?? "follow";
  const streams = body instanceof ReadableStream ? { duplex: "half" } : {};
  // What the module leaves to the transport is known to the caller alone where the body streams.
  const length = once ? headers.get("content-length") : null;
  const transmit = (told: ToldRequest): readonly [string | Request, RequestInit] => {
    const own = new Headers(told.headers);
    if (length !== null) own.set("content-length", length);
    const stays = told.keyed && redirect === "follow" ? { redirect: "manual" as const } : {};
    const made = { ...streams, ...init, ...stays, headers: own };
    if (source === undefined) return [told.url, made];
    return [told.url === source.url ? source : new Request(told.url, source), made];
  };
  return { request, once, transmit };
}

/** Refuses what every `fetch` refuses, and most by a rejection that looks like a lost network. */
function checkMethod(method: string, body: unknown): void {
  if (/^(connect|trace|track)$/i.test(method)) {
    throw new TypeError(`fetch: the method ${method} cannot be sent`);
  }
  if (body != null && /^(get|head)$/i.test(method)) {
    throw new TypeError(`fetch: a request with the method ${method} has no body`);
  }
}

/** Tells whether a body can be sent more than once. */
function canRepeat(body: unknown): boolean {
  if (typeof body === "string" || ArrayBuffer.isView(body)) return true;
  return [ArrayBuffer, Blob, FormData, URLSearchParams].some((kind) => body instanceof kind);
}

/** Tells whether an answer of a model is asked for that comes whole, and so takes its time. */
function isWhole(kind: string, body: unknown): boolean {
  if (typeof body !== "string" || kind === "http") return false;
  if (kind === "ollama") return /"stream"\s*:\s*false/.test(body);
  return !/"stream"\s*:\s*true/.test(body);
}

/** Makes the Response that the caller gets of an attempt's answer. */
export function passOn(
  drive: Drive, attempt: Attempt, { once }: Passed, signal: AbortSignal | undefined,
): Response {
  try {
    return attempt === drive.refusal ? refused(drive, attempt, once)
      : bound(drive, attempt, signal);
  } finally {
    if (drive.isOver) drive.free();
  }
}

function bound(drive: Drive, attempt: Attempt, signal: AbortSignal | undefined): Response {
  const response = attempt.response as Response;
  if (drive.error !== undefined) {
    // It was given up before its caller had it.
    void response.body?.cancel().catch(() => undefined);
    throw drive.error;
  }
  const { firstContentTimeout, stallTimeout } = drive.limits;
  const limits = {
    firstContentTimeout: firstContentTimeout ?? Infinity, stallTimeout: stallTimeout ?? Infinity,
    ...(signal ? { signal } : {}),
  };
  const hooks = new Hooks(drive, attempt);
  return bindBody(attempt.lease, response, hooks, limits, headersFor(drive, attempt), PassedBody);
}

/** What the call is told of the body that its caller reads. */
class Hooks implements BodyHooks {
  readonly drive: Drive;
  readonly attempt: Attempt;
  /** How the body has ended, where the call knows of it. */
  told: BodyEnd | undefined = undefined;

  constructor(drive: Drive, attempt: Attempt) {
    this.drive = drive;
    this.attempt = attempt;
  }

  breakOff(reason: unknown): void {
    this.attempt.controller.abort(reason);
  }

  finish(how: BodyEnd): void {
    const { drive, attempt, told } = this;
    drive.guarded(() => {
      if (told === undefined && how === "error") {
        drive.lost(attempt, new Error("its body broke off"));
      }
      // A body that there is none of has ended with its headers.
      if (told === undefined && how === "eof") drive.atEnd(attempt);
    });
    attempt.end(told ?? how);
    drive.left(attempt, told === undefined ? how : "eof");
  }
}

/** A body whose protocol the module knows: it ends where that ends. */
class PassedBody extends BoundBody<number> {
  private readonly call: Hooks;
  private isPulling = false;

  constructor(lease: Lease<number>, response: Response, call: Hooks, options: BindOptions) {
    super(lease, response, call, options);
    this.call = call;
  }

  override watch(): void {
    super.watch();
    const { attempt } = this.call;
    attempt.breakBody = (how, reason) => this.break(how, reason);
    attempt.handOver();
  }

  protected override async pull(): Promise<void> {
    this.isPulling = true;
    await super.pull();
    this.isPulling = false;
  }

  protected override look(chunk: Uint8Array): boolean {
    const { call } = this;
    const what = call.drive.chunk(call.attempt, chunk);
    if ((what & FAILED) !== 0) {
      if (!call.drive.knows(call.attempt)) throw leaseEnded("read");
      call.told = "error";
    } else if ((what & OVER) !== 0) call.told = "eof";
    return (what & CONTENT) !== 0;
  }

  protected override pass(chunk: Uint8Array): void {
    super.pass(chunk);
    if (this.call.told === undefined || this.ended) return;
    // What came with the end is passed on; what comes after it is nobody's.
    drain(this.reader, this.call.drive.hub.settings.clock);
    super.finished();
  }

  protected override finished(): void {
    const { call } = this;
    call.told = (call.drive.atEnd(call.attempt) & FAILED) === 0 ? "eof" : "error";
    // An answer that is not whole fails the call, which breaks its body off.
    if (call.told === "error") call.drive.pump();
    if (!this.ended) super.finished();
  }

  protected override break(how: BodyEnd, reason: unknown): void {
    const { call, ended, isPulling, started } = this;
    const isProducers = isPulling || !started;
    if (how === "stall" && isProducers && !ended && call.told === undefined) {
      call.told = "stall";
      // The call fails with it, and breaks its body off with what it says of that.
      call.drive.late(call.attempt, started ? BETWEEN_CONTENT : FIRST_CONTENT);
    }
    super.break(how, reason);
  }
}

/** Passes an answer on that is an error, and that the call has failed with. */
function refused(drive: Drive, attempt: Attempt, once: boolean): Response {
  const response = attempt.response as Response;
  const { status, statusText } = response;
  const headers = headersFor(drive, attempt);
  // It was sent again as often as is right.
  if (!once && (status === 429 || status >= 500)) headers.set("x-should-retry", "false");
  try {
    const body = hasNoBody(response) ? null : wholeBody(attempt);
    const made = new Response(body, { status, statusText, headers });
    Object.defineProperty(made, "url", { value: response.url });
    attempt.end("eof");
    return made;
  } catch (cause) {
    const error = cannotPass(cause);
    attempt.break("error", error);
    throw error;
  }
}

type Bytes = Uint8Array<ArrayBuffer>;

function wholeBody({ kept, reader }: Attempt): ReadableStream<Uint8Array> | Bytes {
  if (reader === undefined) return joined(kept);
  // It is longer than is looked at: the rest is read by whoever wants it.
  return new ReadableStream({
    async pull(controller) {
      const chunk = kept.shift() ?? (await reader.read()).value;
      if (chunk === undefined) controller.close();
      else controller.enqueue(chunk);
    },
    cancel: (reason) => reader.cancel(reason),
  });
}

function joined(chunks: Uint8Array[]): Bytes {
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

function cannotPass(cause: unknown): PoolError {
  const message = `the answer cannot be passed on: ${messageOf(cause)}`;
  return new PoolError("upstream_unreachable", message, { cause });
}

function headersFor({ waited }: Drive, { response, lease }: Attempt): Headers {
  const headers = new Headers(response === undefined ? undefined : decodedHeaders(response));
  headers.set("x-edgepool-wait-ms", String(Math.round(waited)));
  headers.set("x-edgepool-slot", String(lease.slot));
  return headers;
}
