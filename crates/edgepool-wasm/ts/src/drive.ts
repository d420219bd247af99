import type { Usage } from "./answers.js";
import { Attempt } from "./attempt.js";
import type { BodyEnd } from "./body.js";
import { type CallOrigin, originOf } from "./client-events.js";
import { type Clock, holdProcess, setBackgroundTimer } from "./clock.js";
import { unlessReset } from "./core.js";
import { AbortError, PoolClosedError, PoolError, messageOf } from "./errors.js";
import { headerWaitsOf } from "./header-waits.js";
import { holdOpen } from "./hold.js";
import type { House } from "./house.js";
import type { Hub, Opened } from "./hub.js";
import type { Lease, RequestScope } from "./lease.js";
import type { Priority } from "./pool.js";
import { Complained, type Protocol, protocolGeneration, watchProtocol } from "./protocol.js";
import {
  type FailureClass, type JsonFailure, complaintError, providerError,
} from "./provider-errors.js";
import { abortReason, findAborted, listen } from "./signals.js";

/** What is asked for, by the numbers that the module knows. */
export const CHAT = 0;
export const STREAM = 1;
export const EMBEDDINGS = 2;
export const MODELS = 3;
export const PASSED = 4;

/** What a call asks its driver to do. */
const WAIT = 0;
const ACQUIRE = 1;
const RELEASE = 2;
const SEND = 3;
const CANCEL = 4;
const FAIL = 5;

/** What a piece of a body has brought. */
export const CONTENT = 1;
export const OVER = 2;
export const FAILED = 4;
export const EVENTS = 8;

/** The clocks that run where an answer is read by its caller. */
export const FIRST_CONTENT = 3;
export const BETWEEN_CONTENT = 4;

/** How long the content of an answer may take, in ms; `null` is for ever. */
export interface Limits {
  firstContentTimeout: number | null;
  stallTimeout: number | null;
}

const PRIORITIES: readonly Priority[] = ["low", "normal", "high", "urgent"];

/** On the edge others may change what a call waits for; nobody can tell it, so it looks. */
const LOOK = 1_000;

/** The kinds of failures that a call does not know of itself. */
const CLASSES: Partial<Record<BodyEnd, FailureClass>> = { error: "network", stall: "cancelled" };

/** How an attempt's request is made of what the module says of it. */
export type Transmit = (
  told: ToldRequest, drive: Drive,
) => readonly [string | Request, RequestInit];

// What is not exported has names that are not this package's own: the module's JSON.
interface RequestJson {
  method: string;
  url: string;
  headers: [string, string][];
  /** Whether it has the provider's key, which must not leave its origin. */
  keyed: boolean;
}

/** What an attempt sends. */
export type ToldRequest = RequestJson;

/** What observers are told while a call is under way. */
export interface DriveEvents {
  acquired(waitMs: number): void;
  sent(attempt: number, isHedge: boolean): void;
  ended(attempt: Attempt, how: BodyEnd): void;
  /** Everything was done that could be, for the time being. */
  stepped(): void;
}

/** Everything that a call is begun with. */
export interface Start {
  hub: Hub;
  opened: Opened;
  kind: number;
  request: string;
  options: string;
  scope: RequestScope;
  /** The id of the tenant whose call it is. */
  tenant: string | undefined;
  signal: AbortSignal | undefined;
  /** Aborts when its caller wants no more of it, which is no failure. */
  stop: AbortSignal | undefined;
  limits: Limits;
  transmit: Transmit;
  house: House;
}

/**
 * Carries out what a call of the module asks for: it waits for a place, sends attempts, reads what
 * comes, and tells the call of it. All that it does runs in the request that began it.
 */
