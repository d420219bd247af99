// The numbers by which the module and its shell talk. Enums, as each place that names one then has
// the number itself.

/** What `acquire` and `claim` answer beside a lease's key, which is never negative. */
export const enum Answer {
  NONE = -1,
  CLOSED = -2,
  STILL_WAITING = -3,
  TOO_MANY = -5,
  UNAVAILABLE = -6,
}

/** The bits of a status. */
export const enum Status {
  DONE = 1,
  EFFECTS = 2,
  NEEDS_CLOCK = 4,
}

/**
 * The kinds of effects, as `next_effect` answers them above an index. `LEASED` and the seven ends, of
 * which the last, 8, is that of a tenant's waits, have freed the waiter's entry.
 */
export const enum Effect {
  /** There is none; less if the next operation depends on the time. */
  NONE = -1,
  LEASED = 0,
  OFFERED = 1,
  ENDED_CLOSED = 3,
  CREATE_FAILED = 4,
  CREATE_TIMED_OUT = 5,
  MISSED = 6,
  NEEDS_TOO_MANY = 7,
  CREATE = 9,
  CHECK = 10,
  CLOSE = 11,
  ABANDON = 12,
  LONG_HOLD = 13,
  DRAINED = 14,
}

/** Where in a number of the module what begins. */
export const enum Packed {
  /** A waiter's key `k` is answered as `WAITER_BASE - 2 * k`, or 1 less if effects wait. */
  WAITER_BASE = -16,
  /** How far above a status stands how many waiters a failed creation has ended. */
  FAILED_SHIFT = 3,
  /** How far above its index stands the kind of an effect. */
  KIND_SHIFT = 20,
}

/** What `manage` does. */
export const enum Manage {
  FILL = 0,
  PAUSE = 1,
  RESUME = 2,
  INVALIDATE = 3,
  CLOSE_POOL = 4,
}

/** What `info` tells of a resource. */
export const enum Info {
  ID = 0,
  BORN = 1,
  USES = 2,
  LAST_USED = 3,
  SINCE = 4,
  WAITED = 5,
}
