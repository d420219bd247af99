import { isThenable } from "./jobs.js";
import type { Job } from "./jobs.js";
import { listen } from "./signals.js";
import type { Wait } from "./tenant-line.js";
import type { TenantSettings } from "./tenant-options.js";
import { timeLeft } from "./tenant-home.js";
import { notEntering } from "./tenant-texts.js";

/** What `enter` is given beside the connection and its tenant. */
class Entering implements Job {
  private controller: AbortController | undefined = undefined;
  private givenUp: { reason: unknown } | undefined = undefined;

  // Made when it is asked for: most look at no signal.
  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController();
      if (this.givenUp !== undefined) this.controller.abort(this.givenUp.reason);
    }
    return this.controller.signal;
  }

  giveUp(reason: unknown): void {
    this.givenUp = { reason };
    this.controller?.abort(reason);
  }
}

/**
 * Whether a tenant is entered, of whom that failed again and again: each failure costs a
 * connection, which the others would have to make again. It is refused for a while then, as long as
 * a pool's `backoff` says, after as many failures in a row as its `breaker`.
 */
export class Entrance<T> {
  private failures = 0;
  private retryAt = -Infinity;
  private cause: unknown = undefined;

  constructor(private readonly settings: TenantSettings<T>) {}

  /** Throws an UnavailableError unless a caller may try. */
  check(id: string): void {
    const left = this.retryAt - this.settings.clock.now();
    const isShut = this.failures >= this.settings.breaker && left > 0;
    if (isShut) throw notEntering(id, left, this.cause);
  }

  /** Lets a caller try, alone if the others failed. */
  begin(id: string): void {
    this.check(id);
    if (this.failures >= this.settings.breaker) this.retryAt = this.after();
  }

  succeed(): void {
    this.failures = 0;
    this.cause = undefined;
  }

  fail(cause: unknown): void {
    this.failures += 1;
    this.cause = cause;
    this.retryAt = this.after();
  }

  private after(): number {
    const { clock, random, backoff: { base, cap } } = this.settings;
    const pause = base < Infinity ? Math.min(base * 2 ** (this.failures - 1), cap) : 0;
    return clock.now() + pause * random();
  }
}

/**
 * Puts a tenant's context on a connection in its caller's own request, as long as the caller has
 * time and is there. Rejects with what `begin` threw or rejects with, with what `late` makes, or
 * with the reason of a signal; what has begun goes on then, on a connection that nobody is to have.
 */
export async function enterAs<T>(
  settings: TenantSettings<T>, wait: Wait, begin: (job: Job) => unknown, late: () => Error,
): Promise<void> {
  const entering = new Entering();
  try {
    const given = begin(entering);
    if (isThenable(given)) await within(given, settings, wait, late);
  } catch (error) {
    entering.giveUp(error);
    throw error;
  }
}

/** Settles as `given` does, or rejects when the caller's time has passed or a signal aborts. */
function within<T>(
  given: PromiseLike<unknown>, settings: TenantSettings<T>, wait: Wait, late: () => Error,
): Promise<unknown> {
  const { clock } = settings;
  const left = timeLeft(settings, wait);
  return new Promise((resolve, reject) => {
    const expire = (): void => end(() => reject(late()));
    const timer = left < Infinity ? clock.setTimer(expire, left) : undefined;
    const unlisten = listen(wait.signals, (reason) => end(() => reject(reason)));
    let isOver = false;
    const end = (settle: () => void): void => {
      if (isOver) return;
      isOver = true;
      if (timer !== undefined) clock.clearTimer(timer);
      unlisten();
      settle();
    };
    given.then((value) => end(() => resolve(value)), (error: unknown) => end(() => reject(error)));
  });
}