export class Drive {
  readonly hub: Hub;
  readonly name: string;
  readonly kind: number;
  readonly limits: Limits;
  /** Settles when the whole answer is there, or the attempt whose answer the caller reads. */
  readonly began: Promise<Attempt | undefined>;
  /** The attempt whose answer is the caller's. */
  taken: Attempt | undefined = undefined;
  /** The last answer that was an error, which may be passed on. */
  refusal: Attempt | undefined = undefined;
  /** Called once, when nothing is under way any more. */
  onOver: (() => void) | undefined = undefined;
  /** Told how the call failed whose answer the caller has begun to read. */
  onFailed: ((error: unknown) => void) | undefined = undefined;
  isOver = false;
  /** How it has failed, if it has. */
  failed: FailureClass | undefined = undefined;
  /** How it has failed with an answer that may be passed on. */
  private refusedWith: JsonFailure | undefined = undefined;
  /** What it has failed with, for whoever takes its answer over later. */
  error: unknown = undefined;
  /** What observers are told of it in any case. */
  readonly told: CallOrigin;
  waited = 0;
  /** When it was asked last what is to be done. */
  seen: number;
  private readonly start: Start;
  private readonly events: DriveEvents;
  private readonly running = new Map<number, Attempt>();
  private call = -1;
  private generation = protocolGeneration();
  private seat: Lease<number> | undefined = undefined;
  private acquiring: AbortController | undefined = undefined;
  private acquireSince = 0;
  private timer: unknown = undefined;
  private timerAt = Infinity;
  private isStepping = false;
  /** Whether it was in the queue when it was told to leave. */
  private hasLeft = false;
  /** How many places its tenant had then, if that was all that it may have. */
  private allOfTenant: number | undefined = undefined;
  private cause: unknown = undefined;
  private readonly undo: (() => void)[] = [];
  private resolve: (attempt: Attempt | undefined) => void = () => undefined;
  private reject: (error: unknown) => void = () => undefined;

  constructor(start: Start) {
    this.start = start;
    this.hub = start.hub;
    this.name = start.opened.described.name;
    this.kind = start.kind;
    this.limits = start.limits;
    this.seen = this.hub.now();
    this.told = originOf(this.name, start.scope.request, start.tenant);
    this.events = start.house.eventsOf(this.told, this.hub);
    this.began = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // Whoever reads a stream may hear of its failure later.
    this.began.catch(() => undefined);
  }

  /** Begins the call. */
  run(): Promise<Attempt | undefined> {
    try {
      this.open();
      this.pump();
    } catch (error) {
      this.giveUp("error", error);
    }
    return this.began;
  }

  private open(): void {
    const { hub, start } = this;
    const signals = [start.signal, start.scope.request?.signal];
    const aborted = findAborted([...signals, start.stop]);
    if (aborted !== undefined) throw abortReason(aborted);
    this.undo.push(holdOpen(start.scope));
    this.undo.push(listen(signals, (reason) => this.giveUp("abort", reason)));
    this.undo.push(listen([start.stop], (reason) => this.giveUp("cancel", reason)));
    hub.sweep();
    if (this.isEdge && hub.opened.described.checks) {
      // Elsewhere there is a timer for them.
      start.scope.ctx?.waitUntil(hub.check().catch(() => undefined));
    }
    const { opened, kind, request, options } = start;
    this.call = hub.ask((protocol, service) =>
      protocol.call_open(service, opened.in(protocol), kind, request, options, hub.now()));
    this.generation = protocolGeneration();
    // On the edge it sees that by itself: what happens in one request must not go on in another.
    if (!this.isEdge) {
      this.undo.push(watchProtocol((cause) => this.giveUp("error", cause)));
      this.undo.push(hub.watch(() => this.pump()));
    }
  }

  /** How often it looks on the edge, and so shows that its request lives. */
  private get look(): number {
    return Math.min(LOOK, (this.hub.settings.leaseTtl ?? Infinity) / 3);
  }

  get isEdge(): boolean {
    return this.hub.settings.mode === "edge";
  }

  /** Asks the module about the call. */
  ask<R>(question: (protocol: Protocol, call: number, now: number) => R): R {
    return this.hub.ask((protocol) => question(protocol, this.call, this.hub.now()));
  }

  /** Carries out what is to be done, until there is only to wait. */
  pump(): void {
    if (this.isOver || this.isStepping) return;
    this.isStepping = true;
    try {
      this.seen = this.hub.now();
      if (this.generation !== protocolGeneration()) throw lostWithItsModule();
      if (this.start.house.isForced) throw new PoolClosedError();
      while (this.step());
    } catch (error) {
      this.giveUp("error", error);
    } finally {
      this.isStepping = false;
    }
  }

