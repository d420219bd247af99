import { revive } from "./adoption.js";
import { waitedFor } from "./clock.js";
import { Answer, Effect, Packed, Status } from "./codes.js";
import * as core from "./core.js";
import { type EdgeWaiter, waitOnEdge } from "./edge-waiter.js";
import { CoreResetError, type Holder, PoolClosedError, type PoolError } from "./errors.js";
import type { PoolEvent } from "./events.js";
import { endLoan, giveBack, keyOf } from "./holders.js";
import type { Keeper } from "./keeper.js";
import { captureStack } from "./leaks.js";
import { type Lease, OwnLease, type RequestScope } from "./lease.js";
import { Ledger } from "./ledger.js";
import { Places } from "./places.js";
import { Reports } from "./reports.js";
import type { Settings } from "./settings.js";
import { abortReason, findAborted, listen } from "./signals.js";
import { type PoolStats, readStats } from "./stats.js";
import { PoolTimer } from "./timer.js";
import { Turn } from "./turn.js";
import { type Wait, endOfWait, refusal } from "./wait-errors.js";
import { type Extra, type Served, type Want, Waiters } from "./waiters.js";
import { Workshop } from "./workshop.js";

/**
 * The shell around one ledger: callers, holders and time. The ledger decides, and its effects are
 * done here after each operation. All state is here; what is called less often stands beside it:
 * `holders.ts`, `operators.ts`, and for edge mode `edge-waiter.ts`.
 *
 * When the module fails, each pool opens itself again in the next instance (`revive`), and tells it
 * of what is out.
 */
export class Engine<T> implements core.Occupant {
  readonly settings: Settings<T>;
  readonly ledger: Ledger<T>;
  readonly places: Places<T>;
  readonly turn = new Turn();
  readonly reports: Reports<T>;
  readonly workshop: Workshop<T>;
  readonly waiters = new Waiters<T>();
  readonly edgeWaiters: (EdgeWaiter<T> | undefined)[] = [];
  /** How many of them there are. */
  onEdge = 0;
  /** On the edge: who looks after the waiters of the last stretch of code that had any. */
  keeper: Keeper<T> | undefined;
  /** Whether a try for an idle resource goes on, past those that checks show to be bad. */
  private trying = false;
  /** The pool's timer; on the edge each keeper of waiters has its own instead. */
  readonly timer: PoolTimer | undefined;
  /** The shortest time after which something is due about a lent resource. */
  private readonly limit: number;
  isPaused = false;
  isClosed = false;
  /** Whether there may be more than `max`, as that was lowered. */
  isShrunk = false;
  /** How many wait for the end of something that nobody else waits for. */
  ends = 0;
  /** Who waits for the end of the pool. */
  closers: (() => void)[] = [];
  /** How many waiters of edge mode are on the stack. */
  private attending = 0;
  /** How often the module was replaced. */
  restarts = 0;
  /** What there is to tell of a pool that has gone from the module. */
  final: PoolStats | undefined;
  /** Drops the pool from the module. */
  private readonly drop: () => void;

  constructor(settings: Settings<T>, ledger = new Ledger(settings, core.usualHome())) {
    this.settings = settings;
    this.ledger = ledger;
    this.places = new Places(ledger.spares);
    this.reports = new Reports(settings, this.ledger);
    this.workshop = new Workshop(this, () => this.drain());
    this.limit = Math.min(settings.leaseTtl, settings.longHold);
    if (!settings.edge) ledger.seat.timer = this.timer = new PoolTimer(this, settings);
    this.drop = ledger.home.enrol(this, ledger.seat);
  }

  /** What the last creation failed with, unless one succeeded since. */
  get lastFailure(): unknown {
    return this.workshop.lastFailure;
  }

  // --- Callers ---

  /** Gives what the ledger has idle, if nobody waits for it. */
  tryAcquire(want?: Want): Lease<T> | undefined {
    const { ledger } = this;
    const answer = ledger.tryAcquire(want);
    if (answer < 0) return answer < Answer.NONE ? this.tryAfterEffects(want) : undefined;
    const effects = answer & 1;
    const stack = this.reports.isWatching ? this.capture() : undefined;
    const lease = this.lend((answer - effects) / 2, 0, want, stack);
    if (effects !== 0) this.drainFor(want?.scope);
    // What is lent may leave too few idle ones, of which a back-off holds up the creation.
    else if (this.workshop.isFailing) this.arm();
    else if (this.limit < Infinity) this.hasten(ledger.dueAfter(this.limit));
    return lease;
  }

