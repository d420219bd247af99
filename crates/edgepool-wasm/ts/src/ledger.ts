import { Answer, Effect, Status } from "./codes.js";
import * as core from "./core.js";
import type { Place } from "./places.js";
import type { Settings } from "./settings.js";
import { Spares } from "./spares.js";
import type { Want } from "./waiters.js";

/** The number of a pool that the module does not know, and answers for that it is closed. */
const GONE = 0xffff_ffff;
/** A time that was not read. */
export const UNREAD = -1;

/** How late, in ms, what an option says of a time may be, and how long those times are at least. */
const LEEWAY = 1_000;
const LONG = 10 * LEEWAY;

/**
 * The ledger of one pool, as its shell talks to it. What is thrown out of the module ends that
 * instance, and is thrown on as a CoreResetError.
 */
export class Ledger<T> {
  // What has no value here gets one from `move`, as in each instance.
  /** What is in front of it. */
  readonly spares: Spares<T>;
  /** Whether nothing but loans, hand-ons and longer queues has come since the last look. */
  isLooked!: boolean;
  /** The shortest time after which something is due about an idle or a lent resource. */
  readonly shortest: number;
  /** Whether nothing is going on that a lease which comes back is needed for. */
  private isQuiet!: boolean;
  private readonly maySpare: boolean;
  /** For how long there are spares without a look at the time; unlimited where no timer looks. */
  private readonly span: number;
  /** The module that it is in. */
  readonly home: core.Home;
  /** Where it is, for what must know that once nobody has the pool any more. */
  readonly seat: core.Seat;
  core!: core.Core;
  pool!: number;
  /** Whether the next operation depends on the time. */
  timed!: boolean;
  private readonly settings: Settings<T>;

  constructor(settings: Settings<T>, home: core.Home) {
    this.settings = settings;
    this.home = home;
    const { fifo, reset, holdTimes, maxUses, checkAfter, edge } = settings;
    const isTold = fifo || reset !== undefined || holdTimes || maxUses < Infinity;
    const { clocked, isExact, shortest } = readTimes(settings);
    // The time of a process never stands still, so that to ask for it twice brings nothing.
    const isVain = clocked && isExact && settings.mode === "process";
    this.maySpare = !isTold && !isVain && checkAfter > 0;
    this.shortest = shortest;
    this.span = clocked && !edge ? isExact ? shortest : LEEWAY : Infinity;
    this.spares = new Spares(settings.clock, clocked, clocked && isExact);
    this.seat = { core: home.instance(), pool: GONE, timer: undefined };
    core.again(() => this.open(home.instance(), settings.max));
    this.timed = clocked;
  }

  /** Opens the pool in an instance, with room for so many. */
  open(instance: core.Core, max: number): void {
    this.move(instance);
    const { settings } = this;
    const values: Record<string, number | boolean> = { ...settings, max } as never;
    let pool: number;
    try {
      core.OPTIONS.forEach((name, which) => instance.set_option(which, Number(values[name])));
      pool = instance.pool_open(settings.edge ? 1 : 0);
    } catch (cause) {
      throw this.home.replace(instance, cause);
    }
    if (pool < 0) throw new TypeError("Pool: the options contradict each other");
    this.move(instance, pool);
  }

  /** Leaves a pool that has closed, which the module may forget. */
  leave(): void {
    this.pool = GONE;
    this.spares.until = Infinity;
    this.isQuiet = this.spares.isOpen = false;
  }

  /** Goes on in an instance, where it is this pool, or none. */
  move(instance: core.Core, pool = GONE): void {
    this.core = this.seat.core = instance;
    this.pool = this.seat.pool = pool;
    this.timed = true;
    const { spares } = this;
    this.isQuiet = spares.isOpen = this.isLooked = false;
    spares.top = undefined;
    spares.until = Infinity;
    spares.reused = 0;
  }

  /** Reads the clock: not below zero, which says that it was not read. */
  now(): number {
    const now = this.settings.clock.now();
    return now > 0 ? now : 0;
  }

  // --- Spares ---

  /** Has every lease that comes back told, until nothing is going on. */
  stopSparing(): void {
    this.isQuiet = this.spares.isOpen = this.isLooked = false;
    this.settle();
  }

  /** Gives the spares back. */
  settle(): void {
    const { spares } = this;
    if (spares.top === undefined) return;
    const keys: number[] = [];
    for (let each: Place<T> | undefined = spares.top; each !== undefined; each = each.next) {
      keys.push(each.key);
    }
    spares.top = undefined;
    // The one that came back first is told first. Those that are not told if the module fails are
    // nobody's, which the next one is told.
    for (const key of keys.reverse()) this.call("release", UNREAD, key);
  }

  /** Looks how things stand after effects were done. */
  look(isQuiet: boolean): void {
    this.isLooked = true;
    this.isQuiet = isQuiet && this.maySpare;
    const { spares } = this;
    spares.isOpen = this.isQuiet && (this.span === Infinity || spares.until < Infinity);
  }

  /** Notes what time the ledger is told, which is not what it was told before. */
  pass(now: number): void {
    const { spares } = this;
    if (now >= spares.until) {
      spares.until = Infinity;
      spares.isOpen = false;
    }
    if (spares.isExact && now !== spares.told) spares.moment += 1;
    if (now !== UNREAD) spares.told = now;
  }

