import { Answer, Packed, Status } from "./codes.js";
import * as core from "./core.js";
import type { LeaveReason, Teller } from "./events.js";
import {
  type Failure, type JobKind, type Outcome, RunningJob, failed, overdue, run, unfit,
} from "./jobs.js";
import type { Ledger } from "./ledger.js";
import type { Places } from "./places.js";
import type { Reports } from "./reports.js";
import type { Settings } from "./settings.js";
import type { Turn } from "./turn.js";

/** Is told how a creation has ended: what it failed with, if it did. */
export type Watch = (failure: Failure | undefined) => void;

/** What the workshop needs of its pool. */
export interface Owner<T> {
  readonly settings: Settings<T>;
  readonly ledger: Ledger<T>;
  readonly places: Places<T>;
  readonly turn: Turn;
  readonly reports: Reports<T>;
}

/**
 * Where resources are made, checked, reset and closed. Each job has a place in the ledger, which is
 * told how it went, and gives it up when it takes too long.
 */
export class Workshop<T> {
  /** What the last creation failed with, unless one succeeded since. */
  lastFailure: unknown;
  /** Whether there was one since, whatever it was. */
  isFailing = false;
  /** Whether one ever succeeded. */
  hasCreated = false;
  /** What creations failed with, in the order in which waiters are told. */
  private failures: unknown[] = [];
  /** Creations to be begun by a waiter, in its own request. */
  private unbegun: number[] = [];
  /** Who waits for the end of a creation that nobody else waits for. */
  private watches = new Map<number, Watch>();
  private isSeeded = false;

  private readonly settings: Settings<T>;
  private readonly ledger: Ledger<T>;
  private readonly places: Places<T>;
  private readonly turn: Turn;
  private readonly teller: Teller;
  /** Does the effects that the ledger has asked for. */
  private readonly drain: () => void;

  constructor({ settings, ledger, places, turn, reports }: Owner<T>, drain: () => void) {
    this.settings = settings;
    this.ledger = ledger;
    this.places = places;
    this.turn = turn;
    this.teller = reports.teller;
    this.drain = drain;
  }

  /** Gives what the next waiter is told of a failed creation. */
  takeFailure(): unknown {
    return this.failures.shift();
  }

  // --- What the ledger asks for ---

  /** Makes a resource. */
  create(key: number): void {
    this.seed();
    this.begin("create", key, undefined, (job) => this.settings.create(job));
  }

  /** Leaves a creation to the next waiter that looks. */
  createLater(key: number): void {
    this.unbegun.push(key);
  }

  /** Whether a creation is left to a waiter. */
  get hasUnbegun(): boolean {
    return this.unbegun.length > 0;
  }

  /** Begins what was left to a waiter; tells whether there was anything. */
  createNow(): boolean {
    const key = this.unbegun.shift();
    if (key !== undefined) this.create(key);
    return key !== undefined;
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
    this.ledger.call("seed", Math.floor(chance * 2 ** 52));
  }

  /** Checks an idle resource. */
  check(key: number): void {
    const resource = this.places.at(key).clear();
    this.begin("check", key, resource, (job) => this.settings.check?.(resource, job));
  }

  /** Resets what was lent, under the key of its reset. */
  reset(
    key: number, reset: NonNullable<Settings<T>["reset"]>, onBegun: () => void,
  ): RunningJob<T> {
    const place = this.places.at(key);
    const { isOutdated } = place;
    const resource = place.clear();
    return this.begin("reset", key, resource, (job) => reset(resource, job), (job) => {
      job.outdated = isOutdated;
      onBegun();
    });
  }

  /** Closes a resource. */
  close(key: number, leaving: number): void {
    const reason = core.LEAVING[leaving] as LeaveReason;
    const place = this.places.at(key);
    if (reason === "expired") this.giveUpAdopted(place.index);
    const error = place.damage;
    const resource: T | undefined = place.clear();
    if (resource !== undefined) {
      const why = error === undefined ? {} : { error };
      this.teller.tell({ type: "leaves", slot: place.index, reason, ...why });
    }
    // After the module was replaced, the place may be that of a creation that took too long.
    const { close } = this.settings;
    if (resource === undefined || close === undefined) this.ledger.tell("closed", key);
    else this.begin("close", key, resource, (job) => close(resource, job));
  }

