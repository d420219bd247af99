import { type Core, Home, type Instantiate, provideCore } from "./core.js";

/**
 * The exports of the module with tenants: those of the other one, and these. A tenant is a key in two
 * parts; a limit that there is not is infinite.
 */
export interface TenantCore extends Core {
  open_tenant(pool: number, now: number, weight: number, max: number, maxWaiting: number): number;
  set_share(
    pool: number, now: number, index: number, generation: number, weight: number, max: number,
    maxWaiting: number,
  ): number;
  end_waits(pool: number, now: number, index: number, generation: number): number;
  close_tenant(pool: number, now: number, index: number, generation: number): number;
  try_acquire_for(pool: number, now: number, index: number, generation: number): number;
  acquire_for(
    pool: number, now: number, index: number, generation: number, deadline: number,
    priority: number, need: number,
  ): number;
  adopt_for(pool: number, index: number, generation: number): number;
  tenant(pool: number, index: number, generation: number, which: number): number;
}

/** What `acquire_for` answers beside what `acquire` does. */
export const TENANT_QUEUE_FULL = -7;
export const UNKNOWN_TENANT = -8;

/** The kind of the effect by which a wait ends whose time is up. */
export const TIMED_OUT = 2;
/** The kind of that by which the waits of a tenant end. */
export const REMOVED = 8;

/** The figures of a tenant by their numbers; in the words of `stats()`. */
export const FIGURES = [
  "inUse", "waiting", "acquired", "released", "timedOut", "cancelled", "failed", "refused",
  "ended", "totalWait", "longestWait", "lastActive",
] as const;

let home: Home | undefined;

/**
 * Says where the module with tenants comes from. It serves the pools that need none too, unless they
 * have another.
 */
export function provideTenants(source: Instantiate): void {
  home ??= new Home(source);
  provideCore(home);
}

/**
 * Gives the home of pools with tenants, whatever else was imported before: the other module does
 * not know any.
 */
export function tenantHome(): Home {
  if (home !== undefined) return home;
  const advice = "call initTenants(module) before the first pool with tenants";
  throw new TypeError(`edgepool/slim/tenants: ${advice}`);
}
