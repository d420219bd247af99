import { setBackgroundTimer } from "./clock.js";
import { unlessReset } from "./core.js";
import { run } from "./jobs.js";
import { type Weak, weakly } from "./runtime.js";
import type { TenantSettings } from "./tenant-options.js";

/** After how long an alarm that did not come will not come any more, in ms. */
const LATE_ALARM = 10_000;
/** After how long a look is tried again that could not be, in ms. */
const AGAIN = 1_000;

/** Closes what was not used for too long, and says when to look again. */
interface Swept {
  sweep(now: number): unknown;
}

/**
 * Has unused tenants closed in time: by a timer in a process, by an alarm in a Durable Object; on
 * the edge callers do it.
 */
export class Sweeper {
  /** When something may have been unused for too long; nothing was before that. */
  private at = Infinity;
  private timer: unknown = undefined;
  private alarmAt = Infinity;
  private readonly settings: Pick<TenantSettings<unknown>, "clock" | "mode" | "setAlarm">;

  constructor(
    private readonly owner: Swept,
    { clock, mode, setAlarm }: Pick<TenantSettings<unknown>, "clock" | "mode" | "setAlarm">,
  ) {
    this.settings = { clock, mode, setAlarm };
  }

  /** Looks if it is time for that. */
  look(now: number): void {
    if (now >= this.at) this.owner.sweep(now);
  }

  /** Does so in a tick, which may be what an alarm was for. */
  tick(now: number): void {
    this.alarmAt = Infinity;
    if (now >= this.at) this.owner.sweep(now);
    else this.arm(now);
  }

  /** Sees to a look at a time, or before. */
  hasten(at: number, now: number): void {
    this.at = Math.min(this.at, at);
    this.arm(now);
  }

  /** Says when the next look is to be, after one. */
  next(at: number, now: number): void {
    this.at = at;
    this.arm(now);
  }

  stop(): void {
    if (this.timer !== undefined) this.settings.clock.clearTimer(this.timer);
    this.timer = undefined;
    this.at = Infinity;
  }

  /** An object has one alarm: it is asked for at the earliest time, in ms since 1970. */
  askForAlarm(at: number): void {
    if (at >= this.alarmAt && this.alarmAt + LATE_ALARM > Date.now()) return;
    this.alarmAt = at;
    void run(() => this.settings.setAlarm?.(at), ({ ok }) => {
      // The next operation does what it was for.
      if (!ok) this.alarmAt = Infinity;
    });
  }

  private arm(now: number): void {
    const { clock, mode, setAlarm } = this.settings;
    if (this.at === Infinity || mode === "edge") return;
    const delay = this.at - now;
    if (setAlarm !== undefined) return this.askForAlarm(Date.now() + delay);
    if (this.timer !== undefined) return;
    const sweeper: Weak<Sweeper> = weakly(this);
    try {
      this.timer = setBackgroundTimer(clock, () => sweeper.deref()?.fire(), delay);
    } catch {
      // As at a Worker's module scope: the next operation does what is due.
    }
  }

  private fire(): void {
    this.timer = undefined;
    const now = this.settings.clock.now();
    if (now < this.at) return this.arm(now);
    // Without a module it does nothing, and says no time: there may be one by then.
    this.at = now + AGAIN;
    unlessReset(() => this.owner.sweep(now));
    this.arm(now);
  }
}