  // --- What is called most, each with as many arguments as it takes ---

  /** Leases what is idle. */
  tryAcquire(_want?: Want): number {
    this.settle();
    const now = this.timed ? this.now() : UNREAD;
    if (now !== this.spares.told) this.pass(now);
    try {
      const answer = this.core.try_acquire(this.pool, now);
      const hasEffects = answer < Answer.NONE || (answer >= 0 && (answer & 1) === 1);
      if (hasEffects) this.isQuiet = this.spares.isOpen = false;
      return answer;
    } catch (cause) {
      throw this.home.replace(this.core, cause);
    }
  }

  /**
   * Takes a lease back. If nothing is going on, the next to come back are spares for a while. If it
   * `serves`, which is 1 or 0, whoever waits may be served at once: then it is `-1 - key` of the new
   * lease, with the waiter's index in place of its own, and not a status.
   */
  release(key: number, serves: number): number {
    this.settle();
    const { spares } = this;
    // How long somebody waited depends on the time.
    const now = this.timed || serves === 1 ? this.now() : UNREAD;
    if (now !== spares.told) this.pass(now);
    try {
      const status = this.core.release(this.pool, now, key, serves);
      if (status < 0) return status;
      if (!spares.isTimed) this.timed = (status & Status.NEEDS_CLOCK) !== 0;
      if ((status & Status.EFFECTS) !== 0) this.isQuiet = false;
      else if (this.isQuiet && spares.until > now + this.span) {
        // What is lent from now on may be one when it comes back, for a while.
        spares.until = now + this.span;
        if (!spares.isExact) spares.moment += 1;
      }
      spares.isOpen = this.isQuiet;
      return status;
    } catch (cause) {
      throw this.home.replace(this.core, cause);
    }
  }

  /** Asks for a lease. To queue behind others changes nothing about what was looked at. */
  acquire(now: number, deadline: number, { priority, need }: Want, isBehind: boolean): number {
    if (!isBehind) this.stopSparing();
    this.pass(now);
    this.timed = true;
    try {
      return this.core.acquire(this.pool, now, deadline, priority, need);
    } catch (cause) {
      throw this.home.replace(this.core, cause);
    }
  }

  /** Takes the next effect; with the last of them it is known whether the time counts next. */
  nextEffect(): number {
    try {
      const effect = this.core.next_effect(this.pool);
      if (effect < 0) this.timed = this.spares.isTimed || effect < Effect.NONE;
      return effect;
    } catch (cause) {
      throw this.home.replace(this.core, cause);
    }
  }

  // --- The others ---

  /** Takes in what is lent at a place: the key of its lease. */
  adopt(_place: Place<T>): number {
    return this.call("adopt");
  }

  claim(waiter: number): number {
    this.isLooked = false;
    try {
      return this.core.claim(this.pool, waiter);
    } catch (cause) {
      throw this.home.replace(this.core, cause);
    }
  }

  /** When something may be due that is so for so long from now, or the spares. */
  dueAfter(time: number): number {
    const { told = 0, until } = this.spares;
    return Math.min(told + time, until);
  }

  /** When something is due, spares among it. */
  nextDeadline(): number {
    return Math.min(this.call("next_deadline"), this.spares.until);
  }

  /** Does an operation, now. */
  tell(name: keyof core.Core, a?: number, b?: number): number {
    return this.tellAt(this.now(), name, a, b);
  }

  /** Does an operation, at a time. */
  tellAt(now: number, name: keyof core.Core, a = 0, b = 0, c = 0): number {
    this.stopSparing();
    this.pass(now);
    return this.call(name, now, a, b, c);
  }

  /** Asks or does what depends on no time. What spares change is asked after `settle`. */
  call(name: keyof core.Core, a = 0, b = 0, c = 0, d = 0): number {
    try {
      return (this.core[name] as (...args: number[]) => number)(this.pool, a, b, c, d);
    } catch (cause) {
      throw this.home.replace(this.core, cause);
    }
  }

  gauge(name: (typeof core.GAUGES)[number]): number {
    return this.call("gauge", core.GAUGES.indexOf(name));
  }
}

/** What the options say of the time: whether it counts, and how exactly, and what is due first. */
function readTimes<T>(settings: Settings<T>): {
  clocked: boolean; isExact: boolean; shortest: number;
} {
  const { idleTimeout, maxLifetime, lifetimeJitter, checkInterval, checkAfter } = settings;
  const { leaseTtl, longHold, mode, holdTimes, trackLeases, maxUses } = settings;
  const ofIdle = Math.min(idleTimeout, maxLifetime, checkInterval, checkAfter);
  const ofLeases = Math.min(leaseTtl, longHold);
  // No part of what has no end is a number.
  const ofLife = maxLifetime < Infinity ? maxLifetime * (1 - lifetimeJitter / 100) : Infinity;
  const inProcess = mode === "process";
  const counts = holdTimes || trackLeases || maxUses < Infinity;
  return {
    clocked: counts || Math.min(ofIdle, ofLeases) < Infinity,
    isExact: !(inProcess && ofIdle >= LONG && ofLeases === Infinity),
    shortest: Math.min(idleTimeout, ofLife, checkInterval, ofLeases),
  };
}
