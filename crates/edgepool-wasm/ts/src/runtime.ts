/**
 * How a pool treats its callers: `process` where they live on, `edge` where a request may die at
 * any moment (Workers), `durable-object` where requests share one life and alarms outlast it.
 */
export type Mode = "process" | "edge" | "durable-object";

/** What the pool uses of the `ctx` that a Worker's handler is given. */
export interface RequestContext {
  /** Keeps the request going until a promise has settled, though its client has gone. */
  waitUntil(promise: Promise<unknown>): void;
}

interface CloudflareGlobal {
  Cloudflare?: { compatibilityFlags?: Record<string, boolean> };
}

/** Returns workerd's compatibility flags: elsewhere there are none. */
function compatibilityFlags(): Record<string, boolean> | undefined {
  return (globalThis as CloudflareGlobal).Cloudflare?.compatibilityFlags;
}

/** Tells whether this is workerd, which has a navigator only at compatibility dates from 2022. */
export function inWorkerd(): boolean {
  const named = globalThis.navigator?.userAgent === "Cloudflare-Workers";
  return named || compatibilityFlags() !== undefined;
}

/** The mode of a pool that is told none. A Durable Object is not told apart from a Worker. */
export function usualMode(): Mode {
  return inWorkerd() ? "edge" : "process";
}

/**
 * Tells whether a promise that one request settles goes on in the request that made it. In workerd
 * that is a compatibility flag; elsewhere there are no requests to mix up.
 */
export function hasDoorbell(): boolean {
  if (!inWorkerd()) return true;
  return compatibilityFlags()?.["handle_cross_request_promise_resolution"] === true;
}

/**
 * Tells whether this runtime's `fetch` has decoded a body with this `content-encoding`: gzip and
 * br everywhere, what else differs (measured, and as the fetch standard has it for browsers). Lists
 * of codings are decoded by Node and browsers alone.
 */
export function takesOff(encoding: string): boolean {
  const few = "Deno" in globalThis || inWorkerd();
  const bun = "Bun" in globalThis;
  // A browser's window and workers have this, a process has not.
  const browser = !few && !bun && globalThis.location !== undefined;
  const known = ["gzip", "br"];
  if (!few) known.push("x-gzip", "deflate");
  if (bun || browser) known.push("zstd");
  const codings = encoding.toLowerCase().split(",").map((coding) => coding.trim());
  return (codings.length === 1 || !(few || bun)) && codings.every((one) => known.includes(one));
}

/** A promise, and what settles it. */
export interface Deferred<V> {
  promise: Promise<V>;
  resolve: (value: V | PromiseLike<never>) => void;
}

/**
 * Makes a promise that another request may settle. workerd notes at its making which request a
 * promise goes on in, but optimised code makes one by `new Promise` in place, without that note:
 * what waits would go on in the other request (workerd 2026-11-17; not with V8's `--no-opt`). This
 * builtin is not made in place. Runtimes without it, as Node 20, have no requests to mix up.
 */
export function deferred<V>(): Deferred<V> {
  const { withResolvers } = Promise as { withResolvers?: <W>() => Deferred<W> };
  if (withResolvers !== undefined) return withResolvers.call(Promise) as Deferred<V>;
  let resolve: Deferred<V>["resolve"] = () => undefined;
  const promise = new Promise<V>((settle) => (resolve = settle));
  return { promise, resolve };
}

/** What does not keep alive what it gives. */
export interface Weak<V> {
  deref(): V | undefined;
}

/** Whether the runtime can hold a value weakly. */
export const holdsWeakly = typeof WeakRef === "function";

/** Holds a value weakly, where the runtime can do that. */
export function weakly<V extends object>(value: V): Weak<V> {
  return holdsWeakly ? new WeakRef(value) : { deref: () => value };
}
