import { type Clock, waitedFor } from "./clock.js";
import * as core from "./core.js";
import { EdgeWaiter, TICK } from "./edge-waiter.js";
import {
  AcquireTimeoutError, CoreResetError, CreateError, type Holder, type Phase, PoolClosedError,
  PoolError, QueueFullError, TooManyError, UnavailableError, messageOf,
} from "./errors.js";
import { type LeaveReason, type PoolEvent, Teller } from "./events.js";
import {
  type Failure, type JobKind, type Outcome, RunningJob, failed, overdue, run, unfit,
} from "./jobs.js";
import { LeaseTracker, captureStack } from "./leaks.js";
import { type Lease, OwnLease, type RequestScope } from "./lease.js";
import { Places } from "./places.js";
import { deferred } from "./runtime.js";
import { type Settings, defaultMinIdle, needsClock, open } from "./settings.js";
import { abortReason, findAborted, listen } from "./signals.js";
import { type PoolStats, readStats } from "./stats.js";
import { PoolTimer } from "./timer.js";
import { type Served, type Want, Waiters } from "./waiters.js";

/** Is told how a creation has ended: what it failed with, if it did. */
type Watch = (failure: Failure | undefined) => void;

/** The number of a pool that the module does not know, and answers for that it is closed. */
const GONE = 0xffff_ffff;
/** A key that no lease has: its place is beyond every pool's. */
const NO_LEASE = core.INDEX_MASK;
/** How many holders an error names. */
const HOLDERS_TOLD = 3;
/** What to do about a wait that timed out, by what it waited for. */
const ADVICE: Record<Phase, string> = {
  waiting: "hold leases for less, or raise max or acquireTimeout",
  connecting: "raise acquireTimeout, or keep resources ready with minIdle",
  checking: "see why check or reset is slow, or raise acquireTimeout",
  "backing-off": "see why create fails, or raise acquireTimeout",
  paused: "call resume",
};

/**
 * The shell around one ledger: the resources by the index of their slot, the waiters by theirs,
 * and the one timer. The ledger decides, and its effects are done here after each call.
 *
 * Whatever is thrown out of the module ends that instance. Each pool then opens itself again in
 * the next one (`revive`), and tells it of what is out.
 */
export class Engine<T> implements core.Occupant {
  readonly settings: Settings<T>;
  private module: core.Core;
  private instance: core.Instance;
  private pool: number;
  private readonly clock: Clock;
  /** Whether every operation depends on the time, and whether the next one does. */
  private readonly clocked: boolean;
  private timed: boolean;
  private places = new Places<T>();
  private readonly waiters = new Waiters<T>();
  private readonly edgeWaiters: (EdgeWaiter<T> | undefined)[] = [];
  /** How many callers on the stack are at the effects, among which callbacks of the user run. */
  private busy = 0;
  /** Whether a try for an idle resource goes on, past those that checks show to be bad. */
  private trying = false;
  /** What must wait until every effect has been told. */
  private readonly afterwards: (() => void)[] = [];
  /** What creations failed with, in the order in which waiters are told. */
  private readonly createErrors: unknown[] = [];
  /** What the last creation failed with, unless one succeeded since. */
  private lastFailure: unknown = undefined;
  /** What holders said of the resources that they discarded. */
  private readonly discardErrors = new Map<number, unknown>();
  /** Creations to be begun by a waiter, in its own request. */
  private readonly unbegun: number[] = [];
  /** Who waits for the end of a creation that nobody else waits for. */
  private readonly watches = new Map<number, Watch>();
  /** The pool's timer; on the edge each waiter has its own instead. */
  private readonly timer: PoolTimer | undefined;
  /** The shortest time after which an idle or lent resource is looked at, and a lent one. */
  private readonly shortest: number;
  private readonly limit: number;
  private readonly teller: Teller;
  private readonly tracker: LeaseTracker<T> | undefined;
  /** Whether leases are watched, or events heard: off the hot path. */
  private watched: boolean;
  /**
   * Leases that came back while nothing was going on, and go to the next caller without a word to
   * the ledger, for which they are still out. Whatever looks at the pool gives them back first.
   */
  private readonly spares: number[] = [];
  private readonly maySpare: boolean;
  private sparing = false;
  private reused = 0;
  private isSeeded = false;
  private paused = false;
  private closing = false;
  private readonly drained: (() => void)[] = [];
  /** How many waiters of edge mode are on the stack. */
  private attending = 0;
  /** The request in which the present operation runs. */
  private scope: RequestScope | undefined = undefined;
  /** What the keys of leases became, each time that the module was replaced. */
  private readonly carried: ReadonlyMap<number, number>[] = [];
  private leaked = 0;
  /** What there is to tell of a pool that has gone from the module. */
  private final: PoolStats | undefined = undefined;
  private readonly membership: core.Membership;

  constructor(settings: Settings<T>) {
    this.settings = settings;
    this.clock = settings.clock;
    [this.instance, this.pool] = core.again(() => {
      const instance = core.instance();
      return [instance, open(instance.guarded, settings, settings.max)];
    });
    this.module = this.instance.guarded;
    this.clocked = needsClock(settings);
    this.timed = this.clocked;
    const { idleTimeout, maxLifetime, lifetimeJitter, checkInterval } = settings;
    const life = maxLifetime * (1 - lifetimeJitter / 100);
    this.limit = Math.min(settings.leaseTtl, settings.longHold);
    this.shortest = Math.min(idleTimeout, life, checkInterval, this.limit);
    if (!settings.edge) {
      this.timer = new PoolTimer(this, settings);
    }
    this.teller = new Teller(settings.observer);
    this.tracker = settings.trackLeases
      ? new LeaseTracker((index) => this.tellLeak(index))
      : undefined;
    this.watched = this.isWatched();
    // Nothing but the order of returns decides which resource is next, and nobody cares when.
    this.maySpare = !this.clocked && !settings.fifo;
    this.membership = core.enrol(this, this.module, this.pool);
  }

  private get epoch(): number {
    return this.carried.length;
  }

  private isWatched(): boolean {
    return this.teller.isHeard || this.tracker !== undefined;
  }

  /** Reads the clock: not below zero, which says that it was not read. */
  now(): number {
    const now = this.clock.now();
    return now > 0 ? now : 0;
  }

