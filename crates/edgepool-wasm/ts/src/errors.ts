/** The stable codes of the errors that the pool itself makes. */
export type PoolErrorCode =
  | "acquire_timeout"
  | "offer_missed"
  | "queue_full"
  | "too_many"
  | "unavailable"
  | "create_failed"
  | "create_timeout"
  | "pool_closed"
  | "aborted"
  | "lease_ended"
  | "warm_up_failed"
  | "core_reset"
  | "body_stalled"
  | "unknown_provider"
  | "invalid_tenant"
  | "unknown_tenant"
  | "tenant_removed"
  | "upstream_timeout"
  | "upstream_unreachable"
  | "over_budget"
  | "provider_error";

/**
 * What a caller waited for; `backing-off` is the wait between creations after a failure, and
 * `tenant-at-max` that for a lease of its own tenant's, which had all that it may have.
 */
export type Phase =
  | "waiting" | "connecting" | "checking" | "backing-off" | "paused" | "tenant-at-max";

/** Who holds a resource; times in ms. */
export interface Holder {
  /** The place in the pool. */
  readonly slot: number;
  /** The number of the resource, in the order of their creations. */
  readonly id: number;
  /** When it was acquired, by the pool's clock. Exact with `trackLeases`. */
  readonly since: number;
  /** For how long it has been out, as exactly. */
  readonly held: number;
  /** Where it was acquired, with `trackLeases`. */
  readonly stack?: string;
}

/**
 * An error of the pool itself; `code` is stable, the message is not. `cause` is what it was caused
 * by, if that is known.
 */
export class PoolError extends Error {
  /** What happened, as a stable word. */
  readonly code: PoolErrorCode;

  constructor(code: PoolErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    // Written out, here and in each subclass: bundlers give classes shorter names.
    this.name = "PoolError";
    this.code = code;
  }
}

/** How things stood when a wait ended; see {@link AcquireTimeoutError}. */
export interface WaitReport {
  /** What the caller waited for. */
  phase: Phase;
  /** How long, in ms. */
  waited: number;
  /** How many callers were to be served before it. */
  place: number;
  /** Who held what, with `trackLeases`. */
  holders: Holder[];
  /** How the last creation failed, unless one succeeded since. */
  cause: unknown;
}

/** No resource came before the acquire's timeout; `cause` is how the last creation failed. */
export class AcquireTimeoutError extends PoolError {
  /** What the caller waited for when its time passed. */
  readonly phase: Phase;
  /** How long the caller waited, in ms. */
  readonly waited: number;
  /** How many callers were to be served before it, counted up to 1,000. */
  readonly place: number;
  /** The leases that were out the longest, up to three, with `trackLeases`. */
  readonly holders: readonly Holder[];

  constructor(message: string, report: WaitReport, code: PoolErrorCode = "acquire_timeout") {
    super(code, message, report.cause === undefined ? undefined : { cause: report.cause });
    this.name = "AcquireTimeoutError";
    this.phase = report.phase;
    this.waited = report.waited;
    this.place = report.place;
    this.holders = report.holders;
  }
}

/** As many callers wait as `maxWaiting` allows: that of the pool, or of the caller's tenant. */
export class QueueFullError extends PoolError {
  /** The most callers that may wait. */
  readonly maxWaiting: number;

  constructor(maxWaiting: number) {
    const advice = "try again later, or raise maxWaiting";
    super("queue_full", `the queue is full: ${maxWaiting} callers wait; ${advice}`);
    this.name = "QueueFullError";
    this.maxWaiting = maxWaiting;
  }
}

/** More resources were asked for at once than there may be, by the caller or after a resize. */
export class TooManyError extends PoolError {
  /** The most resources that there may be. */
  readonly max: number;

  constructor(wanted: number, max: number) {
    const advice = `ask for at most ${max}, or raise max`;
    super("too_many", `${wanted} resources cannot be had at once; ${advice}`);
    this.name = "TooManyError";
    this.max = max;
  }
}

/**
 * `create` threw, rejected or gave nothing: code `create_failed`, and `cause` is its error. Or it
 * did not settle within `createTimeout`: code `create_timeout`.
 */
export class CreateError extends PoolError {
  constructor(message: string, cause: unknown, code: PoolErrorCode = "create_failed") {
    super(code, message, cause === undefined ? undefined : { cause });
    this.name = "CreateError";
  }
}

/**
 * Creations have failed again and again, nothing is there that could come back, and none is tried
 * for a while; `cause` is how the last one failed.
 */
export class UnavailableError extends PoolError {
  /** How long until the next creation is tried, in ms. */
  readonly retryIn: number;

  constructor(retryIn: number, cause: unknown) {
    const text = `no resource can be created; the next attempt is in ${Math.ceil(retryIn)} ms`;
    const why = cause === undefined ? "" : `; the last one failed: ${messageOf(cause)}`;
    super("unavailable", text + why, cause === undefined ? undefined : { cause });
    this.name = "UnavailableError";
    this.retryIn = retryIn;
  }
}

/** The pool is closed, or was closed while the caller waited. */
export class PoolClosedError extends PoolError {
  constructor() {
    super("pool_closed", "the pool is closed and takes no more callers");
    this.name = "PoolClosedError";
  }
}

/** The signal aborted and gave no reason; where it has one, that itself is thrown. */
export class AbortError extends PoolError {
  constructor() {
    super("aborted", "the signal aborted");
    this.name = "AbortError";
  }
}

/** Some of the creations of a `warmUp` failed, or could not be tried. */
export class WarmUpError extends PoolError {
  /** How many resources were made. */
  readonly made: number;
  /** What the others failed with. */
  readonly errors: readonly unknown[];
  /** How many were not tried: the pool is paused or full, or waits after a failure. */
  readonly untried: number;

  constructor(made: number, errors: readonly unknown[], untried: number) {
    const counts = `${made} resources were made, ${errors.length} failed`;
    const text = `${counts}, ${untried} were not tried; see why create fails, or resume the pool`;
    super("warm_up_failed", text, errors.length > 0 ? { cause: errors[0] } : undefined);
    this.name = "WarmUpError";
    this.made = made;
    this.errors = errors;
    this.untried = untried;
  }
}

/**
 * The wasm module failed and was replaced. Callers that waited then get this, and may acquire
 * again; leases stay good. `cause` is what was thrown; please report it. Where there is no memory
 * for another instance, each call tries again to replace it, and throws this until it can.
 */
export class CoreResetError extends PoolError {
  constructor(cause: unknown, isReplaced = true) {
    const was = isReplaced ? "was" : "is not yet";
    super("core_reset", `the core of the pool failed and ${was} replaced; acquire again`, { cause });
    this.name = "CoreResetError";
  }
}

/** @internal The error of what is done with a lease that is over. */
export function leaseEnded(what: string): PoolError {
  const advice = "release it later, or raise leaseTtl if nothing renews it";
  return new PoolError("lease_ended", `${what}: the lease had ended; ${advice}`);
}

/** @internal */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
