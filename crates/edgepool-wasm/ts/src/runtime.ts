/** How a pool treats its callers: `edge` where a request may die at any moment (Workers). */
export type Mode = "edge" | "process";

/** What the pool uses of the `ctx` that a Worker's handler is given. */
export interface RequestContext {
  waitUntil(promise: Promise<unknown>): void;
}

interface CloudflareGlobal {
  Cloudflare?: { compatibilityFlags?: Record<string, boolean> };
}

/** Tells whether this is workerd. */
export function inWorkerd(): boolean {
  return globalThis.navigator?.userAgent === "Cloudflare-Workers";
}

/**
 * Tells whether a promise that one request settles goes on in the request that made it. In workerd
 * that is a compatibility flag; elsewhere there are no requests to mix up.
 */
export function hasDoorbell(): boolean {
  if (!inWorkerd()) return true;
  const flags = (globalThis as CloudflareGlobal).Cloudflare?.compatibilityFlags;
  return flags?.["handle_cross_request_promise_resolution"] === true;
}