  /**
   * Does what a try has begun, and tries again as long as that shows idle resources to be bad or
   * good: each is looked at once, as what a check says may count for less time than the next look
   * takes. What an operation on the stack has begun is done when that is over.
   */
  private tryAfterEffects(want: Want | undefined): Lease<T> | undefined {
    if (this.turn.busy > 0 || this.trying) return undefined;
    const { ledger } = this;
    this.trying = true;
    try {
      for (let left = ledger.gauge("idle"); left >= 0; left -= 1) {
        this.drainFor(want?.scope);
        if (ledger.gauge("checking") > 0 || ledger.gauge("idle") === 0) return undefined;
        const lease = this.tryAcquire(want);
        if (lease !== undefined) return lease;
      }
      return undefined;
    } finally {
      this.trying = false;
    }
  }

  /**
   * As `tryAcquire`, for one that waits if there is none: where others wait it asks for a lease or a
   * place in the queue at once, as an idle one is not likely.
   */
  tryFirst(want?: Want): Lease<T> | undefined {
    return this.waiters.count + this.onEdge > 0 ? undefined : this.tryAcquire(want);
  }

  /** Queues a caller. Throws if it is refused. */
  wait(want: Want, isPlain: boolean): Promise<Served<T>> {
    if (this.settings.edge) return waitOnEdge(this, want);
    const { ledger, waiters } = this;
    const now = ledger.now();
    const deadline = now + want.timeout;
    const answer = this.ask(want, now, deadline, waiters.count > 0 && ledger.isLooked);
    if (answer >= 0) return Promise.resolve(this.lendDirectly(answer, want));
    const key = core.waiterOf(answer);
    const index = key & core.INDEX_MASK;
    const extra = isPlain ? undefined : { want, key, unlisten: () => undefined as void };
    const promise = waiters.add(index, now, extra);
    if (extra !== undefined && want.signals.length > 0) this.listen(index, extra);
    this.reports.queued();
    if ((answer & 1) !== 0 || !ledger.isLooked) this.drainFor(want.scope);
    // One more that waits may be what a creation is missing for that a back-off holds up.
    else if (this.workshop.isFailing) this.arm();
    else this.hasten(deadline);
    return promise;
  }

  /** Has a waiter's signals end its wait. */
  private listen(index: number, extra: Extra): void {
    const { want: { signals }, key } = extra;
    const abort = (reason: unknown): void => this.turn.whenTold(() => {
      // It may have been served or ended by now, and its index be another's.
      if (this.waiters.extraOf(index) === extra) {
        this.cancel(key, () => this.waiters.remove(index)?.(Promise.reject(reason)));
      }
    });
    extra.unlisten = listen(signals, abort);
    // A callback may have aborted it since the caller's were looked at.
    const aborted = findAborted(signals);
    if (aborted !== undefined) abort(abortReason(aborted));
  }

  /** Asks for a lease: its key, or what says that the caller is queued. Throws if it is refused. */
  ask(want: Want, now: number, deadline: number, isBehind = false): number {
    const answer = this.ledger.acquire(now, deadline, want, isBehind);
    want.stack ??= this.capture();
    // Nothing is told or done until a waiter is in the tables.
    if (answer <= Packed.WAITER_BASE) return answer;
    const { restarts } = this;
    this.drainFor(want.scope);
    // The module may have failed at the effects, and the next one knows of no such lease.
    if (answer >= 0 && restarts !== this.restarts) {
      return this.ask(want, this.ledger.now(), deadline);
    }
    if (answer >= 0) return answer;
    const error = this.refusal(answer, want, now);
    this.reports.teller.tell({ type: "refused", code: error.code });
    throw error;
  }

  /** Says why a caller is not even queued. */
  refusal(answer: number, { need }: Want, now: number): PoolError {
    return refusal(this, answer, need, now);
  }

  /** Tells where the caller stands, if that is kept. */
  capture(): string | undefined {
    return this.settings.trackLeases ? captureStack() : undefined;
  }

  /** Gives up a wait, and settles its promise if that is done here. */
  cancel(key: number, settle?: () => void): void {
    core.again(() => this.ledger.tell("cancel", key));
    settle?.();
    this.reports.teller.tell({ type: "cancelled" });
    this.drain();
  }

  /** Makes the lease for a key that the ledger has leased. */
  lend(
    key: number, waited: number, want: Want | undefined, stack = want?.stack,
  ): Lease<T> {
    const place = this.places.at(key);
    place.lend(key);
    const lease = new OwnLease(this, place, waited, want?.scope);
    if (this.reports.isWatching) this.reports.lent(lease, stack);
    return lease;
  }

  lendDirectly(key: number, want: Want, waited = 0): Served<T> {
    const lease = this.lend(key, waited, want);
    return want.isMany ? [lease] : lease;
  }

  // --- Holders ---

