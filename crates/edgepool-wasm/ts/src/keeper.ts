import type { EdgeWaiter } from "./edge-waiter.js";
import type { Engine } from "./engine.js";
import { deferred } from "./runtime.js";
import { goesOn, thisStretch } from "./stretch.js";

/** How often a keeper looks: for offers where it has no doorbell, and for what is due. */
export const TICK = 50;
const TICK_WITH_DOORBELL = 100;

/**
 * Looks after waiters of edge mode that belong to one request: those that came in one stretch of
 * its code. All of it runs in that request: its timer keeps the request alive and looks after
 * deadlines, and its doorbell is a promise made there, which another request may settle without
 * lending it its context. With the request it stops, and so do its waiters.
 */
export class Keeper<T> {
  private readonly engine: Engine<T>;
  /** A stretch of code of its request. */
  private stretch = thisStretch();
  /** In any order. */
  private readonly waiters: EdgeWaiter<T>[] = [];
  /** Those that there is something for. */
  private readonly called: EdgeWaiter<T>[] = [];
  private bell: (() => void) | undefined;
  private timer: unknown;
  /** When that fires. */
  private due = 0;

  constructor(engine: Engine<T>) {
    this.engine = engine;
  }

  /** Tells whether the code that runs is its request's. */
  isHere(): boolean {
    return goesOn(this.stretch);
  }

  /** Takes on a waiter of this stretch. Throws where there are no timers. */
  add(waiter: EdgeWaiter<T>): void {
    if (this.timer === undefined || waiter.deadline < this.due) this.wind(waiter.deadline);
    waiter.at = this.waiters.push(waiter) - 1;
    this.hangBell();
    if (this.called.length > 0) this.ring();
  }

  /** Lets go of a waiter; without any its request need not live on. */
  remove({ at }: EdgeWaiter<T>): void {
    const last = this.waiters.pop() as EdgeWaiter<T>;
    if (at < this.waiters.length) {
      this.waiters[at] = last;
      last.at = at;
    }
    if (this.waiters.length === 0) this.stop();
  }

  /** Has a waiter look, in its request. */
  call(waiter: EdgeWaiter<T>): void {
    this.called.push(waiter);
    this.ring();
  }

  /** Wakes its request; without a doorbell its timer comes to see. */
  ring(): void {
    this.bell?.();
  }

  private hangBell(): void {
    if (!this.engine.settings.doorbell || this.bell !== undefined) return;
    const { promise, resolve } = deferred<void>();
    this.bell = resolve;
    void promise.then(() => {
      this.bell = undefined;
      this.poll();
    });
  }

  /** Sets its timer anew: to its tick, or a deadline before that. */
  private wind(deadline: number): void {
    const { ledger, settings: { clock, doorbell } } = this.engine;
    const now = ledger.now();
    const delay = Math.max(Math.min(doorbell ? TICK_WITH_DOORBELL : TICK, deadline - now), 1);
    const timer = clock.setTimer(() => {
      // One that was cleared from another request fires all the same.
      if (this.timer !== timer) return;
      this.timer = undefined;
      this.poll();
    }, delay);
    this.stop();
    this.timer = timer;
    this.due = now + delay;
  }

  private soonest(): number {
    return this.waiters.reduce((soonest, { deadline }) => Math.min(soonest, deadline), Infinity);
  }

  private stop(): void {
    if (this.timer !== undefined) this.engine.settings.clock.clearTimer(this.timer);
    this.timer = undefined;
  }

  /** Looks, and goes on to look as long as somebody waits, whatever is thrown at that. */
  private poll(): void {
    this.stretch = thisStretch();
    this.engine.keeper = this;
    try {
      this.look();
    } finally {
      if (this.waiters.length > 0) {
        this.hangBell();
        if (this.timer === undefined) this.wind(this.soonest());
      }
    }
  }

  /**
   * Has those look that there is something for, and runs what is due, which may be a waiter's end.
   * An offer is taken however late it is, if only nobody has passed it on: in a busy isolate every
   * timer is late.
   */
  private look(): void {
    this.serve();
    const [first] = this.waiters;
    if (first === undefined) return;
    this.engine.advance();
    this.engine.attend(first.want.scope);
    this.serve();
  }

  private serve(): void {
    while (this.called.length > 0) this.called.shift()?.look();
  }
}
