import { type Job, isThenable } from "./jobs.js";
import type { TenantFactory } from "./tenant-options.js";

/**
 * How a tenant's connections are made: as its factory says, which is asked anew once what it said
 * is outdated. Each is looked after as it was made, as a factory may know its own ones alone.
 */
export class Making<T> {
  private current: TenantFactory<T>;
  private isOutdated = false;
  /** Whether the last creation that has ended has failed. */
  isFailing = false;
  private readonly makers = new WeakMap<object, TenantFactory<T>>();

  constructor(private readonly ask: () => TenantFactory<T>) {
    this.current = ask();
  }

  /** Has the factory asked again for the next connection. */
  outdate(): void {
    this.isOutdated = true;
  }

  /** Gives what the pool is told. What there is not at first is never there. */
  options(): TenantFactory<T> {
    const { check, reset, close, ...rest } = this.current;
    return {
      ...rest,
      create: (job) => this.create(job),
      check: check && ((connection, job) => this.makerOf(connection).check?.(connection, job)),
      reset: reset && ((connection, job) => this.makerOf(connection).reset?.(connection, job)),
      close: close && ((connection, job) => this.makerOf(connection).close?.(connection, job)),
    };
  }

  private create(job: Job): T | PromiseLike<T> {
    const fail = (error: unknown): never => {
      this.isFailing = true;
      throw error;
    };
    try {
      if (this.isOutdated) this.current = this.ask();
      this.isOutdated = false;
      const maker = this.current;
      const note = (connection: T): T => {
        this.isFailing = false;
        if (Object(connection) === connection) this.makers.set(connection as object, maker);
        return connection;
      };
      const made = maker.create(job);
      return isThenable(made) ? made.then(note, fail) : note(made);
    } catch (error) {
      return fail(error);
    }
  }

  /** What is no object is nobody's own. */
  private makerOf(connection: T): TenantFactory<T> {
    return this.makers.get(connection as object) ?? this.current;
  }
}