  /** Takes a lease back in good order, which is to be no spare. */
  release(lease: Lease<T>): boolean {
    const { ledger } = this;
    if (this.reports.isWatching || this.settings.reset !== undefined) {
      return giveBack(lease) !== false;
    }
    const serves = this.waiters.count > 0 ? 1 : 0;
    let status: number;
    try {
      status = ledger.release(keyOf(lease), serves);
    } catch {
      status = core.again(() => ledger.release(keyOf(lease), serves));
    }
    if (status < 0) return this.handOn(lease, -1 - status);
    if ((status & Status.DONE) !== 0) endLoan(lease);
    if ((status & Status.EFFECTS) !== 0) this.drainFor(lease._scope);
    else if (!ledger.isLooked) this.lookAgain();
    // It may be due earlier than what was made after it.
    else if (ledger.dueAfter(ledger.shortest) < Infinity) this.arm();
    return (status & Status.DONE) !== 0;
  }

  /** Gives the first waiter what came back, whose new key has the waiter's index. */
  private handOn(lease: Lease<T>, key: number): boolean {
    endLoan(lease);
    const index = key & core.INDEX_MASK;
    this.serve(index, key - index + lease.slot);
    // There are no effects to do: the module serves nobody so if there are others, and claims for
    // those who need several bring none.
    if (this.waiters.count === 0) this.lookAgain();
    else this.hasten(this.ledger.dueAfter(this.limit));
    return true;
  }

  /** Settles the promise of a waiter with what it was leased. */
  private serve(index: number, key: number): void {
    const { waiters } = this;
    const since = waiters.sinceOf(index);
    const extra = waiters.extraOf(index);
    const settle = waiters.remove(index);
    if (settle === undefined) {
      this.ledger.tell("release", key);
      return this.drain();
    }
    // Whatever ends a wait is told the time.
    const waited = waitedFor(this.ledger.spares.told as number, since as number);
    const first = this.lend(key, waited, extra?.want);
    if (!extra?.want.isMany) return settle(first);
    const { want } = extra;
    const leases = [first];
    try {
      while (leases.length < want.need) {
        const next = this.ledger.claim(extra.key);
        // Whoever was told of the first lease may have closed the pool.
        if (next < 0) throw new PoolClosedError();
        leases.push(this.lend(next, waited, want));
      }
    } catch (error) {
      // The module may have failed, and the next one knows of these leases: nobody will have them.
      settle(Promise.reject(error));
      for (const lease of leases) this.release(lease);
      return;
    }
    settle(leases);
  }

  // --- Time ---

  /** Settles what is due; its effects are left to the next `drain`. */
  advance(): void {
    core.unlessReset(() => this.ledger.tell("advance"));
  }

  /** Does what is due. */
  tick(): void {
    this.advance();
    this.drain();
  }

  /** When there is something to do next, if there is anything. */
  nextDeadline(): number | undefined {
    const at = core.again(() => {
      this.ledger.settle();
      return this.ledger.call("next_deadline");
    });
    this.drain();
    return at === Infinity ? undefined : at;
  }

  /** Sees to it that the timer fires in time for what a release or a loan has made due. */
  private hasten(at: number): void {
    const { timer } = this;
    if (timer !== undefined && timer.at > at) this.arm();
  }

  private arm(): void {
    // What was lent or came back is so though the module fails, and the next one arms the timer.
    core.unlessReset(() => this.timer?.arm(this.ledger.nextDeadline(), this.isWaitedFor()));
  }

  /** Tells whether somebody waits, so that a process must not end. */
  private isWaitedFor(): boolean {
    return this.waiters.count > 0 || this.ends > 0;
  }

  /** Looks what is next, after something was done without effects. */
  private lookAgain(): void {
    core.unlessReset(() => this.look());
  }

  /** Looks what is next, after effects were done. */
  look(): void {
    const { ledger } = this;
    const isAtRest = this.waiters.count + this.onEdge === 0 && !this.isPaused && !this.isClosed;
    // What is lent beyond `max` is not to be lent again.
    this.isShrunk &&= ledger.gauge("size") > this.settings.max;
    ledger.look(isAtRest && !this.isShrunk && !this.reports.isWatching);
    this.timer?.arm(ledger.nextDeadline(), this.isWaitedFor());
  }

  // --- Effects ---

  /** Does the effects that the ledger has asked for, in their order, and looks what is next. */
  drain(): void {
    const { turn } = this;
    // Whoever is at them does those too that a callback has brought, so that none nests.
    if (turn.busy > 0) return;
    turn.busy += 1;
    try {
      for (;;) {
        const effect = this.ledger.nextEffect();
        if (effect >= 0) this.perform(effect >> Packed.KIND_SHIFT, effect & core.INDEX_MASK);
        else if (this.attending === 0 || !this.workshop.createNow()) break;
      }
      this.look();
    } catch (error) {
      // The effects went with the module, and what they were about was told to the next.
      if (!(error instanceof CoreResetError)) throw error;
    } finally {
      turn.busy -= 1;
    }
    turn.finish();
  }

