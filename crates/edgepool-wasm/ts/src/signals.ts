import { AbortError } from "./errors.js";

/** Tells the reason of an aborted signal; some runtimes leave it undefined. */
export function abortReason(signal: AbortSignal): unknown {
  return signal.reason ?? new AbortError();
}

/**
 * Tells of the first of the signals that aborts, and returns what takes the listeners off. One that
 * cannot be listened to counts as aborted, with what it throws.
 */
export function listen(
  signals: readonly (AbortSignal | null | undefined)[], onAbort: (reason: unknown) => void,
): () => void {
  const undo: (() => void)[] = [];
  for (const signal of signals) {
    if (signal == null) continue;
    const listener = (): void => onAbort(abortReason(signal));
    try {
      signal.addEventListener("abort", listener, { once: true });
      undo.push(() => {
        try {
          signal.removeEventListener("abort", listener);
        } catch {
          // It is not listened to any more, whatever it says.
        }
      });
    } catch (error) {
      // Told later: the caller has not yet what would stop it.
      queueMicrotask(() => onAbort(error));
    }
  }
  return () => {
    for (const stop of undo) stop();
  };
}

/** Finds the signal that has aborted already, if one has. */
export function findAborted(
  signals: readonly (AbortSignal | null | undefined)[],
): AbortSignal | undefined {
  return signals.find((signal) => signal?.aborted) ?? undefined;
}

/** Tells whether a value can be listened to as an AbortSignal can. */
export function isSignal(value: unknown): value is AbortSignal {
  return typeof (value as AbortSignal | undefined)?.addEventListener === "function";
}
