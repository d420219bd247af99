import { Info } from "./codes.js";
import { unlessReset } from "./core.js";
import type { Holder } from "./errors.js";
import { type PoolEvent, Teller } from "./events.js";
import { LeaseTracker } from "./leaks.js";
import type { Lease } from "./lease.js";
import type { Ledger } from "./ledger.js";
import type { Place, Places } from "./places.js";
import type { Settings } from "./settings.js";

/** What is told of leases and their holders: to observers and readers, and to those who ask. */
export class Reports<T> {
  readonly teller: Teller;
  readonly tracker: LeaseTracker<T> | undefined;
  /** Whether each lease is told of or tracked. */
  isWatching: boolean;
  leaked = 0;
  private readonly slowAcquire: number;
  private readonly ledger: Ledger<T>;

  constructor(settings: Settings<T>, ledger: Ledger<T>) {
    this.ledger = ledger;
    this.slowAcquire = settings.slowAcquire;
    this.teller = new Teller(settings.observer);
    this.tracker = settings.trackLeases
      ? new LeaseTracker((index) => this.leak(index))
      : undefined;
    this.isWatching = this.watches();
  }

  /** Gives the events from now on. */
  events(): AsyncIterableIterator<PoolEvent, undefined> {
    const reader = this.teller.read(() => {
      this.isWatching = this.watches();
    });
    this.isWatching = true;
    return reader;
  }

  private watches(): boolean {
    return this.teller.isHeard || this.tracker !== undefined;
  }

  /** Tells that a caller waits: often, so that it is made for those who hear it alone. */
  queued(): void {
    if (this.isWatching) this.teller.tell({ type: "queued" });
  }

  /** Tells that a lease was lent. */
  lent(lease: Lease<T>, stack: string | undefined): void {
    const { slot, waited } = lease;
    const where = stack === undefined ? {} : { stack };
    // The lease is good though the module may fail at this.
    if (this.tracker !== undefined) {
      const holder = { slot, id: 0, since: this.ledger.now(), held: 0, ...where };
      unlessReset(() => (holder.id = this.info(lease._place, Info.ID) ?? 0));
      this.tracker.begin(lease, holder);
    }
    this.teller.tell({ type: "acquired", slot, waited });
    if (waited < this.slowAcquire || waited === 0) return;
    this.teller.tell({ type: "slowAcquire", waited, ...where });
  }

  /** Tells that a lease is over. */
  over(lease: Lease<T>, slot: number, told: "released" | "taken" | undefined): void {
    this.tracker?.end(lease, slot);
    if (told !== undefined) this.teller.tell({ type: told, slot });
  }

  /** Tells of a lease that is out for long. */
  longHold(place: Place<T>): void {
    if (!this.teller.isHeard) return;
    this.teller.tell({ type: "longHold", holder: this.holder(place, this.ledger.now()) });
  }

  /** Tells, once, that the lease at this place was dropped, if it was tracked. */
  leak(index: number): void {
    const holder = this.tracker?.tellOnce(index, this.ledger.now());
    if (holder === undefined) return;
    this.leaked += 1;
    this.teller.tell({ type: "leaked", holder });
  }

  /** The leases that are out, the longest held first. */
  holders(places: Places<T>): Holder[] {
    const now = this.ledger.now();
    const holders = places.lent().map((place) => this.holder(place, now));
    return holders.sort((a, b) => a.since - b.since || a.id - b.id);
  }

  private holder(place: Place<T>, now: number): Holder {
    const tracked = this.tracker?.holder(place.index, now);
    if (tracked !== undefined) return tracked;
    const since = this.info(place, Info.SINCE) ?? now;
    const id = this.info(place, Info.ID) ?? 0;
    return { slot: place.index, id, since, held: Math.max(now - since, 0) };
  }

  /** Tells something of the resource at a place, under the key that it has for the ledger. */
  info(place: Place<T>, which: number, key = place.key): number | undefined {
    const value = this.ledger.call("info", key, which);
    if (Number.isNaN(value) && which !== Info.LAST_USED) return undefined;
    if (which === Info.USES) return value + place.reuses;
    // What the ledger was not told of the present or last loan.
    const { since } = place;
    if (since !== undefined && which === Info.WAITED) return 0;
    const isTold = since === undefined || !place.isLent;
    if (!isTold && (which === Info.SINCE || which === Info.LAST_USED)) return since;
    return Number.isNaN(value) ? undefined : value;
  }
}