  /** Does the effects in the name of a request. */
  drainFor(scope: RequestScope | undefined): void {
    this.turn.within(scope, drain, this);
  }

  private perform(kind: number, index: number): void {
    const { ledger, workshop } = this;
    if (kind === Effect.OFFERED) return this.edgeWaiters[index]?.offer();
    const key = ledger.call("effect_key");
    switch (kind) {
      case Effect.LEASED: return this.serve(index, key);
      case Effect.CREATE: return this.create(key);
      case Effect.CHECK: return workshop.check(key);
      case Effect.CLOSE: return this.close(key, ledger.call("effect_detail"));
      case Effect.ABANDON: return workshop.abandon(key, ledger.call("effect_detail") === 1);
      case Effect.LONG_HOLD: return this.reports.longHold(this.places.at(key));
      case Effect.DRAINED: return this.finish();
      default: return this.endWait(kind, index, ledger.call("effect_detail"));
    }
  }

  private endWait(kind: number, index: number, place: number): void {
    const onEdge = this.edgeWaiters[index];
    const { waiters } = this;
    const since = onEdge?.since ?? waiters.sinceOf(index) ?? this.ledger.now();
    const want = onEdge?.want ?? waiters.extraOf(index)?.want;
    const settle = waiters.remove(index);
    let error: PoolError;
    try {
      error = this.endOfWait(kind, { since, place, need: want?.need ?? 1 }, want);
    } catch (failed) {
      // The module has failed, and the waiter is not in the table any more to be told so.
      error = failed as PoolError;
    }
    this.reports.teller.tell({ type: "ended", code: error.code });
    settle?.(Promise.reject(error));
    if (onEdge === undefined) return;
    onEdge.forget();
    onEdge.end(error);
  }

  /** Says why a wait has ended, of a caller that wanted this, unless it wanted nothing special. */
  endOfWait(kind: number, wait: Wait, _want: Want | undefined): PoolError {
    return endOfWait(this, kind, wait, () => this.workshop.takeFailure());
  }

  /** On the edge a creation is begun by a waiter: in a request that does not wait it would die. */
  private create(key: number): void {
    const waiter = this.settings.edge && this.attending === 0
      ? this.edgeWaiters.find((waiter) => waiter !== undefined)
      : undefined;
    if (waiter === undefined) return this.workshop.create(key);
    this.workshop.createLater(key);
    waiter.keeper.ring();
  }

  private close(key: number, leaving: number): void {
    if (core.LEAVING[leaving] === "expired") this.reports.leak(key & core.INDEX_MASK);
    this.workshop.close(key, leaving);
  }

  /** Does the effects in the request of a waiter of edge mode, which begins what creations wait. */
  attend(scope: RequestScope | undefined): void {
    this.attending += 1;
    try {
      this.drainFor(scope);
    } finally {
      this.attending -= 1;
    }
  }

  /** Drops a closed pool, unless something came late in the meantime: then it is told again. */
  finish(): void {
    if (this.ledger.gauge("size") > 0) return;
    this.final = this.read();
    this.drop();
    this.ledger.leave();
    this.timer?.stop();
    for (const tell of this.closers) tell();
    this.reports.teller.end();
  }

  // --- What it tells ---

  /** Reads every gauge and counter. */
  stats(): PoolStats {
    this.tick();
    return this.final === undefined ? core.again(() => this.read()) : { ...this.final };
  }

  private read(): PoolStats {
    return readStats(this.ledger, this.reports.leaked, this.restarts);
  }

  /** Tells of the leases that are out, the longest held first. */
  holders(): Holder[] {
    this.tick();
    return core.again(() => this.reports.holders(this.places));
  }

  /** Tells something of the resource of a lease, if that is known. */
  infoOf(lease: Lease<T>, which: number): number | undefined {
    return core.again(() => this.reports.info(lease._place, which, keyOf(lease)));
  }

  /** Gives the events from now on. */
  events(): AsyncIterableIterator<PoolEvent, undefined> {
    const reader = this.reports.events();
    core.unlessReset(() => this.ledger.stopSparing());
    this.drain();
    if (this.final !== undefined) this.reports.teller.end();
    return reader;
  }

  /** Goes on in a new module. */
  revive(next: core.Core, error: CoreResetError, isMissing: boolean): void {
    revive(this, next, error, isMissing);
  }
}

// Not made anew for each hand-on.
function drain<T>(engine: Engine<T>): void {
  engine.drain();
}