  // --- Callers ---

  /** Gives an idle resource if nobody waits for one; the fast path of every acquire. */
  tryAcquire(scope?: RequestScope): Lease<T> | undefined {
    const spare = this.spares.pop();
    if (spare !== undefined) return this.lendSpare(spare, scope);
    const now = this.timed ? this.now() : -1;
    let answer: number;
    try {
      answer = this.instance.raw.try_acquire(this.pool, now);
    } catch (cause) {
      throw core.replace(this.instance, cause);
    }
    if (answer < 0) return answer < core.NONE ? this.tryAfterEffects(scope) : undefined;
    const effects = answer & 1;
    const key = (answer - effects) / 2;
    const index = key & core.INDEX_MASK;
    this.places.leases[index] = key;
    const resource = this.places.resources[index] as T;
    const lease = new OwnLease(this, key, this.carried.length, resource, 0);
    if (scope !== undefined) lease._scope = scope;
    if (this.watched) this.tellLent(lease, this.capture());
    if (effects !== 0) this.within(scope, () => this.drain());
    else if (this.limit < Infinity) this.hasten(now + this.limit);
    return lease;
  }

  /**
   * Does what a try has begun, and tries again as long as that shows idle resources to be bad or
   * good: each is looked at once, as what a check says may count for less time than the next look
   * takes. What an operation on the stack has begun is done when that is over.
   */
  private tryAfterEffects(scope: RequestScope | undefined): Lease<T> | undefined {
    if (this.busy > 0 || this.trying) return undefined;
    this.trying = true;
    try {
      for (let left = this.gauge("idle"); left >= 0; left -= 1) {
        this.within(scope, () => this.drain());
        if (this.gauge("checking") > 0 || this.gauge("idle") === 0) return undefined;
        const lease = this.tryAcquire(scope);
        if (lease !== undefined) return lease;
      }
      return undefined;
    } finally {
      this.trying = false;
    }
  }

  private lendSpare(key: number, scope: RequestScope | undefined): Lease<T> {
    const index = key & core.INDEX_MASK;
    this.reused += 1;
    this.places.reuses[index] = (this.places.reuses[index] as number) + 1;
    const resource = this.places.resources[index] as T;
    const lease = new OwnLease(this, key, this.carried.length, resource, 0);
    if (scope !== undefined) lease._scope = scope;
    return lease;
  }

  /** Has every lease that comes back told to the ledger, until the next look. */
  private stopSparing(): void {
    this.sparing = false;
    this.settleSpares();
  }

  /** Tells the ledger of the leases that came back without a word. */
  private settleSpares(): void {
    try {
      this.releaseSpares();
    } catch (error) {
      // They were given back by telling the next module.
      if (!(error instanceof CoreResetError)) throw error;
    }
  }

  private releaseSpares(): void {
    for (let key = this.spares.at(-1); key !== undefined; key = this.spares.at(-1)) {
      this.module.release(this.pool, -1, key);
      this.places.endLease(key & core.INDEX_MASK);
      this.spares.pop();
    }
  }

  /** Queues a caller, in process mode. */
  wait(want: Want, isPlain: boolean): Promise<Served<T>> {
    const now = this.now();
    let answer: number;
    try {
      answer = this.ask(want, now, now + want.timeout);
    } catch (error) {
      return Promise.reject(error);
    }
    if (answer >= 0) return Promise.resolve(this.lendDirectly(answer, want));
    const key = core.WAITER_BASE - answer;
    const index = key & core.INDEX_MASK;
    const promise = new Promise<Served<T>>((resolve) => {
      const extra = isPlain ? undefined : { want, key, unlisten: () => undefined as void };
      this.waiters.add(index, now, resolve, extra);
      if (extra !== undefined && want.signals.length > 0) {
        const abort = (reason: unknown): void => this.whenTold(() => {
          // It may have been served or ended by now, and its index be another's.
          if (this.waiters.has(index, extra)) this.cancelWaiter(index, key, reason);
        });
        extra.unlisten = listen(want.signals, abort);
        // A callback may have aborted it since the caller's were looked at.
        const aborted = findAborted(want.signals);
        if (aborted !== undefined) abort(abortReason(aborted));
      }
    });
    if (this.teller.isHeard) this.teller.tell({ type: "queued" });
    this.within(want.scope, () => this.drain());
    return promise;
  }

  /** Queues a caller, in edge mode: its own timer runs from before its first await. */
  waitOnEdge(want: Want, since = this.now()): Promise<Served<T>> {
    const now = this.now();
    let answer: number;
    try {
      answer = this.ask(want, now, since + want.timeout);
    } catch (error) {
      return Promise.reject(error);
    }
    const waited = waitedFor(now, since);
    if (answer >= 0) return Promise.resolve(this.lendDirectly(answer, want, waited));
    const waiter = new EdgeWaiter(this, core.WAITER_BASE - answer, since, want);
    this.edgeWaiters[waiter.index] = waiter;
    if (this.teller.isHeard) this.teller.tell({ type: "queued" });
    this.attend(want.scope);
    return waiter.start();
  }

  /** Asks for a lease: its key, or what says that the caller is queued. Throws if it is refused. */
  private ask(want: Want, now: number, deadline: number): number {
    const { priority, need } = want;
    this.stopSparing();
    const answer = this.module.acquire(this.pool, now, deadline, priority, need);
    if (this.tracker !== undefined) want.stack ??= this.capture();
    // Nothing is told or done until a waiter is in the tables.
    if (answer <= core.WAITER_BASE) return answer;
    const { epoch } = this;
    this.within(want.scope, () => this.drain());
    // The module may have failed at the effects, and the next one knows of no such lease.
    if (answer >= 0) return epoch === this.epoch ? answer : this.ask(want, this.now(), deadline);
    const error = this.refusal(answer, need, now);
    if (this.teller.isHeard) this.teller.tell({ type: "refused", code: error.code });
    throw error;
  }

  private refusal(answer: number, need: number, now: number): PoolError {
    if (answer === core.CLOSED) return new PoolClosedError();
    if (answer === core.TOO_MANY) return new TooManyError(need, this.settings.max);
    if (answer === core.UNAVAILABLE) {
      const retryIn = Math.max(this.module.retry_at(this.pool) - now, 0);
      return new UnavailableError(retryIn, this.lastFailure);
    }
    return new QueueFullError(this.settings.maxWaiting);
  }