  /** Gives a job up, as it took too long or is not needed any more. */
  abandon(key: number, isOverdue: boolean): void {
    const job = this.places.jobs.get(key);
    const kind = job?.kind ?? "create";
    const error = isOverdue
      ? overdue(kind, this.limitOf(kind))
      : new Error(`${kind} was given up, as the pool needs it no more`);
    if (job === undefined) return this.forgetUnbegun(key, error);
    this.places.jobs.delete(key);
    job.abort(error);
    if (kind === "create") {
      if (isOverdue) this.fail(error);
      this.endWatch(key, { error });
    } else if (kind !== "close") {
      this.closeLate(job.resource as T);
    }
    if (isOverdue) this.teller.tell({ type: `${kind}Failed`, error });
  }

  private forgetUnbegun(key: number, error: Error): void {
    this.unbegun = this.unbegun.filter((each) => each !== key);
    this.endWatch(key, { error });
  }

  /** Gives up the job whose place was a lease of its own, and whose time has passed. */
  private giveUpAdopted(index: number): void {
    const { jobs } = this.places;
    for (const job of [...jobs.values()]) {
      if (!job.isLease || (job.key & core.INDEX_MASK) !== index) continue;
      const error = overdue(job.kind, this.limitOf(job.kind));
      jobs.delete(job.key);
      job.abort(error);
      this.endWatch(job.key, { error });
      if (job.kind === "check" || job.kind === "reset") this.closeLate(job.resource as T);
    }
  }

  /** How long a job of a kind may take. */
  limitOf(kind: JobKind): number {
    return this.settings[`${kind}Timeout`];
  }

  // --- How jobs go ---

  /** Runs a job, and takes in how it went. */
  private begin(
    kind: JobKind, key: number, resource: T | undefined, call: (job: RunningJob<T>) => unknown,
    onBegun?: (job: RunningJob<T>) => void,
  ): RunningJob<T> {
    const job = new RunningJob<T>(kind, key, resource);
    this.places.jobs.set(key, job);
    onBegun?.(job);
    const settled = run(() => call(job), (outcome) => this.settle(job, outcome));
    if (settled !== undefined) this.turn.keepAlive(settled);
    return job;
  }

  private settle(job: RunningJob<T>, outcome: Outcome<unknown>): void {
    // What ends in the step in which it began has that step's time: none has passed for a caller
    // who would wait for nothing longer.
    const now = this.turn.busy > 0 ? -1 : this.ledger.now();
    this.turn.busy += 1;
    try {
      // Should that fail too, its place is a lease of its own in a third module, which is told of it
      // later, if it is not over by then.
      job.outcome = outcome;
      core.unlessReset(() => core.again(() => {
        if (this.places.jobs.get(job.key) === job) this.takeIn(job, outcome, now);
        else this.takeInLate(job, outcome);
      }));
    } finally {
      this.turn.busy -= 1;
    }
    job.end();
    this.drain();
  }

  /** Takes in how those jobs went that have ended while there was no module to hear of it. */
  settleAgain(): void {
    for (const job of [...this.places.jobs.values()]) {
      if (job.outcome) this.settle(job, job.outcome);
    }
  }

  /** What a creation that was given up has made nonetheless is closed. */
  private takeInLate(job: RunningJob<T>, outcome: Outcome<unknown>): void {
    if (job.kind !== "create" || !outcome.ok) return;
    const isFit = unfit(outcome.value, this.places.resources()) === undefined;
    if (isFit) this.closeLate(outcome.value as T);
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
    const problem = outcome.ok ? unfit(outcome.value, this.places.resources()) : undefined;
    if (!outcome.ok || problem !== undefined) {
      return this.failCreation(job, problem ?? (outcome as Failure).error, now);
    }
    const { key } = job;
    const resource = outcome.value as T;
    const status = this.ledger.tellAt(now, job.isLease ? giveBack(job) : "created", key);
    this.places.jobs.delete(key);
    if ((status & Status.DONE) === 0) return this.closeLate(resource);
    const place = this.places.at(key);
    place.put(resource);
    this.hasCreated = true;
    // Its closing is told by an effect, which may be lost with the module.
    place.isOutdated = job.outdated;
    this.lastFailure = undefined;
    this.isFailing = false;
    this.endWatch(key);
    this.teller.tell({ type: "created", slot: place.index });
  }

