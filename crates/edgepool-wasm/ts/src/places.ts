import { Answer } from "./codes.js";
import { INDEX_MASK } from "./core.js";
import type { RunningJob } from "./jobs.js";
import type { Spares } from "./spares.js";

/** The moment of a loan whose resource is not to be a spare. */
const NEVER = -1;

/**
 * A place of a pool, and what stands there. The module decides which place is what; this is what
 * the shell must know to tell a new module, should that one fail.
 */
export class Place<T> {
  // What a loan without a word to the ledger touches comes first, and so stands together.
  /** The resource, unless a job has it. */
  resource: T | undefined = undefined;
  /** Which loan it is, or will be: one more with the end of each. */
  tenure = 0;
  /** The moment in which it was lent, if it may be a spare when it comes back. */
  moment = NEVER;
  isLent = false;
  /** The next of the spares. */
  next: Place<T> | undefined = undefined;
  /** When the present or last loan began, if that was one without a word to the ledger. */
  since: number | undefined = undefined;
  /** How often the resource was lent so. */
  reuses = 0;
  readonly spares: Spares<T>;
  /** Whether it is not to be lent again: it was invalidated, or its holder has discarded it. */
  isOutdated = false;
  /** For how long its lease lives by the holder's last word, if there was one. */
  ttl: number | undefined = undefined;
  /** The key of the lease that is out, for the ledger. */
  key: number = Answer.NONE;
  index: number;
  /** In a pool with tenants: whom it is lent to, if to one of them. */
  tenant?: unknown;
  /** What its holder said of the resource when it was discarded. */
  damage: unknown = undefined;

  constructor(index: number, spares: Spares<T>) {
    this.spares = spares;
    this.index = index;
  }

  /** Notes that it was lent under a key of the ledger. */
  lend(key: number): void {
    this.key = key;
    // A callback may have invalidated it since the module lent it.
    this.moment = this.isOutdated ? NEVER : this.spares.moment;
    this.isLent = true;
    this.since = undefined;
  }

  /** Notes for how long its lease lives, of which the ledger is to hear the end. */
  renew(ttl: number): void {
    this.ttl = ttl;
    this.moment = NEVER;
  }

  /** Notes that it is not to be lent again. */
  outdate(): void {
    this.isOutdated = true;
    this.moment = NEVER;
  }

  /** Puts a resource in that was not here before. */
  put(resource: T | undefined): void {
    this.resource = resource;
    this.reuses = 0;
    this.since = undefined;
  }

  /** Puts a resource back that a job had. */
  putBack(resource: T | undefined): void {
    this.resource = resource;
    this.since = undefined;
  }

  /** Notes that the loan is over. */
  endLoan(): void {
    this.isLent = false;
    this.tenure += 1;
    this.ttl = undefined;
  }

  /** Takes the resource out. */
  clear(): T {
    const { resource } = this;
    this.resource = undefined;
    if (this.isLent) this.endLoan();
    this.isOutdated = false;
    this.damage = undefined;
    return resource as T;
  }
}

/** The places of a pool by their indexes. */
export class Places<T> {
  private all: Place<T>[] = [];
  private readonly spares: Spares<T>;
  /** The jobs under way, by their keys. */
  jobs = new Map<number, RunningJob<T>>();

  constructor(spares: Spares<T>) {
    this.spares = spares;
  }

  /** Gives the place that a key or an index is about. */
  at(key: number): Place<T> {
    const index = key & INDEX_MASK;
    return (this.all[index] ??= new Place(index, this.spares));
  }

  /** Notes that nothing that there is now is to be lent again. */
  outdateAll(): void {
    for (const place of this.known()) if (place.resource !== undefined) place.outdate();
    for (const job of this.jobs.values()) job.outdated = true;
  }

  /** The places whose leases are out. */
  lent(): Place<T>[] {
    return this.known().filter((place) => place.isLent);
  }

  /** The places of what nobody holds and no job has. */
  unused(): Place<T>[] {
    return this.known().filter((place) => !place.isLent && place.resource !== undefined);
  }

  /** Every resource that there is, those that jobs have among them. */
  resources(): (T | undefined)[] {
    const inJobs = [...this.jobs.values()].map((job) => job.resource);
    return [...this.known().map((place) => place.resource), ...inJobs];
  }

  /** Puts each place, and each job, where it is in a new module, by keys. */
  move(places: readonly [Place<T>, number][], jobs: readonly [RunningJob<T>, number][]): void {
    this.all = [];
    for (const [place, key] of places) {
      place.key = key;
      place.index = key & INDEX_MASK;
      place.put(place.resource);
      this.all[place.index] = place;
    }
    this.jobs = new Map();
    for (const [job, key] of jobs) {
      job.key = key;
      job.isLease = true;
      this.jobs.set(key, job);
    }
  }

  private known(): Place<T>[] {
    return this.all.filter((place) => place !== undefined);
  }
}