  /** Tells where the caller stands, if that is kept. */
  private capture(): string | undefined {
    return this.tracker === undefined ? undefined : captureStack();
  }

  private cancelWaiter(index: number, key: number, reason: unknown): void {
    core.again(() => this.module.cancel(this.pool, this.now(), key));
    this.waiters.remove(index)?.settle(Promise.reject(reason));
    if (this.teller.isHeard) this.teller.tell({ type: "cancelled" });
    this.drain();
  }

  /**
   * Cancels nothing while effects wait: the ledger would forget an end that has not been told, and
   * the next waiter to fail would be given its cause.
   */
  private whenTold(cancel: () => void): void {
    if (this.busy === 0) cancel();
    else this.afterwards.push(cancel);
  }

  /** Makes the lease for a key that the ledger has leased. */
  lend(
    key: number, waited: number, scope: RequestScope | undefined, stack: string | undefined,
  ): Lease<T> {
    const index = key & core.INDEX_MASK;
    this.places.leases[index] = key;
    const resource = this.places.resources[index] as T;
    const lease = new OwnLease(this, key, this.epoch, resource, waited);
    lease._scope = scope;
    if (this.watched) this.tellLent(lease, stack);
    return lease;
  }

  private lendDirectly(key: number, want: Want, waited = 0): Served<T> {
    const lease = this.lend(key, waited, want.scope, want.stack);
    return want.isMany ? [lease] : lease;
  }

  /** Turns an offer into a lease, in edge mode: the key, or what `claim` says else. */
  claim(waiter: number): number {
    return this.module.claim(this.pool, waiter);
  }

  /** Gives up a waiter of edge mode; an offer made to it passes on. */
  cancel(waiter: number): void {
    this.whenTold(() => {
      core.again(() => this.module.cancel(this.pool, this.now(), waiter));
      if (this.teller.isHeard) this.teller.tell({ type: "cancelled" });
      this.drain();
    });
  }

  /** Takes a waiter of edge mode out of the table, unless its index is another's by now. */
  forgetOnEdge(waiter: EdgeWaiter<T>): void {
    if (this.edgeWaiters[waiter.index] === waiter) this.edgeWaiters[waiter.index] = undefined;
  }

  // --- Holders ---

  /** Takes a lease back in good order. */
  release(lease: Lease<T>): boolean {
    if (this.watched || this.settings.reset !== undefined) return this.giveBack(lease) !== false;
    const key = this.keyOf(lease);
    // One whose time has passed has lost its place, and may be told so by nobody else.
    if (this.sparing && this.places.leases[key & core.INDEX_MASK] === key) {
      lease._key = -1 - key;
      this.spares.push(key);
      return true;
    }
    const now = this.timed ? this.now() : -1;
    let status: number;
    try {
      status = this.instance.raw.release(this.pool, now, key);
    } catch (cause) {
      core.replace(this.instance, cause);
      status = this.module.release(this.pool, this.now(), this.keyOf(lease));
    }
    if ((status & core.DONE) !== 0) this.noteEnd(lease);
    if ((status & core.EFFECTS) !== 0) this.within(lease._scope, () => this.drain());
    else if (this.shortest < Infinity) this.hasten(now + this.shortest);
    else if (!this.clocked) this.timed = (status & core.NEEDS_CLOCK) !== 0;
    return (status & core.DONE) !== 0;
  }

  /** Takes a lease back in good order: the job of its reset, or else whether it was out. */
  giveBack(lease: Lease<T>): RunningJob<T> | boolean {
    const { reset } = this.settings;
    if (reset === undefined) {
      return this.end(lease, (key, now) => this.module.release(this.pool, now, key), "released");
    }
    let slot = core.NONE;
    const begun = this.end(lease, (key, now) => {
      slot = this.module.begin_reset(this.pool, now, key);
      return slot < 0 ? 0 : core.DONE;
    }, undefined, false);
    if (!begun) {
      // It may have expired at this.
      this.drain();
      return false;
    }
    return this.within(lease._scope, () => {
      const index = slot & core.INDEX_MASK;
      const outdated = this.places.outdated.has(index);
      const resource = this.places.clear(index);
      const job = this.begin("reset", slot, resource, (job) => reset(resource, job), (job) => {
        job.outdated = outdated;
        if (this.teller.isHeard) this.teller.tell({ type: "released", slot: index });
      });
      this.drain();
      return job;
    });
  }

  /** Has the resource closed, as it is damaged. */
  discard(lease: Lease<T>, error: unknown): boolean {
    return this.end(lease, (key, now) => {
      const status = this.module.discard(this.pool, now, key);
      if ((status & core.DONE) !== 0) {
        const index = key & core.INDEX_MASK;
        this.places.outdated.add(index);
        if (error !== undefined) this.discardErrors.set(index, error);
      }
      return status;
    });
  }

  /** Lets the resource leave the pool with its holder. */
  take(lease: Lease<T>): void {
    const done = this.end(lease, (key, now) => {
      const status = this.module.take(this.pool, now, key);
      // It is the caller's from here on, and may be what the next creation gives.
      if ((status & core.DONE) !== 0) this.places.clear(key & core.INDEX_MASK);
      return status;
    }, "taken");
    if (!done) throw new PoolError("lease_ended", "take: the lease had ended");
  }

  /** Pushes the end of a lease to `ttl` ms from now. */
  renew(lease: Lease<T>, ttl: number): boolean {
    const status = core.again(() =>
      this.module.renew(this.pool, this.now(), this.keyOf(lease), ttl));
    const done = (status & core.DONE) !== 0;
    if (done) this.places.ttls.set(lease.slot, ttl);
    this.drain();
    return done;
  }

  /** Ends a lease in the way that `operate` says, and does what follows from it. */
  private end(
    lease: Lease<T>, operate: (key: number, now: number) => number,
    told?: "released" | "taken", drains = true,
  ): boolean {
    const status = core.again(() => operate(this.keyOf(lease), this.now()));
    const done = (status & core.DONE) !== 0;
    if (done) {
      const { slot } = lease;
      this.noteEnd(lease);
      this.tracker?.end(lease, slot);
      if (told !== undefined && this.teller.isHeard) this.teller.tell({ type: told, slot });
    }
    if (drains) this.within(lease._scope, () => this.drain());
    return done;
  }

