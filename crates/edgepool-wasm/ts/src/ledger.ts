import type { Clock } from "./clock.js";
import * as core from "./core.js";
import type { Place } from "./places.js";
import type { Settings } from "./settings.js";

/** The number of a pool that the module does not know, and answers for that it is closed. */
const GONE = 0xffff_ffff;
/** A time that was not read. */
const UNREAD = -1;

/**
 * The ledger of one pool, as its shell talks to it. What is thrown out of the module ends that
 * instance, and is thrown on as a CoreResetError.
 *
 * In front of it are the spares: leases that came back while nothing was going on, and go to the
 * next caller without a word. For the module they are still out, so that they are given back before
 * anything else is told.
 */
export class Ledger<T> {
  /** The spare that came back last. */
  spare: Place<T> | undefined = undefined;
  /** Whether a lease that comes back may be a spare. */
  sparing = false;
  /** How often a spare was lent. */
  reused = 0;
  /** The time that was read last. */
  told = 0;
  /** Where it is, for what must know that once nobody has the pool any more. */
  readonly seat: core.Seat;
  private core: core.Core;
  private pool = GONE;
  private readonly clock: Clock;
  /** Whether every operation depends on the time, and whether the next one does. */
  private readonly clocked: boolean;
  private timed: boolean;
  private readonly settings: Settings<T>;

  constructor(settings: Settings<T>) {
    this.settings = settings;
    this.clock = settings.clock;
    this.clocked = needsClock(settings);
    this.core = core.instance();
    this.seat = { core: this.core, pool: GONE };
    core.again(() => this.open(core.instance(), settings.max));
    this.timed = this.clocked;
  }

  /** Opens the pool in an instance, with room for so many. */
  open(instance: core.Core, max: number): void {
    this.move(instance, GONE);
    const { settings } = this;
    const values: Record<string, number | boolean> = { ...settings, max } as never;
    let pool: number;
    try {
      core.OPTIONS.forEach((name, which) => instance.set_option(which, Number(values[name])));
      pool = instance.pool_open(settings.edge ? 1 : 0);
    } catch (cause) {
      throw core.replace(instance, cause);
    }
    if (pool < 0) throw new TypeError("Pool: the options contradict each other");
    this.move(instance, pool);
  }

  /** Leaves a pool that has closed, which the module may forget. */
  leave(): void {
    this.pool = GONE;
  }

  /** Goes on in an instance, where it is this pool, or none. */
  move(instance: core.Core, pool = GONE): void {
    this.core = this.seat.core = instance;
    this.pool = this.seat.pool = pool;
    this.timed = true;
    this.sparing = false;
    this.spare = undefined;
    this.reused = 0;
  }

  /** Reads the clock: not below zero, which says that it was not read. */
  now(): number {
    const now = this.clock.now();
    return (this.told = now > 0 ? now : 0);
  }

  // --- What is called most, each with as many arguments as it takes ---

  /** Leases what is idle; there is no spare. */
  tryAcquire(): number {
    const now = this.timed ? this.now() : UNREAD;
    try {
      return this.core.try_acquire(this.pool, now);
    } catch (cause) {
      throw core.replace(this.core, cause);
    }
  }

  acquire(now: number, deadline: number, priority: number, need: number): number {
    this.stopSparing();
    try {
      return this.core.acquire(this.pool, now, deadline, priority, need);
    } catch (cause) {
      throw core.replace(this.core, cause);
    }
  }

  release(key: number): number {
    if (this.spare !== undefined) this.settle();
    const now = this.timed ? this.now() : UNREAD;
    try {
      const status = this.core.release(this.pool, now, key);
      if (!this.clocked) this.timed = (status & core.NEEDS_CLOCK) !== 0;
      return status;
    } catch (cause) {
      throw core.replace(this.core, cause);
    }
  }

  claim(waiter: number): number {
    try {
      return this.core.claim(this.pool, waiter);
    } catch (cause) {
      throw core.replace(this.core, cause);
    }
  }

  nextEffect(): number {
    try {
      return this.core.next_effect(this.pool);
    } catch (cause) {
      throw core.replace(this.core, cause);
    }
  }

  effectKey(): number {
    try {
      return this.core.effect_key();
    } catch (cause) {
      throw core.replace(this.core, cause);
    }
  }

  nextDeadline(): number {
    try {
      return this.core.next_deadline(this.pool);
    } catch (cause) {
      throw core.replace(this.core, cause);
    }
  }

  // --- The others ---

  /** Does an operation, now. */
  tell(name: keyof core.Core, a?: number, b?: number): number {
    return this.tellAt(this.now(), name, a, b);
  }

  /** Does an operation, at a time. */
  tellAt(now: number, name: keyof core.Core, a = 0, b = 0): number {
    this.stopSparing();
    return this.call(name, now, a, b);
  }

  /** Asks or does what depends on no time. What spares change is asked after `settle`. */
  call(name: keyof core.Core, a = 0, b = 0, c = 0): number {
    try {
      return (this.core[name] as (...args: number[]) => number)(this.pool, a, b, c);
    } catch (cause) {
      throw core.replace(this.core, cause);
    }
  }

  gauge(name: (typeof core.GAUGES)[number]): number {
    return this.call("gauge", core.GAUGES.indexOf(name));
  }

  /** Has every lease that comes back told, until the next look. */
  stopSparing(): void {
    this.sparing = false;
    if (this.spare !== undefined) this.settle();
  }

  /** Gives the spares back. */
  settle(): void {
    // The one that came back first is told first.
    let first: Place<T> | undefined = undefined;
    for (let place: Place<T> | undefined = this.spare; place !== undefined;) {
      const { next }: Place<T> = place;
      place.next = first;
      first = place;
      place = next;
    }
    this.spare = undefined;
    // Those that are not told if the module fails are nobody's, which the next one is told.
    for (let place: Place<T> | undefined = first; place !== undefined; place = place.next) {
      this.call("release", UNREAD, place.key);
    }
  }

  /** Looks whether the next operation depends on the time, after effects were done. */
  look(maySpare: boolean): void {
    this.timed = this.clocked || (this.call("status") & core.NEEDS_CLOCK) !== 0;
    this.sparing = maySpare && !this.timed;
  }
}

/** Tells whether every acquire and release depends on the time. */
function needsClock<T>(settings: Settings<T>): boolean {
  const { idleTimeout, maxLifetime, checkInterval, longHold, leaseTtl, checkAfter } = settings;
  const times = [idleTimeout, maxLifetime, checkInterval, longHold, leaseTtl, checkAfter];
  const { edge, holdTimes, trackLeases, maxUses } = settings;
  return edge || holdTimes || trackLeases || maxUses !== Infinity || Math.min(...times) < Infinity;
}
