import { differenceOfTerms } from "./client-tenants.js";
import { PoolClosedError } from "./errors.js";
import { Hub, type HubSettings, type Opened } from "./hub.js";
import { ask } from "./protocol.js";
import { type Weak, holdsWeakly, weakly } from "./runtime.js";

/** What a registry has shared so far. */
export interface RegistryStats {
  /** Services that are in use. */
  services: number;
  /** How often one was asked for that was there. */
  hits: number;
  /** How often one had to be made. */
  misses: number;
}

/**
 * Who shares what: providers of the same kind, at the same addresses, with the same key share one
 * limit and one queue, however many client pools they are in. By default a program has one.
 *
 * What is shared lasts as long as a client pool or a call has it. Closing or dropping a client pool
 * leaves the others what they share with it.
 */
export class ClientRegistry {
  private readonly hubs = new Map<string, Weak<Hub>>();
  private closed = false;
  private hits = 0;
  private misses = 0;

  /** Whether `closeAll` was called. */
  get isClosed(): boolean {
    return this.closed;
  }

  /** Tells what it has shared. */
  stats(): RegistryStats {
    const used = [...this.hubs.values()].filter((entry) => entry.deref()?.isUsed);
    return { services: used.length, hits: this.hits, misses: this.misses };
  }

  /**
   * Closes everything that is shared by it: calls that wait fail at once, and so do later ones;
   * those that were sent go on. Nothing can be shared by it any more.
   */
  closeAll(): void {
    this.closed = true;
    for (const entry of this.hubs.values()) {
      const hub = entry.deref();
      hub?.rest();
      // Its leases come back to nobody.
      void hub?.pool.close({ deadline: 0 });
    }
    this.hubs.clear();
  }

  /**
   * @internal Forgets services that nobody has any more; returns how many. One that no client pool
   * has may still be called by who got its client, and is another's too when that is made.
   */
  evict(): number {
    const before = this.hubs.size;
    for (const [key, entry] of this.hubs) {
      const hub = entry.deref();
      if (hub === undefined || !(holdsWeakly || hub.isUsed)) this.hubs.delete(key);
    }
    return before - this.hubs.size;
  }

  /**
   * @internal Finds what a provider shares, or makes it. Where the only one that has it is the one
   * that it replaces, it may have other limits. Throws a TypeError that shows the difference.
   */
  share(opened: Opened, settings: HubSettings, words: readonly unknown[], old?: Hub): Hub {
    if (this.closed) throw new PoolClosedError();
    const { identity, name } = opened.described;
    const key = JSON.stringify([identity, ...words, ...numbersOf(settings)]);
    const found = this.hubs.get(key)?.deref();
    if (found !== undefined && !found.pool.isClosed) {
      const difference = differences(
        termsOf(found.opened, found.settings), termsOf(opened, settings),
        differenceOfTerms(found.settings.tenants, settings.tenants),
      );
      if (difference === "") {
        this.hits += 1;
        return found;
      }
      const isReplaced = found === old && found.members === 1;
      if (!isReplaced && found.isUsed) {
        const advice = "use the same, or give it a pool of its own by the option pool";
        throw new TypeError(`ClientPool: provider "${name}": its service is in use with other `
          + `limits: ${difference}; ${advice}`);
      }
    }
    this.evict();
    const made = new Hub(opened, settings);
    this.misses += 1;
    this.hubs.set(key, weakly(made));
    return made;
  }
}

type Terms = Record<string, string>;

function termsOf({ described }: Opened, settings: HubSettings): Terms {
  const { leaseTtl, heartbeat } = settings;
  return { ...described.terms, leaseTtl: String(leaseTtl), heartbeat: String(heartbeat) };
}

/** Says what is asked for that is used otherwise. */
function differences(used: Terms, asked: Terms, ofTenants: string): string {
  const all = Object.keys(asked)
    .filter((name) => used[name] !== asked[name])
    .map((name) => `${name} is ${used[name]}, not ${asked[name]}`);
  return (ofTenants === "" ? all : [...all, ofTenants]).join("; ");
}

const numbers = new WeakMap<object, number>();
let known = 0;

/** Tells the clock, the `fetch` and the mode of providers apart, which cannot share across them. */
function numbersOf({ mode, clock, send }: HubSettings): unknown[] {
  const number = (thing: object): number => {
    const found = numbers.get(thing) ?? (known += 1);
    numbers.set(thing, found);
    return found;
  };
  return [mode, number(clock), number(send)];
}

/** The registry that a program has by default. */
export const shared = new ClientRegistry();

/** Asks the module for the providers that the environment names. */
export function readEnvironment(env: string): Record<string, unknown> {
  return JSON.parse(ask((protocol) => protocol.providers_from_env(env))) as Record<string, unknown>;
}
