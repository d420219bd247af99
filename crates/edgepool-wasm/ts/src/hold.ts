import { setBackgroundTimer } from "./clock.js";
import { leaseEnded } from "./errors.js";
import { renew } from "./holders.js";
import type { Lease, RequestScope } from "./lease.js";
import { findAborted, abortReason, listen } from "./signals.js";

/** Why a hold ended before its owner stopped it. */
export type Lost = "abort" | "expired";

/**
 * Keeps a lease alive from its own request: a heartbeat renews it if it has a time to live, and
 * its context is held open so that timers run when the client has gone. Tells once if a signal
 * aborts or the lease has expired, and returns what stops all of that.
 */
export function hold<T>(
  lease: Lease<T>, signal: AbortSignal | null | undefined,
  onLost: (why: Lost, reason: unknown) => void,
): () => void {
  const signals = [signal, lease._scope?.request?.signal];
  const undo: (() => void)[] = [];
  const stop = (): void => undo.forEach((one) => one());
  try {
    undo.push(holdOpen(lease._scope));
    undo.push(listen(signals, (reason) => onLost("abort", reason)));
    undo.push(beat(lease, (reason) => onLost("expired", reason)));
  } catch (error) {
    // A context may refuse, and half a hold must not stay behind.
    stop();
    throw error;
  }
  const aborted = findAborted(signals);
  if (aborted !== undefined) queueMicrotask(() => onLost("abort", abortReason(aborted)));
  return stop;
}

/**
 * Calls `then` after a turn of the runtime's own, in which its `fetch` closes what was broken off:
 * the next holder must not be at the provider before that. It is called at once where such a turn
 * may never come, which is on the edge without a context that is held open.
 */
export function afterBreak<T>(lease: Lease<T>, then: () => void): void {
  const { edge, clock } = lease._engine.settings;
  if (edge && lease._scope?.ctx === undefined) then();
  else clock.setTimer(then, 0);
}

function beat<T>(lease: Lease<T>, onExpired: (reason: unknown) => void): () => void {
  const { leaseTtl, heartbeat, clock } = lease._engine.settings;
  if (leaseTtl === Infinity) return () => undefined;
  let timer: unknown = undefined;
  const next = (): void => {
    const isOut = renew(lease, 3 * heartbeat);
    if (isOut) timer = setBackgroundTimer(clock, next, heartbeat);
    // Told later, as the first beat comes before its caller has what would stop it.
    else queueMicrotask(() => onExpired(leaseEnded("renew")));
  };
  next();
  return () => clock.clearTimer(timer);
}

/** Keeps a request open until what is returned is called. */
export function holdOpen(scope: RequestScope | undefined): () => void {
  if (scope?.ctx === undefined) return () => undefined;
  let letGo: () => void = () => undefined;
  scope.ctx.waitUntil(new Promise<void>((resolve) => (letGo = resolve)));
  return letGo;
}
