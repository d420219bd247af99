import type { Lease, RequestScope } from "./lease.js";

/** What a caller waits for. */
export interface Want {
  /** In ms from now. */
  timeout: number;
  /** 0 for low up to 3 for urgent. */
  priority: number;
  /** How many resources it needs, all at once. */
  need: number;
  /** Whether it is served with an array of leases. */
  isMany: boolean;
  signals: readonly AbortSignal[];
  scope: RequestScope | undefined;
  /** Where the caller stands, if that is kept. */
  stack: string | undefined;
  /** In a pool with tenants: whose caller it is, if anybody's. */
  tenant?: unknown;
}

/** What a caller is served with: a lease, or one for each resource that it needs. */
export type Served<T> = Lease<T> | Lease<T>[];

/** Settles the promise of a waiter. */
export type Settle<T> = (served: Served<T> | PromiseLike<Served<T>>) => void;

let settleLast: unknown;
// Not made anew for each promise.
function keep(settle: unknown): void {
  settleLast = settle;
}

/** Makes the promise of a waiter, which `settlerMade` settles. */
export function promiseServed<T>(): Promise<Served<T>> {
  return new Promise(keep);
}

/** Gives what settles the promise that was made last. */
export function settlerMade<T>(): Settle<T> {
  return settleLast as Settle<T>;
}

/** What a waiter of process mode has beyond its place in the queue. */
export interface Extra {
  want: Want;
  /** Its key in the module. */
  key: number;
  unlisten: () => void;
}

/**
 * The waiters of process mode by their indexes. Columns in place of objects, as most waiters are a
 * function and a time.
 */
export class Waiters<T> {
  private readonly settlers: (Settle<T> | undefined)[] = [];
  private readonly since: number[] = [];
  private readonly extras: (Extra | undefined)[] = [];
  /** How many there are. */
  count = 0;

  /** Puts a waiter in: what it waits with. */
  add(index: number, since: number, extra: Extra | undefined): Promise<Served<T>> {
    const promise = promiseServed<T>();
    this.count += 1;
    this.settlers[index] = settlerMade();
    // A whole number needs no box of its own.
    this.since[index] = Math.round(since);
    if (extra !== undefined) this.extras[index] = extra;
    return promise;
  }

  /** When a waiter came. */
  sinceOf(index: number): number | undefined {
    return this.since[index];
  }

  /** What a waiter has beyond its place in the queue. */
  extraOf(index: number): Extra | undefined {
    return this.extras[index];
  }

  /** Takes a waiter out, and its listeners off its signals; gives what settles its promise. */
  remove(index: number): Settle<T> | undefined {
    const settle = this.settlers[index];
    if (settle === undefined) return undefined;
    this.count -= 1;
    this.settlers[index] = undefined;
    const extra = this.extras[index];
    if (extra !== undefined) {
      this.extras[index] = undefined;
      extra.unlisten();
    }
    return settle;
  }

  /** Takes out every one. */
  removeAll(): Settle<T>[] {
    const all = this.settlers.map((_, index) => this.remove(index));
    return all.filter((settle) => settle !== undefined);
  }
}