  private step(): boolean {
    const { random } = this.hub.settings;
    const now = this.hub.now();
    const code = this.ask((protocol, call) => protocol.call_step(call, now, random()));
    const [detail, attempt] = [(code >>> 8) & 0xff, Math.floor(code / 65_536)];
    switch (code & 0xff) {
      case WAIT:
        // Only what was sent goes on.
        if (this.start.house.isClosed && this.running.size === 0) throw new PoolClosedError();
        this.hub.resize(now);
        this.events.stepped();
        this.arm();
        return false;
      case ACQUIRE:
        void this.acquire(PRIORITIES[detail] as Priority);
        return true;
      case RELEASE:
        this.release();
        return true;
      case SEND:
        this.send(attempt);
        return !this.isOver;
      case CANCEL:
        this.cancel(attempt);
        return true;
      case FAIL:
        this.fail();
        return false;
      default:
        this.finish();
        return false;
    }
  }

  /** Gets in the queue. */
  private async acquire(priority: Priority): Promise<void> {
    const stop = new AbortController();
    this.acquiring = stop;
    this.acquireSince = this.hub.now();
    let lease: Lease<number> | undefined;
    let failed: unknown;
    try {
      lease = await this.queue(stop.signal, priority);
    } catch (error) {
      failed = error;
    }
    // It may have been let go of meanwhile, and what came all the same is nobody's.
    if (this.acquiring !== stop) return void lease?.release();
    this.acquiring = undefined;
    this.guarded(() => (lease === undefined ? this.unplaced(failed) : this.placed(lease)));
  }

  private placed(lease: Lease<number>): void {
    this.seat = lease;
    this.waited = lease.waited;
    this.events.acquired(lease.waited);
    if (!this.ask((protocol, call) => protocol.call_acquired(call))) this.release();
    this.pump();
  }

  private unplaced(error: unknown): void {
    if (!(error instanceof PoolError)) throw error;
    const { code, message } = error;
    this.ask((protocol, call, now) => protocol.call_refused(call, code, message, now));
    this.pump();
  }

  /** Acquires a place, and none that would wait with it for this request's other attempts. */
  private async queue(signal: AbortSignal, priority: Priority): Promise<Lease<number>> {
    const { scope: { ctx, request }, tenant: id } = this.start;
    const { pool, tenants } = this.hub;
    const waits = this.isEdge && ctx !== undefined ? headerWaitsOf(ctx) : undefined;
    for (;;) {
      const tenant = id === undefined ? undefined : tenants.use(id);
      // A second attempt waits for nobody's place, though others be free.
      const isHedge = [...this.running.values()].some(({ isRefused }) => !isRefused);
      if (isHedge && id !== undefined && tenants.allOf(id) !== undefined) throw hedgeAtMax();
      const lease = await pool.acquire({ ctx, request, signal, priority, tenant });
      const isLate = signal.aborted;
      if (!isLate && waits === undefined) return lease;
      if (!isLate && waits?.tryEnter()) {
        this.leaveWait = () => waits.leave();
        return lease;
      }
      lease.release();
      if (isLate) throw abortReason(signal);
      await waits?.whenFree();
      if (signal.aborted) throw abortReason(signal);
    }
  }

  private leaveWait: (() => void) | undefined = undefined;

  private release(): void {
    if (this.acquiring !== undefined) {
      this.hasLeft = true;
      const { tenant } = this.start;
      // Without a module nobody knows, and the wait ends all the same.
      unlessReset(() => {
        this.allOfTenant = tenant === undefined ? undefined : this.hub.tenants.allOf(tenant);
      });
    }
    this.acquiring?.abort();
    this.acquiring = undefined;
    this.leaveWait?.();
    this.leaveWait = undefined;
    this.seat?.release();
    this.seat = undefined;
  }

