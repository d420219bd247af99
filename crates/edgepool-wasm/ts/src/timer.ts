import { type Clock, LONGEST_TIMER, holdProcess } from "./clock.js";
import { run } from "./jobs.js";
import { type Weak, weakly } from "./runtime.js";

/** After how long an alarm that did not come will not come any more, in ms. */
const LATE_ALARM = 10_000;

/** Does what is due. */
interface Ticking {
  tick(): void;
}

interface TimerSettings {
  clock: Clock;
  setAlarm: ((at: number) => unknown) | undefined;
}

/**
 * The one timer of a pool in a process, set for what is due next. It keeps the process alive only
 * while somebody waits. In a Durable Object an alarm stands for it while nobody does: a timer ends
 * with the object's life in memory.
 */
export class PoolTimer {
  /** When it fires; never if it is not set. */
  at = Infinity;
  private handle: unknown = undefined;
  private holds = false;
  private alarmAt = Infinity;

  private readonly clock: Clock;
  private readonly setAlarm: ((at: number) => unknown) | undefined;
  /** The pool, which is not kept alive for what nobody waits for. */
  private readonly pool: Weak<Ticking>;
  private waitedFor: Ticking | undefined = undefined;

  constructor(pool: Ticking, settings: TimerSettings) {
    this.clock = settings.clock;
    this.setAlarm = settings.setAlarm;
    this.pool = weakly(pool);
  }

  /** Sees to it that it fires at `at` or before. An early one looks and is set anew. */
  arm(at: number, somebodyWaits: boolean): void {
    if (!somebodyWaits) this.waitedFor = undefined;
    else this.waitedFor ??= this.pool.deref();
    if (this.setAlarm !== undefined && !somebodyWaits) {
      this.stop();
      this.askForAlarm(at);
      return;
    }
    if (at < this.at) this.set(at);
    if (this.handle === undefined || somebodyWaits === this.holds) return;
    this.holds = somebodyWaits;
    holdProcess(this.clock, this.handle, somebodyWaits);
  }

  stop(): void {
    if (this.handle !== undefined) this.clock.clearTimer(this.handle);
    this.handle = undefined;
    this.at = Infinity;
  }

  /** Forgets the alarm that was asked for: it has come. */
  alarmed(): void {
    this.alarmAt = Infinity;
  }

  private set(at: number): void {
    this.stop();
    this.at = at;
    this.holds = true;
    const delay = Math.max(Math.ceil(at - this.clock.now()), 0);
    const fire = (): void => {
      this.handle = undefined;
      this.at = Infinity;
      (this.waitedFor ?? this.pool.deref())?.tick();
    };
    try {
      // An early one looks and is set anew.
      this.handle = this.clock.setTimer(fire, Math.min(delay, LONGEST_TIMER));
    } catch {
      // As at a Worker's module scope: the next operation does what is due.
      this.at = Infinity;
    }
  }

  private askForAlarm(at: number): void {
    if (at === Infinity) return;
    // One that should have come and has not is asked for anew.
    if (at >= this.alarmAt && this.alarmAt + LATE_ALARM > this.clock.now()) return;
    this.alarmAt = at;
    const delay = Math.max(Math.ceil(at - this.clock.now()), 0);
    // What an alarm was to do is done by the next operation: one that cannot be set is no harm.
    void run(() => this.setAlarm?.(Date.now() + delay), ({ ok }) => {
      if (!ok) this.alarmed();
    });
  }
}