  /** Notes that the lease is over. Its key may be another lease's by now, if that was a spare. */
  private noteEnd(lease: Lease<T>): void {
    this.places.endLease(lease.slot);
    lease._key = -1 - lease._key;
  }

  /** The lease's key in the present module; none if the lease is over. */
  private keyOf(lease: Lease<T>): number {
    if (lease._key < 0) return NO_LEASE;
    while (lease._epoch < this.epoch) {
      lease._key = this.carried[lease._epoch]?.get(lease._key) ?? NO_LEASE;
      lease._epoch += 1;
    }
    return lease._key;
  }

  // --- Time ---

  /** Settles what is due; its effects are left to the next `drain`. */
  advance(): void {
    try {
      this.module.advance(this.pool, this.now());
    } catch (error) {
      if (!(error instanceof CoreResetError)) throw error;
    }
  }

  /** Does what is due. */
  tick(): void {
    this.advance();
    this.drain();
  }

  /** Does what is due, and keeps the pool filled: for an alarm. */
  maintain(): void {
    this.timer?.alarmed();
    this.manage(core.FILL);
  }

  /** When there is something to do next, if there is anything. */
  nextDeadline(): number | undefined {
    const at = core.again(() => this.module.next_deadline(this.pool));
    return at === Infinity ? undefined : at;
  }

  /** Sees to it that the timer fires in time for what a release or a loan has made due. */
  private hasten(at: number): void {
    const { timer } = this;
    if (timer === undefined || timer.at <= at) return;
    try {
      timer.arm(this.module.next_deadline(this.pool), this.isWaitedFor());
    } catch (error) {
      // What was lent or came back is so all the same, and the next module arms the timer.
      if (!(error instanceof CoreResetError)) throw error;
    }
  }

  /** Tells whether somebody waits, so that a process must not end. */
  private isWaitedFor(): boolean {
    return this.waiters.count > 0 || this.watches.size > 0;
  }

  /** Looks what is next, after effects were done. */
  private look(): void {
    this.timed = this.clocked || (this.module.status(this.pool) & core.NEEDS_CLOCK) !== 0;
    const isQuiet = this.waiters.count === 0 && !this.paused && !this.closing && !this.watched;
    // What depends on no time now has no deadline, no failure and nothing that is to leave.
    this.sparing = this.maySpare && !this.timed && isQuiet;
    this.timer?.arm(this.module.next_deadline(this.pool), this.isWaitedFor());
  }

  // --- Effects ---

  /** Does the effects that the ledger has asked for, in their order. */
  drain(): void {
    // Whoever is at them does those too that a callback has brought, so that none nests.
    if (this.busy > 0) return;
    this.busy += 1;
    try {
      this.performAll();
      this.look();
    } catch (error) {
      // The effects went with the module, and what they were about was told to the next.
      if (!(error instanceof CoreResetError)) throw error;
    } finally {
      this.busy -= 1;
    }
    while (this.afterwards.length > 0) this.afterwards.shift()?.();
  }

  private performAll(): void {
    for (;;) {
      const effect = this.module.next_effect(this.pool);
      if (effect < 0) return;
      this.perform(effect >> core.KIND_SHIFT, effect & core.INDEX_MASK);
    }
  }

  private perform(kind: number, index: number): void {
    const key = this.module.effect_key();
    switch (kind) {
      case core.LEASED: return this.serve(index, key);
      case core.OFFERED: return this.edgeWaiters[index]?.ring();
      case core.CREATE: return this.create(key);
      case core.CHECK: return this.check(key);
      case core.CLOSE: return this.close(key, this.module.effect_detail());
      case core.ABANDON: return this.abandon(key, this.module.effect_detail() === 1);
      case core.LONG_HOLD: return this.tellLongHold(key);
      case core.DRAINED: return this.finish();
      default: return this.endWait(kind, index, this.module.effect_detail());
    }
  }

  private serve(index: number, key: number): void {
    const waiter = this.waiters.remove(index);
    if (waiter === undefined) return void this.module.release(this.pool, this.now(), key);
    const waited = waitedFor(this.now(), waiter.since);
    const want = waiter.extra?.want;
    const first = this.lend(key, waited, want?.scope, want?.stack);
    if (want === undefined || !want.isMany) return waiter.settle(first);
    const leases = [first];
    try {
      while (leases.length < want.need) {
        const next = this.module.claim(this.pool, waiter.extra?.key ?? core.NONE);
        // Whoever was told of the first lease may have closed the pool.
        if (next < 0) throw new PoolClosedError();
        leases.push(this.lend(next, waited, want.scope, want.stack));
      }
    } catch (error) {
      // The module may have failed, and the next one knows of these leases: nobody will have them.
      waiter.settle(Promise.reject(error));
      for (const lease of leases) this.release(lease);
      return;
    }
    waiter.settle(leases);
  }

  private endWait(kind: number, index: number, place: number): void {
    const onEdge = this.edgeWaiters[index];
    const waiter = this.settings.edge ? undefined : this.waiters.remove(index);
    const since = onEdge?.since ?? waiter?.since ?? this.now();
    const need = onEdge?.want.need ?? waiter?.extra?.want.need ?? 1;
    let error: PoolError;
    try {
      error = this.endError(kind, since, place, need);
    } catch (failed) {
      // The module has failed, and the waiter is not in the table any more to be told so.
      error = failed as PoolError;
    }
    if (this.teller.isHeard) this.teller.tell({ type: "ended", code: error.code });
    waiter?.settle(Promise.reject(error));
    if (onEdge === undefined) return;
    this.forgetOnEdge(onEdge);
    onEdge.end(error);
  }

