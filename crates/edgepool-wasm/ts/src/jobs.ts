import { messageOf } from "./errors.js";

/** What `create`, `check`, `reset` and `close` are given beside the resource. */
export interface Job {
  /** Aborts when the pool has given the job up: it took too long, or is not wanted any more. */
  readonly signal: AbortSignal;
}

/** What a job does. */
export type JobKind = "create" | "check" | "reset" | "close";

/** One call of the user's `create`, `check`, `reset` or `close`, until it has settled. */
export class RunningJob<T> implements Job {
  /** What its place is known by in the module; changes if the module is replaced. */
  key: number;
  /**
   * Whether the place is a lease of the job's own, as it is after the module was replaced: the new
   * one knows nothing of jobs that an old one began.
   */
  isLease = false;
  /** Whether its resource is not to be lent again, which a new module would not know. */
  outdated = false;
  readonly kind: JobKind;
  /** What is checked, reset or closed. */
  readonly resource: T | undefined;
  /** How it went, once it has ended. */
  outcome: Outcome<unknown> | undefined = undefined;
  private controller: AbortController | undefined = undefined;
  private reason: unknown = undefined;
  private readonly endings: (() => void)[] = [];
  private over = false;

  constructor(kind: JobKind, key: number, resource: T | undefined) {
    this.kind = kind;
    this.key = key;
    this.resource = resource;
  }

  // Made when it is asked for: most jobs look at no signal.
  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController();
      if (this.reason !== undefined) this.controller.abort(this.reason);
    }
    return this.controller.signal;
  }

  /** Gives the job up. */
  abort(reason: Error): void {
    this.reason = reason;
    this.controller?.abort(reason);
    this.end();
  }

  /** Says that the job has settled, or was given up. */
  end(): void {
    this.over = true;
    for (const ending of this.endings.splice(0)) ending();
  }

  /** Calls `tell` when the job has settled or was given up. */
  whenOver(tell: () => void): void {
    if (this.over) tell();
    else this.endings.push(tell);
  }
}

/** What a job failed with, which may be anything. */
export interface Failure {
  error: unknown;
}

/** How a job went: what it gave, or what it threw. */
export type Outcome<V> = { ok: true; value: V } | ({ ok: false } & Failure);

/**
 * Runs a job, and tells how it went: at once if it was synchronous, else when its promise has
 * settled, which is returned.
 */
export function run<V>(
  job: () => V | PromiseLike<V>, tell: (outcome: Outcome<V>) => void,
): Promise<void> | undefined {
  let value: V | PromiseLike<V>;
  try {
    value = job();
    if (isThenable(value)) {
      return Promise.resolve(value).then(
        (settled) => tell({ ok: true, value: settled }),
        (error: unknown) => tell({ ok: false, error }),
      );
    }
  } catch (error) {
    tell({ ok: false, error });
    return undefined;
  }
  tell({ ok: true, value });
  return undefined;
}

/** Why a creation's resource cannot be taken in, if it cannot. */
export function unfit(resource: unknown, others: readonly unknown[]): TypeError | undefined {
  if (resource === undefined || resource === null) {
    return new TypeError("create gave no resource; it must return one, or throw");
  }
  if (typeof resource !== "object" && typeof resource !== "function") return undefined;
  if (!others.includes(resource)) return undefined;
  return new TypeError("create gave a resource twice; each call must make another one");
}

/** The error that says how long a job took. */
export function overdue(kind: JobKind, limit: number): Error {
  return new Error(`${kind} did not settle in ${limit} ms`);
}

/** The error that a bad check stands for. */
export function failed(outcome: Outcome<unknown>): unknown {
  if (!outcome.ok) return outcome.error;
  return new Error(`check gave ${messageOf(outcome.value)}`);
}

/** Whether it is a promise, of whatever kind. */
export function isThenable<V>(value: V | PromiseLike<V>): value is PromiseLike<V> {
  return (
    value !== null && (typeof value === "object" || typeof value === "function") &&
    typeof (value as PromiseLike<V>).then === "function"
  );
}
