import type { RequestScope } from "./lease.js";

/** What is going on in a pool: in whose name, and how deep in callbacks. */
export class Turn {
  /** How many callers on the stack are at the effects, among which callbacks of the user run. */
  busy = 0;
  /** The request in which the present operation runs. */
  scope: RequestScope | undefined = undefined;
  private readonly afterwards: (() => void)[] = [];

  /** Does something in the name of a request. */
  within<R, A = void>(scope: RequestScope | undefined, act: (what: A) => R, what: A): R {
    const before = this.scope;
    this.scope = scope;
    try {
      return act(what);
    } finally {
      this.scope = before;
    }
  }

  /** Keeps the request going in which a job was begun, until that has settled. */
  keepAlive(settled: Promise<unknown>): void {
    try {
      this.scope?.ctx?.waitUntil(settled);
    } catch {
      // A request that has ended keeps nothing going; the job's time frees its place.
    }
  }

  /** Does something once no effect waits any more. */
  whenTold(act: () => void): void {
    if (this.busy === 0) act();
    else this.afterwards.push(act);
  }

  /** Does what has waited for that. */
  finish(): void {
    while (this.afterwards.length > 0) this.afterwards.shift()?.();
  }
}
