/** The time and the timers of a pool: give your own to test without waiting. All in ms. */
export interface Clock {
  /** Tells the time since any origin. The pool clamps it to non-decreasing. */
  now(): number;
  /** Calls `fire` once, `delay` ms from now, and returns a handle for `clearTimer`. */
  setTimer(fire: () => void, delay: number): unknown;
  /** Cancels a timer that has not fired. */
  clearTimer(handle: unknown): void;
}

/** Past this delay `setTimeout` fires at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

// Node makes the global anew behind a getter, which costs as much as the time itself.
const { performance } = globalThis;

/** The runtime's own clock. `performance` does not step back when the wall clock is set. */
export const systemClock: Clock = {
  now: () => performance.now(),
  setTimer: (fire, delay) => setTimeout(fire, Math.min(Math.max(delay, 0), LONGEST_TIMER)),
  clearTimer: (handle) => clearTimeout(handle as number),
};

/** What `Timeout` of Node has and a number has not. */
interface RefTimer {
  ref(): void;
  unref(): void;
}

/** Tells whether a timer can be told to let the process end. */
export function isRefTimer(handle: unknown): handle is RefTimer {
  return typeof handle === "object" && handle !== null && "unref" in handle;
}

/** Starts a timer that does not keep the process alive by itself, where the runtime can do so. */
export function setBackgroundTimer(clock: Clock, fire: () => void, delay: number): unknown {
  const handle = clock.setTimer(fire, delay);
  if (isRefTimer(handle)) handle.unref();
  return handle;
}

/** Tells a wait in whole ms, which a lease holds without a box of its own. */
export function waitedFor(now: number, since: number): number {
  return Math.max(Math.round(now - since), 0);
}
