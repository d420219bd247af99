import {
  AcquireTimeoutError, type Phase, UnavailableError, type WaitReport, WarmUpError, messageOf,
} from "./errors.js";
import { describe } from "./wait-errors.js";

/** What errors need to know of where a tenant's caller waited. */
export interface Stand {
  readonly id: string;
  /** How long the caller has waited in all, in ms. */
  readonly waited: number;
  /** How many connections are lent, and how many there may be. */
  readonly inUse: number;
  readonly max: number;
  /** What to raise so that there are more. */
  readonly sizes: string;
}

const WARM = "raise acquireTimeout, or make connections ahead with warmUp";

/** Says what to do about a wait that timed out, by what it waited for. */
function advice(phase: Phase, sizes: string): string {
  if (phase === "connecting") return WARM;
  if (phase === "checking") return "see why check or reset is slow, or raise acquireTimeout";
  if (phase === "backing-off") return "see why create fails, or raise acquireTimeout";
  if (phase === "tenant-at-max") return `hold leases for less, or raise ${sizes}`;
  return `hold leases for less, or raise ${sizes} or acquireTimeout`;
}

/**
 * Tells what a pool says of itself in the words of the options that tenants have: of `max` and
 * `minIdle` they have none.
 */
export function ofTenant(error: unknown, at: (phase: Phase) => Stand): unknown {
  const isLate = error instanceof AcquireTimeoutError && error.code === "acquire_timeout";
  if (!isLate) return error;
  const { phase, place, holders, cause } = error;
  const { id, waited, inUse, max, sizes } = at(phase);
  const parts = [
    `no connection of tenant "${id}" came free in ${waited} ms (${phase})`,
    `${place} callers ahead, ${inUse} of ${max} in use`,
    ...(cause === undefined ? [] : [`create failed: ${messageOf(cause)}`]),
    advice(phase, sizes),
    ...holders.map(describe),
  ];
  const report = { phase, waited, place, holders: [...holders], cause };
  return new AcquireTimeoutError(parts.join("; "), report);
}

/** The same for a pool that could not be warmed up. */
export function warmUpOfTenant(error: unknown, id: string): unknown {
  if (!(error instanceof WarmUpError)) return error;
  const { made, errors, untried } = error;
  const own = new WarmUpError(made, errors, untried);
  own.message = `${made} connections of tenant "${id}" were made, ${errors.length} failed, `
    + `${untried} were not tried; see why create fails: its pool tries again for its callers`;
  return own;
}

/** The error of a caller whose tenant's pool was not opened in time; `standing` says why. */
export function noPool(id: string, waited: number, standing: string): AcquireTimeoutError {
  const text = `no pool for tenant "${id}" came free in ${waited} ms: ${standing}`;
  return new AcquireTimeoutError(`${text} or acquireTimeout`, reportOf("waiting", waited));
}

/** The error of a caller that waited for a tenant's first connections. */
export function notWarm(id: string, waited: number): AcquireTimeoutError {
  const text = `the first connections of tenant "${id}" were not made in ${waited} ms; see why `
    + "create is slow, or raise acquireTimeout";
  return new AcquireTimeoutError(text, reportOf("connecting", waited));
}

/** The error of a caller whose tenant is not entered for a while, as that failed too often. */
export function notEntering(id: string, left: number, cause: unknown): UnavailableError {
  const error = new UnavailableError(left, cause);
  error.message = `no connection is made ready for tenant "${id}" in the next `
    + `${Math.ceil(left)} ms; enter failed: ${messageOf(cause)}`;
  return error;
}

/** The error of a caller whose connection did not get its tenant's context in time. */
export function notEntered(id: string, waited: number): AcquireTimeoutError {
  const text = `a connection was not made ready for tenant "${id}" in ${waited} ms; see why enter `
    + "is slow, or raise acquireTimeout";
  return new AcquireTimeoutError(text, reportOf("connecting", waited));
}

function reportOf(phase: Phase, waited: number): WaitReport {
  return { phase, waited, place: 0, holders: [], cause: undefined };
}
