import { type Clock, setBackgroundTimer } from "./clock.js";

/** The limits of a body, in ms. */
export interface ProgressLimits {
  /** Up to the first content. */
  first: number;
  /** Between content from the producer, and for each chunk that the consumer leaves lying. */
  stall: number;
}

/**
 * Watches the two sides of a body with one timer. Only one side is waited for at a time: the
 * producer while the consumer asks for bytes, the consumer while bytes lie ready. Bytes without
 * content do not wind the producer's clock up again, and time that the consumer took is not its.
 */
export class Progress {
  private readonly clock: Clock;
  private readonly stall: number;
  private readonly onStall: (reason: string) => void;
  private started = false;
  /** What the producer has left once it is waited for again. */
  private left: number;
  /** When the side that is waited for is late. */
  private limit = Infinity;
  /** When the timer fires, which may be before the limit. */
  private due = Infinity;
  private timer: unknown;

  constructor(clock: Clock, { first, stall }: ProgressLimits, onStall: (reason: string) => void) {
    this.clock = clock;
    this.stall = stall;
    this.onStall = onStall;
    this.left = stall;
    this.wait(clock.now() + first);
  }

  /** The consumer asks: the producer is waited for. */
  asked(): void {
    if (this.started) this.wait(this.clock.now() + this.left);
  }

  /** Bytes lie ready: the consumer is waited for. Until the first content its limit stands. */
  passed(content: boolean): void {
    if (!content && !this.started) return;
    const now = this.clock.now();
    this.left = content ? this.stall : Math.max(this.limit - now, 0);
    this.started = true;
    this.wait(now + this.stall);
  }

  /** Ends the watch. */
  stop(): void {
    if (this.timer !== undefined) this.clock.clearTimer(this.timer);
    this.timer = undefined;
  }

  private wait(limit: number): void {
    this.limit = limit;
    if (limit < this.due) this.arm();
  }

  /** A limit that moves on is looked at when the timer fires, and not before. */
  private arm(): void {
    this.stop();
    this.due = this.limit;
    if (this.limit === Infinity) return;
    const delay = Math.max(Math.ceil(this.limit - this.clock.now()), 1);
    this.timer = setBackgroundTimer(this.clock, () => this.look(), delay);
  }

  private look(): void {
    this.timer = undefined;
    if (this.clock.now() < this.limit) this.arm();
    else this.onStall(this.started ? "stood still for too long" : "did not begin in time");
  }
}
