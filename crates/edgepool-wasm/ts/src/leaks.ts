import type { Holder } from "./errors.js";
import type { Lease } from "./lease.js";

/** What is known of a lease that is out. */
interface Track {
  readonly id: number;
  readonly since: number;
  readonly stack: string | undefined;
  /** Whether it was told as leaked. */
  told: boolean;
}

/** Names a lease to the garbage collector, without holding it. */
interface Token {
  readonly index: number;
  readonly track: Track;
}

/**
 * Knows where each lease was acquired, and hears of leases that were dropped without release. It
 * only tells: who dropped a lease may have kept the resource, so the place comes back by the
 * lease's time to live alone.
 */
export class LeaseTracker<T> {
  private readonly tracks: (Track | undefined)[] = [];
  private readonly registry: FinalizationRegistry<Token> | undefined;

  constructor(onDropped: (index: number) => void) {
    if (typeof FinalizationRegistry !== "function") return;
    this.registry = new FinalizationRegistry(({ index, track }) => {
      if (this.tracks[index] === track && !track.told) onDropped(index);
    });
  }

  /** Begins to track a lease. */
  begin(lease: Lease<T>, { slot: index, id, since, stack }: Holder): void {
    const track: Track = { id, since, stack, told: false };
    this.tracks[index] = track;
    this.registry?.register(lease, { index, track }, lease);
  }

  /** Ends that: the lease was given back. */
  end(lease: Lease<T>, index: number): void {
    this.tracks[index] = undefined;
    this.registry?.unregister(lease);
  }

  /** Gives whose lease it is that has leaked, unless that was told; from now on it was. */
  tellOnce(slot: number, now: number): Holder | undefined {
    const track = this.tracks[slot];
    if (track === undefined || track.told) return undefined;
    track.told = true;
    return this.holder(slot, now);
  }

  /** Tells whose lease is out at this place. */
  holder(slot: number, now: number): Holder | undefined {
    const track = this.tracks[slot];
    if (track === undefined) return undefined;
    const { id, since, stack } = track;
    const holder = { slot, id, since, held: Math.max(now - since, 0) };
    return stack === undefined ? holder : { ...holder, stack };
  }

  /** Follows places that have moved, as they do when the module was replaced. */
  move(moved: ReadonlyMap<number, number>): void {
    const before = this.tracks.splice(0);
    for (const [from, to] of moved) this.tracks[to] = before[from];
  }
}

/** Tells where the caller of the pool stands. */
export function captureStack(): string | undefined {
  const { stack } = new Error("acquired here");
  // The first line says what it is, and the pool's own say nothing.
  return stack?.split("\n").slice(1).filter((line) => !OWN.test(line)).join("\n");
}

const OWN = /^\s*at (new |async )?(captureStack|(Shared)?(Engine|Pool)|EdgeWaiter)\b/;