  private send(number: number): void {
    const { seat, hub, start } = this;
    if (seat === undefined) throw new Error("an attempt without a place");
    const isHedge = this.running.size > 0;
    const attempt = new Attempt(number, seat, hub.now(), (one, how) => this.events.ended(one, how));
    attempt.leaveWait = this.leaveWait;
    this.leaveWait = undefined;
    this.seat = undefined;
    this.running.set(number, attempt);
    attempt.hold((how, reason) => this.giveUp(how, reason));
    this.events.sent(number, isHedge);
    const text = this.ask((protocol, call) => protocol.call_request(call, number));
    const told = JSON.parse(text) as ToldRequest;
    attempt.url = told.url;
    const [input, init] = start.transmit(told, this);
    // What is thrown, and not rejected with, says that the call itself is wrong.
    const sending = hub.settings.send(input, { ...init, signal: attempt.controller.signal });
    Promise.resolve(sending).then(
      (response) => this.guarded(() => this.head(attempt, response)),
      (error: unknown) => this.guarded(() => this.lost(attempt, error)),
    );
  }

  /** Runs what happens by itself, so that nothing of it is left if it throws. */
  guarded(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.giveUp("error", error);
    }
  }

  private head(attempt: Attempt, response: Response): void {
    if (attempt.isOver) return void response.body?.cancel().catch(() => undefined);
    attempt.gotHeaders();
    if (response.type === "opaqueredirect") {
      const text = "the provider redirects, which is not followed as its key must not leave it";
      throw new PoolError("upstream_unreachable", `${text}; give the baseURL that it redirects to`);
    }
    const { status } = response;
    attempt.response = response;
    attempt.reached.status = status;
    attempt.reached.headersMs = this.hub.now() - attempt.began;
    const headers = JSON.stringify([...response.headers]);
    const what = this.ask((protocol, call, now) =>
      protocol.call_head(call, attempt.number, status, headers, now, Date.now()));
    if ((what & FAILED) !== 0) return this.refused(attempt, false);
    if (this.kind === PASSED && status < 400) return this.take(attempt);
    this.pump();
    if (!attempt.isOver) void this.read(attempt, response);
  }

  /** Hands the answer of an attempt to the caller: nothing else is sent from now on. */
  private take(attempt: Attempt): void {
    this.taken = attempt;
    this.ask((protocol, call, now) => protocol.call_taken(call, attempt.number, now));
    this.pump();
    if (!attempt.isOver) this.resolve(attempt);
  }

  /** Reads a body to its end, or until its content is the caller's. */
  private async read(attempt: Attempt, response: Response): Promise<void> {
    try {
      attempt.reader = response.body?.getReader();
    } catch (error) {
      return this.guarded(() => this.lost(attempt, error));
    }
    while (this.taken !== attempt && !attempt.isOver) {
      let value: Uint8Array | undefined;
      try {
        value = (await attempt.reader?.read())?.value;
      } catch (error) {
        return this.guarded(() => this.lost(attempt, error));
      }
      if (!attempt.isOver) this.guarded(() => this.came(attempt, value));
    }
  }

  /** Takes a piece of a body in, or its end. */
  private came(attempt: Attempt, value: Uint8Array | undefined): void {
    if (value === undefined) return this.ended(attempt);
    if (value.byteLength === 0) return;
    if (this.kind === PASSED) attempt.kept.push(value);
    this.took(attempt, this.chunk(attempt, value));
  }

  /** Tells the call of a piece of a body; returns what it has brought. */
  chunk(attempt: Attempt, bytes: Uint8Array): number {
    if (this.isVoid()) return CONTENT;
    const what = this.ask((protocol, call, now) =>
      protocol.call_chunk(call, attempt.number, bytes, now));
    if ((what & CONTENT) !== 0) attempt.reached.firstByteMs ??= this.hub.now() - attempt.began;
    return what;
  }

  /** Tells the call of the end of a body; returns what that has brought. */
  atEnd(attempt: Attempt): number {
    if (this.isVoid()) return 0;
    return this.ask((protocol, call, now) => protocol.call_end(call, attempt.number, now));
  }

  /** Gives up a call that its module knows no more, whose word would mean nothing. */
  private isVoid(): boolean {
    const isVoid = this.generation !== protocolGeneration();
    if (isVoid) this.giveUp("error", lostWithItsModule());
    return isVoid || this.isOver;
  }

  /** Tells the call that a clock has run out that its caller's reading decides about. */
  late(attempt: Attempt, timer: number): void {
    this.guarded(() =>
      this.ask((protocol, call, now) => protocol.call_late(call, attempt.number, timer, now)));
    this.pump();
  }

  /** Whether the module knows the call, which it forgets if its request seems to have died. */
  knows(attempt: Attempt): boolean {
    return this.ask((protocol, call) => protocol.call_winner(call)) === attempt.number;
  }

  private took(attempt: Attempt, what: number): void {
    if ((what & FAILED) !== 0) return this.refused(attempt, false);
    const isWon = this.kind === STREAM && (what & (CONTENT | OVER)) !== 0;
    if ((what & OVER) !== 0) this.complete(attempt);
    if (isWon) this.take(attempt);
    else this.pump();
  }

  private ended(attempt: Attempt): void {
    if ((this.atEnd(attempt) & FAILED) !== 0) return this.refused(attempt, true);
    this.complete(attempt);
    if (this.kind === STREAM) this.take(attempt);
    else this.pump();
  }

  /** An answer was an error, which is passed on if the call fails with it. */
  private refused(attempt: Attempt, isRead: boolean): void {
    if (this.kind === PASSED) this.refusal = attempt;
    if (isRead) attempt.reader = undefined;
    attempt.isRefused = true;
    this.pump();
    if (this.taken === attempt) return;
    this.running.delete(attempt.number);
    this.holdProcess();
    if (isRead) attempt.end("eof");
    else attempt.break("error", undefined);
  }

  /** Notes that a body has come to its end, or to that of its protocol. */
  complete(attempt: Attempt, how: BodyEnd = "eof"): void {
    this.running.delete(attempt.number);
    const { reader } = attempt;
    attempt.reader = undefined;
    attempt.end(how);
    if (reader !== undefined) drain(reader, this.hub.settings.clock);
  }

  /** The connection was lost. */
  lost(attempt: Attempt, error: unknown): void {
    if (attempt.isOver) return;
    this.cause = error;
    const message = `the request failed: ${messageOf(error)}`;
    this.running.delete(attempt.number);
    this.ask((protocol, call, now) => protocol.call_lost(call, attempt.number, message, now));
    attempt.end("error");
    this.pump();
  }

  private cancel(number: number): void {
    const attempt = this.running.get(number);
    if (attempt === undefined) return;
    this.running.delete(number);
    // Its caller reads it: what the call fails with breaks it off, so that the reader hears of that.
    if (attempt === this.taken) return;
    const isLost = this.running.size > 0 || this.taken !== undefined;
    attempt.break(isLost ? "cancel" : "stall", new AbortError());
  }

  /** Goes on after the body has ended that the caller has read. */
  left(attempt: Attempt, how: BodyEnd, reason?: unknown): void {
    this.running.delete(attempt.number);
    if (how === "eof" || how === "error") this.pump();
    else this.giveUp(how, reason);
    this.free();
  }

  private failure(): JsonFailure {
    return JSON.parse(this.ask((protocol, call) => protocol.call_failure(call))) as JsonFailure;
  }

  private fail(): void {
    const failure = this.failure();
    this.failed = failure.class;
    const { refusal } = this;
    if (refusal !== undefined && failure.attempt === refusal.number && this.taken === undefined) {
      this.taken = refusal;
      this.refusedWith = failure;
      this.close();
      return this.resolve(refusal);
    }
    if (this.hasLeft && failure.class === "timeout_acquire") {
      this.hub.timeOut(this.start.tenant);
      if (this.allOfTenant !== undefined) nameTenant(failure, this.allOfTenant);
    }
    const error = this.error = providerError(this.name, failure, this.cause);
    this.taken?.break(failure.class.startsWith("timeout") ? "stall" : "error", error);
    this.close();
    this.onFailed?.(error);
    this.free();
    this.reject(error);
  }

  /** Throws what the call has failed with in place of an answer, if another provider may mend it. */
  giveRefusalBack(): void {
    const { refusal, refusedWith } = this;
    if (refusal === undefined || refusedWith?.fallsBack !== true) return;
    if (refusal.reader === undefined) refusal.end("eof");
    else refusal.break("cancel", undefined);
    this.free();
    throw providerError(this.name, refusedWith, undefined);
  }

  private finish(): void {
    this.close();
    this.resolve(this.taken);
  }

  /** The tokens that the answer has told of, if the module still knows the call. */
  usage(): Usage | undefined {
    if (this.call < 0 || this.generation !== protocolGeneration()) return undefined;
    const text = this.ask((protocol, call) => protocol.call_usage(call));
    return text === "" ? undefined : JSON.parse(text) as Usage;
  }

  /** What the answer says, once it is whole. It is there to be asked for until `free`. */
  output(): string {
    return this.ask((protocol, call) => protocol.call_output(call));
  }

  /** Leaves what a call has that is over. */
  private close(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.release();
    this.hub.settings.clock.clearTimer(this.timer);
    this.timer = undefined;
    try {
      this.hub.resize(this.hub.now());
      this.events.stepped();
    } catch (error) {
      // The module failed, which ends this call as it ends the others.
      this.cause ??= error;
    }
    for (const undo of this.undo) undo();
    this.onOver?.();
  }

  /** Has the module forget the call, after which nothing can be asked about it. */
  free(): void {
    const { call } = this;
    this.call = -1;
    if (call < 0 || this.generation !== protocolGeneration()) return;
    try {
      this.hub.ask((protocol) => protocol.call_free(call, this.hub.now()));
    } catch {
      // With its instance it is gone too.
    }
  }

  /** Breaks everything off, for a reason that the call does not know of. */
  giveUp(how: BodyEnd, reason: unknown): void {
    if (this.isOver) return;
    const error = reason instanceof Complained
      ? complaintError(this.name, reason.complaint) : reason;
    this.failed = CLASSES[how] ?? "cancelled";
    this.error = error;
    this.close();
    for (const attempt of this.running.values()) attempt.break(how, error);
    this.running.clear();
    this.taken?.break(how, error);
    this.onFailed?.(error);
    // To free it is to abandon it too.
    this.free();
    this.reject(error);
  }

  /** Sets the timer for when the call is to be asked again. */
  private arm(): void {
    const now = this.hub.now();
    const { clock } = this.hub.settings;
    let until = this.ask((protocol, call) => protocol.call_until(call));
    if (this.acquiring !== undefined) {
      const alert = this.acquireSince + this.hub.opened.described.alertAfter;
      until = Math.min(until, this.hub.nextChange(), alert > now ? alert : Infinity);
    }
    if (this.isEdge) until = Math.min(until, now + this.look);
    if (until !== this.timerAt || this.timer === undefined) {
      clock.clearTimer(this.timer);
      this.timerAt = until;
      this.timer = until === Infinity ? undefined : clock.setTimer(() => {
        this.timer = undefined;
        this.pump();
      }, Math.max(Math.ceil(until - now), 0));
    }
    this.holdProcess();
  }

  /** Has the timer keep the process alive, unless what is under way or the queue does that. */
  private holdProcess(): void {
    const isAlone = this.running.size === 0 && this.acquiring === undefined;
    holdProcess(this.hub.settings.clock, this.timer, isAlone);
  }
}

/** For how long the end of a body is waited for, so that its connection can be kept. */
const DRAIN = 250;

/** Reads what is left of a body whose answer is over, and gives it up if it does not end. */
export function drain(reader: ReadableStreamDefaultReader<Uint8Array>, clock: Clock): void {
  const stop = (): void => void reader.cancel().catch(() => undefined);
  const timer = setBackgroundTimer(clock, stop, DRAIN);
  const look = async (): Promise<void> => {
    while (!(await reader.read()).done);
  };
  void look().catch(() => undefined).then(() => clock.clearTimer(timer));
}

/** More places at the provider would not have helped a call whose tenant has all of its own. */
function nameTenant(failure: JsonFailure, has: number): void {
  failure.message = "the call was not sent in time, as its tenant had all of the "
    + `${has} places that it may have`;
  failure.text = `${failure.message} (acquireTimeout; raise the tenant's max, or send fewer)`;
}

function hedgeAtMax(): PoolError {
  return new PoolError("queue_full", "the tenant has all that it may have; send fewer at once");
}

function lostWithItsModule(): PoolError {
  const text = "the module of the clients failed and was replaced; call again";
  return new PoolError("core_reset", text);
}
