import { isThenable } from "./jobs.js";
import type { Job } from "./jobs.js";
import { abortReason, findAborted, listen } from "./signals.js";
import type { Wait } from "./tenant-line.js";
import type { TenantSettings } from "./tenant-options.js";
import { timeLeft } from "./tenant-home.js";

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
 * Puts a tenant's context on a connection in its caller's own request, as long as the caller has
 * time and is there. What fails says so, and so does what `late` makes; the connection is nobody's
 * then.
 */
export async function enterAs<T>(
  settings: TenantSettings<T>, wait: Wait, begin: (job: Job) => unknown, late: () => Error,
): Promise<void> {
  const aborted = findAborted(wait.signals);
  if (aborted !== undefined) throw abortReason(aborted);
  const entering = new Entering();
  const given = begin(entering);
  if (!isThenable(given)) return;
  try {
    await within(given, settings, wait, late);
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
    const timer = left < Infinity ? clock.setTimer(() => end(() => reject(late())), left) : undefined;
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