  private endError(kind: number, since: number, place: number, need: number): PoolError {
    switch (kind) {
      case core.ENDED_CLOSED: return new PoolClosedError();
      case core.NEEDS_TOO_MANY: return new TooManyError(need, this.settings.max);
      case core.CREATE_FAILED: {
        const cause = this.createErrors.shift();
        return new CreateError(`create failed: ${messageOf(cause)}`, cause);
      }
      case core.CREATE_TIMED_OUT: {
        const { message } = overdue("create", this.settings.createTimeout);
        const text = `${message}; raise createTimeout if it may take so long`;
        return new CreateError(text, undefined, "create_timeout");
      }
      default: return this.timeoutError(kind, since, place);
    }
  }

  private timeoutError(kind: number, since: number, place: number): AcquireTimeoutError {
    const waited = waitedFor(this.now(), since);
    const holders = this.tracker === undefined ? [] : this.holders().slice(0, HOLDERS_TOLD);
    const phase = this.phase(place);
    const report = { phase, waited, place, holders, cause: this.lastFailure };
    if (kind === core.MISSED) {
      const text = "the waiter let three offers pass: its request stood still";
      return new AcquireTimeoutError(text, report, "offer_missed");
    }
    const [max, inUse] = [this.gauge("max"), this.gauge("inUse")];
    const parts = [
      `no resource came free in ${waited} ms (${phase})`,
      `${place} callers ahead, ${inUse} of ${max} in use`,
      ...(this.lastFailure === undefined ? [] : [`create failed: ${messageOf(this.lastFailure)}`]),
      ADVICE[phase],
      ...holders.map(describe),
    ];
    return new AcquireTimeoutError(parts.join("; "), report);
  }

  private phase(place: number): Phase {
    const [creating, checking] = [this.gauge("creating"), this.gauge("checking")];
    if (this.paused) return "paused";
    if (place < creating) return "connecting";
    if (place < creating + checking + this.gauge("resetting")) return "checking";
    const room = this.gauge("size") < this.gauge("max");
    return room && this.module.retry_at(this.pool) >= 0 ? "backing-off" : "waiting";
  }

  private gauge(name: (typeof core.GAUGES)[number]): number {
    return this.module.gauge(this.pool, core.GAUGES.indexOf(name));
  }

  // --- Jobs ---

  /** Runs a job, and takes in how it went. */
  private begin(
    kind: JobKind, key: number, resource: T | undefined, call: (job: RunningJob<T>) => unknown,
    onBegun?: (job: RunningJob<T>) => void,
  ): RunningJob<T> {
    const job = new RunningJob<T>(kind, key, resource);
    this.places.jobs.set(key, job);
    onBegun?.(job);
    const settled = run(() => call(job), (outcome) => this.settle(job, outcome));
    if (settled !== undefined) this.keepAlive(settled);
    return job;
  }

  private settle(job: RunningJob<T>, outcome: Outcome<unknown>): void {
    // What ends in the step in which it began has that step's time: none has passed for a caller
    // who would wait for nothing longer.
    const now = this.busy > 0 ? -1 : this.now();
    this.busy += 1;
    try {
      core.again(() => {
        if (this.places.jobs.get(job.key) === job) this.takeIn(job, outcome, now);
        else this.takeInLate(job, outcome);
      });
    } catch (error) {
      // Its place is a lease of its own in a third module, and comes back when its time passes.
      if (!(error instanceof CoreResetError)) throw error;
    } finally {
      this.busy -= 1;
    }
    job.end();
    this.drain();
  }

  /** What a creation that was given up has made nonetheless is closed. */
  private takeInLate(job: RunningJob<T>, outcome: Outcome<unknown>): void {
    if (job.kind !== "create" || !outcome.ok) return;
    if (unfit(outcome.value, this.places.all()) === undefined) this.closeLate(outcome.value as T);
  }

  /**
   * Tells the ledger how a job went. Each takes it out of the table when the module has answered,
   * and before anybody is told, who may meet the module's end.
   */
  private takeIn(job: RunningJob<T>, outcome: Outcome<unknown>, now: number): void {
    if (job.kind === "create") this.takeInCreation(job, outcome, now);
    else if (job.kind === "close") this.takeInClosing(job, outcome, now);
    else this.takeInVerdict(job, outcome, now);
  }

  private takeInCreation(job: RunningJob<T>, outcome: Outcome<unknown>, now: number): void {
    const { key } = job;
    const problem = outcome.ok ? unfit(outcome.value, this.places.all()) : undefined;
    if (!outcome.ok || problem !== undefined) {
      return this.failCreation(job, problem ?? (outcome as { error: unknown }).error, now);
    }
    const resource = outcome.value as T;
    const { module, pool } = this;
    const status = job.isLease ? module.release(pool, now, key) : module.created(pool, now, key);
    this.places.jobs.delete(key);
    if ((status & core.DONE) === 0) return this.closeLate(resource);
    const slot = key & core.INDEX_MASK;
    this.places.put(slot, resource);
    this.lastFailure = undefined;
    this.endWatch(key);
    if (this.teller.isHeard) this.teller.tell({ type: "created", slot });
  }

  private failCreation(job: RunningJob<T>, error: unknown, now: number): void {
    const { key } = job;
    const { module, pool } = this;
    if (job.isLease) {
      module.take(pool, now, key);
    } else {
      const ended = module.create_failed(pool, now, key) >> core.FAILED_SHIFT;
      for (let told = 0; told < ended; told += 1) this.createErrors.push(error);
    }
    this.places.jobs.delete(key);
    this.lastFailure = error;
    this.endWatch(key, { error });
    if (this.teller.isHeard) this.teller.tell({ type: "createFailed", error });
  }

  private takeInVerdict(job: RunningJob<T>, outcome: Outcome<unknown>, now: number): void {
    const { kind, key } = job;
    const { module, pool } = this;
    const good = outcome.ok && (kind === "reset" || outcome.value !== false);
    const giveBack = good && !job.outdated ? module.release : module.discard;
    const answer = kind === "check" ? module.checked : module.reset;
    const status = job.isLease ? giveBack(pool, now, key) : answer(pool, now, key, Number(good));
    this.places.jobs.delete(key);
    if ((status & core.DONE) === 0) return this.closeLate(job.resource as T);
    this.places.put(key & core.INDEX_MASK, job.resource);
    // Its closing is told by an effect, which may be lost with the module.
    if (!good || job.outdated) this.places.outdated.add(key & core.INDEX_MASK);
    if (good || !this.teller.isHeard) return;
    const type = kind === "check" ? "checkFailed" : "resetFailed";
    this.teller.tell({ type, error: failed(outcome) });
  }

