import { waitedFor } from "./clock.js";
import { Answer, Effect } from "./codes.js";
import {
  AcquireTimeoutError, CreateError, type Holder, type Phase, PoolClosedError, PoolError,
  QueueFullError, TooManyError, UnavailableError, messageOf,
} from "./errors.js";
import { overdue } from "./jobs.js";
import type { Ledger } from "./ledger.js";
import type { Settings } from "./settings.js";

/** How a pool stands when a caller is refused, or its wait ends. */
export interface Standing<T> {
  readonly settings: Settings<T>;
  readonly ledger: Ledger<T>;
  readonly isPaused: boolean;
  /** What the last creation failed with, unless one succeeded since. */
  readonly lastFailure: unknown;
  holders(): Holder[];
}

/** How many holders an error names. */
const HOLDERS_TOLD = 3;
/** What to do about a wait that timed out, by what it waited for; of a tenant its pool says it. */
const ADVICE: Partial<Record<Phase, string>> = {
  waiting: "hold leases for less, or raise max or acquireTimeout",
  connecting: "raise acquireTimeout, or keep resources ready with minIdle",
  checking: "see why check or reset is slow, or raise acquireTimeout",
  "backing-off": "see why create fails, or raise acquireTimeout",
  paused: "call resume",
};

/** A wait that has ended. */
export interface Wait {
  since: number;
  place: number;
  need: number;
  /** What it waited for, where the caller's tenant decides that, and what to do about it. */
  phase?: Phase;
  advice?: string;
}

/** Says why a caller is not even queued, by what `acquire` answered. */
export function refusal<T>(
  { settings, ledger, lastFailure }: Standing<T>, answer: number, need: number, now: number,
): PoolError {
  if (answer === Answer.CLOSED) return new PoolClosedError();
  if (answer === Answer.TOO_MANY) return new TooManyError(need, settings.max);
  if (answer === Answer.UNAVAILABLE) {
    return new UnavailableError(Math.max(ledger.call("retry_at") - now, 0), lastFailure);
  }
  return new QueueFullError(settings.maxWaiting);
}

/** Says why a wait ended, by the kind of its end; `cause` tells of a creation that failed. */
export function endOfWait<T>(
  at: Standing<T>, kind: number, wait: Wait, cause: () => unknown,
): PoolError {
  switch (kind) {
    case Effect.ENDED_CLOSED: return new PoolClosedError();
    case Effect.NEEDS_TOO_MANY: return new TooManyError(wait.need, at.settings.max);
    case Effect.CREATE_FAILED: {
      const error = cause();
      return new CreateError(`create failed: ${messageOf(error)}`, error);
    }
    case Effect.CREATE_TIMED_OUT: {
      const { message } = overdue("create", at.settings.createTimeout);
      const text = `${message}; raise createTimeout if it may take so long`;
      return new CreateError(text, undefined, "create_timeout");
    }
    default: return timeout(at, kind, wait);
  }
}

function timeout<T>(
  at: Standing<T>, kind: number, { since, place, phase = phaseOf(at, place), advice }: Wait,
): AcquireTimeoutError {
  const { ledger, lastFailure } = at;
  const waited = waitedFor(ledger.now(), since);
  const holders = at.settings.trackLeases ? at.holders().slice(0, HOLDERS_TOLD) : [];
  const report = { phase, waited, place, holders, cause: lastFailure };
  if (kind === Effect.MISSED) {
    const text = "the waiter let three offers pass: its request stood still; acquire again";
    return new AcquireTimeoutError(text, report, "offer_missed");
  }
  const parts = [
    `no resource came free in ${waited} ms (${phase})`,
    `${place} callers ahead, ${ledger.gauge("inUse")} of ${ledger.gauge("max")} in use`,
    ...(lastFailure === undefined ? [] : [`create failed: ${messageOf(lastFailure)}`]),
    advice ?? ADVICE[phase],
    ...holders.map(describe),
  ];
  return new AcquireTimeoutError(parts.join("; "), report);
}

function phaseOf<T>({ ledger, isPaused }: Standing<T>, place: number): Phase {
  const [creating, checking] = [ledger.gauge("creating"), ledger.gauge("checking")];
  if (isPaused) return "paused";
  if (place < creating) return "connecting";
  if (place < creating + checking + ledger.gauge("resetting")) return "checking";
  const room = ledger.gauge("size") < ledger.gauge("max");
  return room && ledger.call("retry_at") >= 0 ? "backing-off" : "waiting";
}

/** Names who holds a resource, and where it was acquired, if that is kept. */
export function describe({ id, held, stack }: Holder): string {
  const text = `resource ${id} is held for ${Math.round(held)} ms`;
  return stack === undefined ? text : `${text}, acquired at\n${stack}`;
}
