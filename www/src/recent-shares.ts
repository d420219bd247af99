import type { RecentShare } from "./wire.js";

/** What of a tenant's counters a share is made of. */
export interface Served {
  acquired: number;
  totalWait: number;
}

interface Second {
  at: number;
  of: Map<string, Served>;
}

const LONG_MS = 10_000;
const SECOND_MS = 1_000;

/**
 * Who was served in the last ten seconds. It has no timer: what was served since it was last asked
 * counts as served now, unless that is too long ago to say.
 */
export class RecentShares {
  private seconds: Second[] = [];
  private sums = new Map<string, Served>();
  private all = 0;

  /** Notes what was served since then. */
  note(since: number, now: number, more: readonly (readonly [id: string, served: Served])[]): void {
    this.seconds = this.seconds.filter(({ at }) => at > now - LONG_MS);
    if (now - since <= LONG_MS) {
      const { of } = this.secondOf(now);
      for (const [id, served] of more) add(of, id, served);
    }
    this.sums = new Map();
    for (const { of } of this.seconds) for (const [id, served] of of) add(this.sums, id, served);
    this.all = [...this.sums.values()].reduce((sum, { acquired }) => sum + acquired, 0);
  }

  private secondOf(now: number): Second {
    const last = this.seconds.at(-1);
    if (last !== undefined && now - last.at < SECOND_MS) return last;
    const next = { at: now, of: new Map<string, Served>() };
    this.seconds.push(next);
    return next;
  }

  /** Tells what a tenant had of all that was served. */
  of(id: string): RecentShare {
    const { acquired, totalWait } = this.sums.get(id) ?? { acquired: 0, totalWait: 0 };
    return {
      acquired,
      share: this.all === 0 ? null : acquired / this.all,
      mean_wait_ms: acquired === 0 ? null : totalWait / acquired,
    };
  }
}

function add(to: Map<string, Served>, id: string, { acquired, totalWait }: Served): void {
  const known = to.get(id);
  to.set(id, {
    acquired: (known?.acquired ?? 0) + acquired, totalWait: (known?.totalWait ?? 0) + totalWait,
  });
}
