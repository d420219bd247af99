import type { Clock } from "./clock.js";
import type { Engine } from "./engine.js";
import { type Lease, OwnLease, type RequestScope } from "./lease.js";
import type { Place } from "./places.js";

/** At one in so many loans without a word the time is read: timers may be late. */
const LOOKS = 16;

/**
 * The spares of a pool: leases that came back while nothing was going on, and go to the next caller
 * without a word to the module. For that they are still out, so that the ledger gives them back
 * before it tells anything else. In between the module's time stands still: either none passes, or
 * it does not matter, or for a second at most.
 *
 * Such a loan touches this, its place and its lease alone: among many pools the processor has no
 * other object of theirs at hand.
 */
export class Spares<T> {
  /** The one that came back last. */
  top: Place<T> | undefined = undefined;
  /** Whether a lease that comes back may be one. */
  isOpen = false;
  /**
   * Counts the times in which there are spares. Those come from loans of such a time alone: it is
   * not known whether a resource that was lent before is too old by now.
   */
  moment = 0;
  /** How often one was lent. */
  reused = 0;
  /**
   * The time that the ledger was told last, if it was. V8 keeps a number in a box, and where there
   * was no number at first, as here, a copy of it is one of the box, into which nobody looks.
   */
  told: number | undefined = undefined;
  /** Whether every operation depends on the time. */
  readonly isTimed: boolean;
  /** Whether there are spares only as long as no time passes at all. */
  readonly isExact: boolean;
  // From here on what only some loans look at.
  private readonly clock: Clock;
  /** When the pool's timer gives them back; none come before that is known. */
  until: number;
  private loans: number;

  constructor(clock: Clock, isTimed: boolean, isExact: boolean) {
    this.isTimed = isTimed;
    this.isExact = isExact;
    this.clock = clock;
    this.until = Infinity;
    this.loans = 0;
  }

  /** Lends the one that came back last, if there is any that may be lent by now. */
  lend(engine: Engine<T>, scope?: RequestScope): Lease<T> | undefined {
    const place = this.top;
    if (place === undefined || (this.isTimed && !this.isCurrent())) return undefined;
    this.top = place.next;
    this.reused += 1;
    place.isLent = true;
    place.since = this.told;
    place.reuses += 1;
    return new OwnLease(engine, place, 0, scope);
  }

  /** Takes a lease back as a spare, unless it is the ledger's to take back. */
  takeBack(lease: Lease<T>): boolean {
    const place = lease._place;
    if (!this.isOpen || place.tenure !== lease._tenure || place.moment !== this.moment) {
      return false;
    }
    if (this.isExact && !this.isCurrent()) return false;
    place.isLent = false;
    place.tenure += 1;
    lease._tenure = -1;
    place.next = this.top;
    this.top = place;
    return true;
  }

  /** Tells whether the time is what the ledger was told, as far as that counts. */
  private isCurrent(): boolean {
    if (this.isExact) return this.clock.now() === this.told;
    this.loans = (this.loans + 1) % LOOKS;
    return this.loans > 0 || this.clock.now() < this.until;
  }
}
