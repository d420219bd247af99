/** The most attempts that a request of a Worker may have waiting for headers. */
const MOST = 6;

/**
 * The attempts of one request that wait for headers. Workers let only so many wait at once: what
 * is sent beyond that stands still in the runtime, with a place that others could use.
 */
export class HeaderWaits {
  private count = 0;
  private readonly waiting: (() => void)[] = [];

  /** Takes one of the waits, if there is one left. */
  tryEnter(): boolean {
    if (this.count >= MOST) return false;
    this.count += 1;
    return true;
  }

  leave(): void {
    this.count -= 1;
    // Whoever has given up meanwhile would not pass it on.
    for (const wake of this.waiting.splice(0)) wake();
  }

  /** Resolves when one may have come free. */
  whenFree(): Promise<void> {
    return new Promise((resolve) => void this.waiting.push(resolve));
  }
}

const all = new WeakMap<object, HeaderWaits>();

/** Gives the header waits of the request that a context stands for. */
export function headerWaitsOf(ctx: object): HeaderWaits {
  let waits = all.get(ctx);
  if (waits === undefined) all.set(ctx, (waits = new HeaderWaits()));
  return waits;
}