  private fail(error: unknown): void {
    this.lastFailure = error;
    this.isFailing = true;
  }

  private failCreation(job: RunningJob<T>, error: unknown, now: number): void {
    const { key } = job;
    if (job.isLease) {
      this.ledger.tellAt(now, "take", key);
    } else {
      const ended = this.ledger.tellAt(now, "create_failed", key) >> Packed.FAILED_SHIFT;
      for (let told = 0; told < ended; told += 1) this.failures.push(error);
    }
    this.places.jobs.delete(key);
    this.fail(error);
    this.endWatch(key, { error });
    this.teller.tell({ type: "createFailed", error });
  }

  private takeInVerdict(job: RunningJob<T>, outcome: Outcome<unknown>, now: number): void {
    const { kind, key, isLease } = job;
    const good = outcome.ok && (kind === "reset" || outcome.value !== false);
    job.outdated ||= !good;
    const status = isLease
      ? this.ledger.tellAt(now, giveBack(job), key)
      : this.ledger.tellAt(now, kind === "check" ? "checked" : "reset", key, Number(good));
    this.places.jobs.delete(key);
    if ((status & Status.DONE) === 0) return this.closeLate(job.resource as T);
    const place = this.places.at(key);
    place.putBack(job.resource);
    place.isOutdated = job.outdated;
    if (!good) this.teller.tell({ type: `${kind as "check"}Failed`, error: failed(outcome) });
  }

  private takeInClosing(job: RunningJob<T>, outcome: Outcome<unknown>, now: number): void {
    this.ledger.tellAt(now, job.isLease ? "take" : "closed", job.key);
    this.places.jobs.delete(job.key);
    if (!outcome.ok) this.teller.tell({ type: "closeFailed", error: outcome.error });
  }

  /** Has a resource closed that came back from a job after that was given up. */
  private closeLate(resource: T): void {
    const { close } = this.settings;
    const index = core.again(() => this.ledger.tell("close_late"));
    if (index >= 0) {
      this.places.at(index).put(resource);
    } else if (close !== undefined) {
      // The pool has gone.
      const job = new RunningJob<T>("close", Answer.NONE, resource);
      void run(() => close(resource, job), () => undefined);
    }
  }

  // --- Those who wait for a creation ---

  /** Starts a creation that nobody waits for, and tells how it ended; returns whether it did. */
  prepare(onEnd: Watch): boolean {
    const key = this.ledger.tell("prepare");
    if (key >= 0) this.watches.set(key, onEnd);
    return key >= 0;
  }

  private endWatch(key: number, failure?: Failure): void {
    const watch = this.watches.get(key);
    this.watches.delete(key);
    watch?.(failure);
  }

  // --- A new module ---

  /**
   * Forgets what was told of an old module, once jobs have their keys in the new one. Returns who
   * waited for creations that never began.
   */
  move(jobs: readonly [RunningJob<T>, number][]): Watch[] {
    const watches = new Map<number, Watch>();
    for (const [job, key] of jobs) {
      const watch = this.watches.get(job.key);
      if (watch !== undefined) watches.set(key, watch);
      this.watches.delete(job.key);
    }
    const left = [...this.watches.values()];
    this.watches = watches;
    this.failures = [];
    this.unbegun = [];
    this.isSeeded = false;
    return left;
  }
}

/** How the lease ends that a job's place is after the module was replaced. */
function giveBack({ outdated }: { outdated: boolean }): "release" | "discard" {
  return outdated ? "discard" : "release";
}