  private takeInClosing(job: RunningJob<T>, outcome: Outcome<unknown>, now: number): void {
    const { module, pool } = this;
    if (job.isLease) module.take(pool, now, job.key);
    else module.closed(pool, now, job.key);
    this.places.jobs.delete(job.key);
    if (!outcome.ok && this.teller.isHeard) {
      this.teller.tell({ type: "closeFailed", error: outcome.error });
    }
  }

  /**
   * Does the effects in the request of a waiter of edge mode, which begins what creations there
   * are: one that lives in a request that does not wait would die with it.
   */
  attend(scope: RequestScope | undefined): void {
    this.within(scope, () => {
      this.attending += 1;
      try {
        this.drain();
        for (const key of this.unbegun.splice(0)) this.create(key);
        this.drain();
      } finally {
        this.attending -= 1;
      }
    });
  }

  private create(key: number): void {
    if (this.settings.edge && this.attending === 0 && this.ringWaiter()) {
      this.unbegun.push(key);
      return;
    }
    this.seed();
    this.begin("create", key, undefined, (job) => this.settings.create(job));
  }

  /** Draws chance's seed, once something is made: at module scope a host may have none to give. */
  private seed(): void {
    if (this.isSeeded) return;
    let chance: number;
    try {
      chance = this.settings.random();
    } catch {
      // It has none yet, and a resource need not wait for that.
      return;
    }
    this.isSeeded = true;
    this.module.seed(this.pool, Math.floor(chance * 2 ** 52));
  }

  /** Wakes a waiter of edge mode, if there is one. */
  private ringWaiter(): boolean {
    const waiter = this.edgeWaiters.find((waiter) => waiter !== undefined);
    waiter?.ring();
    return waiter !== undefined;
  }

  private check(key: number): void {
    const resource = this.places.clear(key & core.INDEX_MASK);
    this.begin("check", key, resource, (job) => this.settings.check?.(resource, job));
  }

  private close(key: number, leaving: number): void {
    const reason = core.LEAVING[leaving] as LeaveReason;
    const slot = key & core.INDEX_MASK;
    if (reason === "expired") this.tellLeak(slot);
    if (reason === "expired" && this.epoch > 0) this.giveUpAdopted(slot);
    const error = this.discardErrors.get(slot);
    this.discardErrors.delete(slot);
    const resource: T | undefined = this.places.clear(slot);
    if (this.teller.isHeard && resource !== undefined) {
      const why = error === undefined ? {} : { error };
      this.teller.tell({ type: "leaves", slot, reason, ...why });
    }
    // After the module was replaced, the place may be that of a creation that took too long.
    if (resource === undefined || this.settings.close === undefined) {
      this.module.closed(this.pool, this.now(), key);
    } else {
      this.begin("close", key, resource, (job) => this.settings.close?.(resource, job));
    }
  }

  private abandon(key: number, isOverdue: boolean): void {
    const job = this.places.jobs.get(key);
    if (job === undefined) return this.forgetUnbegun(key, isOverdue);
    this.places.jobs.delete(key);
    const error = isOverdue
      ? overdue(job.kind, this.limitOf(job.kind))
      : new Error(`${job.kind} was given up, as the pool needs it no more`);
    job.abort(error);
    if (job.kind === "create") {
      if (isOverdue) this.lastFailure = error;
      this.endWatch(key, { error });
    } else if (job.kind !== "close") {
      this.closeLate(job.resource as T);
    }
    if (isOverdue && this.teller.isHeard) this.teller.tell({ type: `${job.kind}Failed`, error });
  }

  private forgetUnbegun(key: number, isOverdue: boolean): void {
    const at = this.unbegun.indexOf(key);
    if (at >= 0) this.unbegun.splice(at, 1);
    const error = isOverdue
      ? overdue("create", this.settings.createTimeout)
      : new Error("create was given up, as the pool needs it no more");
    this.endWatch(key, { error });
  }

  /** Gives up the job whose place was a lease of its own, and whose time has passed. */
  private giveUpAdopted(slot: number): void {
    for (const job of [...this.places.jobs.values()]) {
      if (!job.isLease || (job.key & core.INDEX_MASK) !== slot) continue;
      const error = overdue(job.kind, this.limitOf(job.kind));
      this.places.jobs.delete(job.key);
      job.abort(error);
      this.endWatch(job.key, { error });
      if (job.kind === "check" || job.kind === "reset") this.closeLate(job.resource as T);
    }
  }

  private limitOf(kind: JobKind): number {
    return this.settings[`${kind}Timeout`];
  }

  /** Has a resource closed that came back from a job after that was given up. */
  private closeLate(resource: T): void {
    const index = core.again(() => this.module.close_late(this.pool, this.now()));
    if (index >= 0) {
      this.places.put(index, resource);
    } else if (this.settings.close !== undefined) {
      // The pool has gone.
      const { close } = this.settings;
      const job = new RunningJob<T>("close", core.NONE, resource);
      void run(() => close(resource, job), () => undefined);
    }
  }

  /** Keeps the request going in which a job was begun, until that has settled. */
  private keepAlive(settled: Promise<unknown>): void {
    try {
      this.scope?.ctx?.waitUntil(settled);
    } catch {
      // A request that has ended keeps nothing going; the job's time frees its place.
    }
  }

  /** Does something in the name of a request. */
  private within<R>(scope: RequestScope | undefined, act: () => R): R {
    const before = this.scope;
    this.scope = scope;
    try {
      return act();
    } finally {
      this.scope = before;
    }
  }

  // --- Operators ---

  /** Starts a creation that nobody waits for, and tells how it ended; returns whether it did. */
  prepare(onEnd: Watch): boolean {
    this.stopSparing();
    const key = this.module.prepare(this.pool, this.now());
    if (key >= 0) this.watches.set(key, onEnd);
    // What is overdue by now is told though nothing begins.
    else this.drain();
    return key >= 0;
  }

  private endWatch(key: number, failure?: Failure): void {
    const watch = this.watches.get(key);
    this.watches.delete(key);
    watch?.(failure);
  }

