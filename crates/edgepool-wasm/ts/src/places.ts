import { NONE } from "./core.js";
import type { RunningJob } from "./jobs.js";

/**
 * What stands at each place of a pool, by its index. The module decides which place is what; this
 * is what the shell must know to tell a new module, should that one fail.
 */
export class Places<T> {
  /** The resource; a job has its own. */
  readonly resources: (T | undefined)[] = [];
  /** The key of the lease that is out. */
  readonly leases: number[] = [];
  /** For how long a lease lives by its holder's last word, where there was one. */
  readonly ttls = new Map<number, number>();
  /** How often the resource was lent without a word to the ledger. */
  readonly reuses: number[] = [];
  /** The jobs under way, by their keys. */
  readonly jobs = new Map<number, RunningJob<T>>();
  /** What is not to be lent again: it was invalidated, or its holder has discarded it. */
  readonly outdated = new Set<number>();

  /** Puts a resource in its place. */
  put(index: number, resource: T | undefined): void {
    this.resources[index] = resource;
    this.reuses[index] = 0;
  }

  /** Notes that a lease has ended. */
  endLease(index: number): void {
    this.leases[index] = NONE;
    if (this.ttls.size > 0) this.ttls.delete(index);
  }

  /** Takes the resource away from a place. */
  clear(index: number): T {
    const resource = this.resources[index] as T;
    this.resources[index] = undefined;
    this.endLease(index);
    this.outdated.delete(index);
    return resource;
  }

  /** Notes that nothing that there is now is to be lent again. */
  outdateAll(): void {
    this.resources.forEach((resource, index) => {
      if (resource !== undefined) this.outdated.add(index);
    });
    for (const job of this.jobs.values()) job.outdated = true;
  }

  /** The keys of the leases that are out. */
  keys(): number[] {
    return this.leases.filter((key) => key !== undefined && key !== NONE);
  }

  /** Every resource that there is, those that jobs have among them. */
  all(): (T | undefined)[] {
    const inJobs = [...this.jobs.values()].map((job) => job.resource);
    return [...this.resources, ...inJobs];
  }

  /** The indexes of what nobody holds and no job has. */
  unused(): number[] {
    const all = this.resources.map((_, index) => index);
    return all.filter((index) => this.resources[index] !== undefined && !this.isLent(index));
  }

  isLent(index: number): boolean {
    return (this.leases[index] ?? NONE) !== NONE;
  }
}
