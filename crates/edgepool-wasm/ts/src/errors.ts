/** The stable codes of the errors that the pool itself makes. */
export type PoolErrorCode =
  | "acquire_timeout"
  | "queue_full"
  | "create_failed"
  | "pool_closed"
  | "offer_missed"
  | "body_stalled"
  | "lease_ended"
  | "unknown_provider"
  | "upstream_timeout"
  | "upstream_unreachable";

/** An error of the pool itself; `code` is stable, the message is not. */
export class PoolError extends Error {
  /** What happened, as a stable word. */
  readonly code: PoolErrorCode;

  constructor(code: PoolErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** No resource came before the acquire's timeout. */
export class AcquireTimeoutError extends PoolError {
  /** How long the caller waited, in ms. */
  readonly waited: number;

  constructor(message: string, waited: number, code: PoolErrorCode = "acquire_timeout") {
    super(code, message);
    this.waited = waited;
  }
}

/** As many callers wait as `maxWaiting` allows. */
export class QueueFullError extends PoolError {
  constructor(message: string) {
    super("queue_full", message);
  }
}

/** `create` threw, rejected, gave nothing, or did not settle in time; `cause` is its error. */
export class CreateError extends PoolError {
  constructor(message: string, cause: unknown) {
    super("create_failed", message, { cause });
  }
}

/** The pool is closed, or was closed while the caller waited. */
export class PoolClosedError extends PoolError {
  constructor(message: string) {
    super("pool_closed", message);
  }
}