  /** Changes `max`, which is at least `minIdle`; one that nobody has set follows. */
  resize(max: number): void {
    this.stopSparing();
    const { settings } = this;
    if (settings.minIdle > max) this.changeMinIdle(max);
    core.again(() => this.module.resize(this.pool, this.now(), max));
    settings.max = max;
    if (!settings.minIdleIsSet) this.changeMinIdle(defaultMinIdle(settings.mode, max));
    this.drain();
  }

  /** Changes `minIdle`, which is at most `max`. */
  setMinIdle(minIdle: number): void {
    this.settings.minIdleIsSet = true;
    this.changeMinIdle(minIdle);
    this.manage(core.FILL);
  }

  private changeMinIdle(minIdle: number): void {
    this.stopSparing();
    core.again(() => this.module.set_min_idle(this.pool, this.now(), minIdle));
    this.settings.minIdle = minIdle;
  }

  /** Keeps those of the idle resources that `keep` says yes to; returns how many it closed. */
  retain(keep: (key: number, resource: T) => boolean): number {
    this.stopSparing();
    const keys = core.again(() => this.takeIdle());
    let thrown: { error: unknown } | undefined;
    const verdicts = keys.map((key) => {
      try {
        return thrown !== undefined || keep(key, this.places.resources[key & core.INDEX_MASK] as T);
      } catch (error) {
        thrown = { error };
        return false;
      }
    });
    keys.forEach((key, at) =>
      this.module.looked_at(this.pool, this.now(), key, Number(verdicts[at])));
    this.drain();
    if (thrown !== undefined) throw (thrown as { error: unknown }).error;
    return verdicts.filter((kept) => !kept).length;
  }

  private takeIdle(): number[] {
    const keys: number[] = [];
    for (let key = this.module.look_at_idle(this.pool); key >= 0;) {
      keys.push(key);
      key = this.module.look_at_idle(this.pool);
    }
    return keys;
  }

  /** Lends nothing that there is now to anybody else. */
  invalidate(): void {
    this.places.outdateAll();
    this.manage(core.INVALIDATE);
  }

  setPaused(paused: boolean): void {
    this.paused = paused;
    this.manage(paused ? core.PAUSE : core.RESUME);
  }

  get isPaused(): boolean {
    return this.paused;
  }

  get isClosed(): boolean {
    return this.closing;
  }

  private manage(what: number): void {
    this.stopSparing();
    core.again(() => this.module.manage(this.pool, this.now(), what));
    this.drain();
  }

  /** Refuses every acquire from now on, ends the waiters, closes what is idle. */
  shut(): void {
    this.closing = true;
    this.manage(core.CLOSE_POOL);
  }

  /** Has everything closed that is still lent. */
  revokeAll(): void {
    this.stopSparing();
    // A new module has them under other keys, so that all are looked at again.
    core.again(() => {
      for (const key of this.places.keys()) this.module.discard(this.pool, this.now(), key);
    });
    this.drain();
  }

  /** Resolves when the closed pool holds nothing any more, or after `deadline` ms. */
  whenEmpty(deadline: number): Promise<void> {
    if (this.final !== undefined) return Promise.resolve();
    return this.ownPromise((resolve) => {
      const { clock } = this;
      const timer = deadline === Infinity ? undefined : clock.setTimer(resolve, deadline);
      this.drained.push(() => {
        if (timer !== undefined) clock.clearTimer(timer);
        resolve();
      });
    });
  }

  /**
   * Makes a promise that another request may settle. On the edge it looks for what is due from its
   * own request meanwhile, as nobody else may; and without a doorbell, for its end: what waits for
   * it would go on in the other request.
   */
  ownPromise<R>(begin: (resolve: (value: R | PromiseLike<never>) => void) => void): Promise<R> {
    if (!this.settings.edge) return new Promise(begin);
    const { clock } = this;
    const { promise, resolve } = deferred<R>();
    let end: (() => void) | undefined;
    let timer: unknown;
    const look = (): void => {
      this.tick();
      if (end === undefined) timer = clock.setTimer(look, TICK);
      else end();
    };
    begin((value) => {
      if (end !== undefined) return;
      end = () => resolve(value);
      if (timer !== undefined && !this.settings.doorbell) return;
      if (timer !== undefined) clock.clearTimer(timer);
      end();
    });
    if (end === undefined) timer = clock.setTimer(look, TICK);
    return promise;
  }

  /** Drops a closed pool, unless something came late in the meantime: then it is told again. */
  private finish(): void {
    if (this.gauge("size") > 0) return;
    this.final = this.read();
    this.membership.end();
    this.pool = GONE;
    this.timer?.stop();
    for (const tell of this.drained.splice(0)) tell();
    this.teller.end();
  }

  // --- What it tells ---

  /** Reads every gauge and counter. */
  stats(): PoolStats {
    this.tick();
    return this.final === undefined ? core.again(() => this.read()) : { ...this.final };
  }

  private read(): PoolStats {
    this.settleSpares();
    const told = { leaked: this.leaked, restarts: this.epoch, reused: this.reused };
    return readStats(this.module, this.pool, told);
  }

  /** Tells of the leases that are out, the longest held first. */
  holders(): Holder[] {
    this.tick();
    const now = this.now();
    const holders = core.again(() => {
      this.settleSpares();
      return this.places.keys().map((key) => this.holder(key, now));
    });
    return holders.sort((a, b) => a.since - b.since || a.id - b.id);
  }

  private holder(key: number, now: number): Holder {
    const slot = key & core.INDEX_MASK;
    const tracked = this.tracker?.holder(slot, now);
    if (tracked !== undefined) return tracked;
    const since = this.info(key, core.INFO_SINCE) ?? now;
    const id = this.info(key, core.INFO_ID) ?? 0;
    return { slot, id, since, held: Math.max(now - since, 0) };
  }

  /** Tells something of the resource under a key, if that is known. */
  info(key: number, which: number): number | undefined {
    const value = this.module.info(this.pool, key, which);
    if (Number.isNaN(value)) return undefined;
    const reuses = which === core.INFO_USES ? this.places.reuses[key & core.INDEX_MASK] : 0;
    return value + (reuses ?? 0);
  }

  /** As `info`, for the resource of a lease. */
  infoOf(lease: Lease<T>, which: number): number | undefined {
    return core.again(() => this.info(this.keyOf(lease), which));
  }

