import { Answer, Status } from "./codes.js";
import * as core from "./core.js";
import { leaseEnded } from "./errors.js";
import type { RunningJob } from "./jobs.js";
import type { Lease } from "./lease.js";

// How a holder ends its lease, and how it keeps it, but for a plain release: that is the engine's,
// as it serves whoever waits.

/** Takes a lease back in good order: the job of its reset, or else whether it was out. */
export function giveBack<T>(lease: Lease<T>): RunningJob<T> | boolean {
  const engine = lease._engine;
  const { ledger, settings: { reset } } = engine;
  if (reset === undefined) {
    return end(lease, (key) => ledger.tell("release", key), "released");
  }
  let slot: number = Answer.NONE;
  let begun: boolean;
  try {
    begun = end(lease, (key) => {
      slot = ledger.tell("begin_reset", key);
      return slot < 0 ? 0 : Status.DONE;
    }, undefined, false);
  } catch (error) {
    // No module is there to hear of its reset, without which it is not to be lent again.
    return discard(lease, error);
  }
  return engine.turn.within(lease._scope, (reset) => {
    // It may have expired at this.
    const job = begun && engine.workshop.reset(slot, reset, () => {
      engine.reports.teller.tell({ type: "released", slot: lease.slot });
    });
    engine.drain();
    return job;
  }, reset);
}

/** Has the resource closed, as it is damaged. */
export function discard<T>(lease: Lease<T>, error: unknown): boolean {
  const { _engine: engine, _place: place } = lease;
  return end(lease, (key) => {
    const status = engine.ledger.tell("discard", key);
    if ((status & Status.DONE) !== 0) {
      place.outdate();
      place.damage = error;
    }
    return status;
  });
}

/** Lets the resource leave the pool with its holder. */
export function take<T>(lease: Lease<T>): void {
  const done = end(lease, (key) => {
    const status = lease._engine.ledger.tell("take", key);
    // It is the caller's from here on, and may be what the next creation gives.
    if ((status & Status.DONE) !== 0) lease._place.clear();
    return status;
  }, "taken");
  if (!done) throw leaseEnded("take");
}

/** Pushes the end of a lease to `ttl` ms from now. */
export function renew<T>(lease: Lease<T>, ttl: number): boolean {
  const engine = lease._engine;
  const status = core.again(() => engine.ledger.tell("renew", keyOf(lease), ttl));
  const done = (status & Status.DONE) !== 0;
  if (done) lease._place.renew(ttl);
  engine.drain();
  return done;
}

/** Ends a lease in the way that `operate` says, and does what follows from it. */
function end<T>(
  lease: Lease<T>, operate: (key: number) => number,
  told?: "released" | "taken", drains = true,
): boolean {
  const engine = lease._engine;
  const status = core.again(() => operate(keyOf(lease)));
  const done = (status & Status.DONE) !== 0;
  if (done) {
    endLoan(lease);
    engine.reports.over(lease, lease.slot, told);
  }
  if (drains) engine.drainFor(lease._scope);
  return done;
}

/** The lease's key in the present module; none if the lease is over. */
export function keyOf<T>(lease: Lease<T>): number {
  return lease._tenure === lease._place.tenure ? lease._place.key : core.NO_LEASE;
}

/** Notes that the holder of a lease has ended it. */
export function endLoan<T>(lease: Lease<T>): void {
  const place = lease._place;
  if (place.isLent) place.endLoan();
  lease._tenure = -1;
}