  /** Gives the events from now on. */
  events(): AsyncIterableIterator<PoolEvent, undefined> {
    const reader = this.teller.read(() => {
      this.watched = this.isWatched();
    });
    this.watched = true;
    this.stopSparing();
    if (this.final !== undefined) this.teller.end();
    return reader;
  }

  private tellLent(lease: Lease<T>, stack: string | undefined): void {
    const { slot, waited } = lease;
    this.track(lease, stack);
    if (!this.teller.isHeard) return;
    this.teller.tell({ type: "acquired", slot, waited });
    if (waited < this.settings.slowAcquire || waited === 0) return;
    const where = stack === undefined ? {} : { stack };
    this.teller.tell({ type: "slowAcquire", waited, ...where });
  }

  private track(lease: Lease<T>, stack: string | undefined): void {
    if (this.tracker === undefined) return;
    const { slot } = lease;
    const now = this.now();
    let id = 0;
    try {
      id = this.info(lease._key, core.INFO_ID) ?? 0;
    } catch (error) {
      // The lease is good nonetheless, in the next module.
      if (!(error instanceof CoreResetError)) throw error;
    }
    const where = stack === undefined ? {} : { stack };
    this.tracker.begin(lease, { slot, id, since: now, held: 0, ...where });
  }

  private tellLongHold(key: number): void {
    if (!this.teller.isHeard) return;
    this.teller.tell({ type: "longHold", holder: this.holder(key, this.now()) });
  }

  private tellLeak(index: number): void {
    const holder = this.tracker?.tellOnce(index, this.now());
    if (holder === undefined) return;
    this.leaked += 1;
    if (this.teller.isHeard) this.teller.tell({ type: "leaked", holder });
  }

  // --- A new module ---

  /**
   * Opens the pool again in a new module, and tells it of all that is out: leases stay good under
   * new keys, and a job that is under way has its place as a lease of its own. Who waited is told.
   */
  revive(instance: core.Instance, cause: unknown): void {
    this.instance = instance;
    this.module = instance.guarded;
    if (this.final !== undefined) return;
    this.adoptAll();
    const error = new CoreResetError(cause);
    this.createErrors.length = 0;
    this.discardErrors.clear();
    for (const waiter of this.waiters.removeAll()) waiter.settle(Promise.reject(error));
    for (const waiter of this.edgeWaiters.splice(0)) waiter?.end(error);
    this.unbegun.length = 0;
    for (const key of [...this.watches.keys()]) {
      if (!this.places.jobs.has(key)) this.endWatch(key, { error });
    }
    if (this.teller.isHeard) this.teller.tell({ type: "restarted", cause });
    // Not from within whatever met the end of the old one.
    void Promise.resolve().then(() => this.drain());
  }

  private adoptAll(): void {
    const { settings, places: old } = this;
    for (const key of this.spares.splice(0)) old.endLease(key & core.INDEX_MASK);
    this.reused = 0;
    const leases = old.keys();
    const [jobs, unused] = [[...old.jobs.values()], old.unused()];
    const size = leases.length + jobs.length + unused.length;
    this.pool = open(this.module, settings, Math.max(settings.max, size));
    this.module.advance(this.pool, this.now());
    const next = new Places<T>();
    const carried = new Map<number, number>();
    // What is outdated comes first, as it leaves all at once.
    for (const outdated of [true, false]) {
      for (const key of leases) {
        const index = key & core.INDEX_MASK;
        if (old.outdated.has(index) !== outdated) continue;
        const adopted = this.adopt(next, old.resources[index], outdated);
        next.leases[adopted & core.INDEX_MASK] = adopted;
        this.keepTtl(next, adopted, old.ttls.get(index));
        carried.set(key, adopted);
      }
      for (const index of unused) {
        if (old.outdated.has(index) !== outdated) continue;
        const adopted = this.adopt(next, old.resources[index], outdated);
        if (outdated) this.module.discard(this.pool, this.now(), adopted);
        else this.module.release(this.pool, this.now(), adopted);
      }
      if (outdated) this.module.manage(this.pool, this.now(), core.INVALIDATE);
    }
    for (const job of jobs) this.adoptJob(next, job);
    this.carried.push(carried);
    this.membership.move(this.module, this.pool);
    this.tracker?.move(new Map([...carried].map(([from, to]) =>
      [from & core.INDEX_MASK, to & core.INDEX_MASK])));
    this.places = next;
    this.restore(size);
  }

  private adopt(places: Places<T>, resource: T | undefined, outdated: boolean): number {
    const key = this.module.adopt(this.pool);
    places.put(key & core.INDEX_MASK, resource);
    if (outdated) places.outdated.add(key & core.INDEX_MASK);
    return key;
  }

  /** Lets an adopted lease live for as long as its holder has said last. */
  private keepTtl(places: Places<T>, key: number, ttl: number | undefined): void {
    if (ttl === undefined) return;
    this.module.renew(this.pool, this.now(), key, ttl);
    places.ttls.set(key & core.INDEX_MASK, ttl);
  }

  private adoptJob(places: Places<T>, job: RunningJob<T>): void {
    const watch = this.watches.get(job.key);
    this.watches.delete(job.key);
    job.key = this.adopt(places, undefined, false);
    job.isLease = true;
    places.jobs.set(job.key, job);
    if (watch !== undefined) this.watches.set(job.key, watch);
    // The new one knows no time of a job, but one of leases.
    this.module.renew(this.pool, this.now(), job.key, this.limitOf(job.kind));
  }

  /** Brings the new ledger to where the old one was. */
  private restore(size: number): void {
    const { max } = this.settings;
    const now = this.now();
    if (size > max) this.module.resize(this.pool, now, max);
    if (this.paused) this.module.manage(this.pool, now, core.PAUSE);
    if (this.closing) this.module.manage(this.pool, now, core.CLOSE_POOL);
    this.timed = true;
    this.sparing = false;
    this.isSeeded = false;
  }
}

function describe({ id, held, stack }: Holder): string {
  const text = `resource ${id} is held for ${Math.round(held)} ms`;
  return stack === undefined ? text : `${text}, acquired at\n${stack}`;
}
