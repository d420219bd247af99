import { type BodyEnd, bindBody, hasNoBody } from "./body.js";
import { type Clock, setBackgroundTimer, systemClock } from "./clock.js";
import { PoolError, type PoolErrorCode, messageOf } from "./errors.js";
import { afterBreak, hold } from "./hold.js";
import type { Lease, RequestScope } from "./lease.js";
import { checkNames, readFunction, wrong } from "./options.js";
import { type CloseOptions, Pool } from "./pool.js";
import {
  type ProviderKind, type ProviderOptions, type ProviderSettings, authorise, readProvider,
  resolveUrl,
} from "./provider.js";
import { refusalCode, refusalResponse } from "./refusal.js";
import { type Mode, takesOff, usualMode } from "./runtime.js";
import type { PoolOptions } from "./settings.js";
import { type PoolCounts, addCounts, countsOf } from "./stats.js";

/** What happened to a call, for an observer; durations in ms. */
export type ClientEvent =
  /** A call has a place, and is sent. */
  | { type: "acquired"; provider: string; waitMs: number }
  /** A call was refused, or failed before an answer came. */
  | { type: "refused"; provider: string; code: PoolErrorCode }
  /** A call has given its place back. */
  | {
      type: "ended";
      provider: string;
      how: BodyEnd;
      waitMs: number;
      /** How long the place was held. */
      heldMs: number;
      /** The status of the answer; missing if no headers came. */
      status?: number;
      /** From sending to the headers. */
      headersMs?: number;
      /** From sending to the first content of the body. */
      firstByteMs?: number;
    };

/**
 * A `fetch` that sends through the pool. A relative URL is taken below the provider's base. Settles
 * as `fetch` does, and rejects with a PoolError where the provider's refusals are thrown.
 */
export type PooledFetch = (
  input: string | URL | Request, init?: RequestInit & RequestScope,
) => Promise<Response>;

/** The options of a client pool. */
export interface ClientPoolOptions {
  /** The providers by name. */
  providers: Record<string, ProviderOptions>;
  /** What sends; the default is the runtime's `fetch`. */
  fetch?: (input: string | URL | Request, init?: RequestInit) => Promise<Response>;
  /** As in {@link PoolOptions}. */
  mode?: Mode;
  /** As in {@link PoolOptions}. */
  clock?: Clock;
  /**
   * How long a call keeps its place that does not renew it, as it is when its request has died.
   * Default `Infinity`; on the edge 15,000.
   */
  leaseTtl?: number;
  /** As in {@link PoolOptions}: where `leaseTtl` is `Infinity`, it needs one. */
  heartbeat?: number;
  /** Hears of each call. What it throws is dropped. */
  observer?: (event: ClientEvent) => void;
}

/** The counts of one provider. */
export interface ProviderStats extends PoolCounts {
  /** What the provider speaks. */
  kind: ProviderKind;
}

/** What `ClientPool.stats` tells. */
export interface ClientPoolStats {
  /**
   * What the limits hold for: the isolate, or the process, that this pool lives in; or a Durable
   * Object, and so all isolates that call it.
   */
  scope: "isolate" | "object";
  /** The providers by name. */
  providers: Record<string, ProviderStats>;
  /** All of them together. */
  total: PoolCounts;
}

interface Provider extends ProviderSettings {
  name: string;
  pool: Pool<number>;
}

const OPTIONS = [
  "providers", "fetch", "mode", "clock", "leaseTtl", "heartbeat", "observer",
] as const;

/**
 * Limits the calls to providers of HTTP services, each to its own number at once.
 *
 * @example
 * ```ts
 * import { ClientPool } from "edgepool/clients";
 *
 * const clients = new ClientPool({
 *   providers: { openai: { kind: "openai", baseURL: "https://api.openai.com/v1", max: 10 } },
 * });
 * const openai = new OpenAI({ apiKey, fetch: clients.fetch("openai"), maxRetries: 0 });
 * ```
 */
export class ClientPool {
  private readonly providers = new Map<string, Provider>();
  private readonly options: ClientPoolOptions;
  private readonly clock: Clock;

  /** Throws a TypeError that names the option if one is unknown, or its value is wrong. */
  constructor(options: ClientPoolOptions) {
    checkNames("ClientPool", options, OPTIONS);
    readFunction("ClientPool", "fetch", options.fetch, false);
    readFunction("ClientPool", "observer", options.observer, false);
    this.options = options;
    this.clock = options.clock ?? systemClock;
    checkNames("ClientPool: providers", options.providers, Object.keys(options.providers ?? {}));
    for (const [name, provider] of Object.entries(options.providers)) {
      if (name === "") throw wrong("ClientPool", "providers", "names that are not empty", name);
      this.providers.set(name, this.open(name, readProvider(name, provider)));
    }
  }

  private open(name: string, settings: ProviderSettings): Provider {
    const { clock } = this.options;
    const mode = this.options.mode ?? usualMode();
    const { max, maxWaiting, acquireTimeout } = settings;
    // Elsewhere no call ends unseen, and one that stands still for long may go on.
    const { leaseTtl = mode === "edge" ? 15_000 : undefined, heartbeat } = this.options;
    const life = { leaseTtl, heartbeat };
    let places = 0;
    // A place is a number: there is nothing to keep ready, to retire or to check.
    const permits: PoolOptions<number> = {
      create: () => places++, minIdle: 0, idleTimeout: Infinity, maxLifetime: Infinity,
    };
    const limits = { max, maxWaiting, acquireTimeout };
    const pool = new Pool({ ...permits, ...limits, ...life, mode, clock });
    return { ...settings, name, pool };
  }

  /** Tells whether there is a provider of that name. */
  has(name: string): boolean {
    return this.providers.has(name);
  }

  /** Lists the names of the providers. */
  names(): string[] {
    return [...this.providers.keys()];
  }

  /**
   * Returns a `fetch` that waits for a place at the provider and holds it until the body of the
   * answer has ended. Give `ctx` and `request` in its options in a Worker.
   */
  fetch(name: string): PooledFetch {
    const provider = this.providers.get(name);
    if (provider === undefined) return () => Promise.resolve(this.unknown(name));
    return (input, init) => this.send(provider, input, init ?? {});
  }

  private unknown(name: string): Response {
    this.tell({ type: "refused", provider: name, code: "unknown_provider" });
    const known = this.names().join(", ");
    const text = `no provider is named "${name}"; there are ${known}`;
    return refusalResponse("unknown_provider", text);
  }

  private async send(
    provider: Provider, input: string | URL | Request, init: RequestInit & RequestScope,
  ): Promise<Response> {
    const { ctx, request, ...rest } = init;
    const signal = rest.signal ?? (input instanceof Request ? input.signal : undefined);
    const prepared = prepare(provider, input, rest);
    let lease: Lease<number>;
    try {
      lease = await provider.pool.acquire({ ctx, request, signal: signal ?? undefined });
    } catch (error) {
      if (!(error instanceof PoolError)) throw error;
      return this.refuse(provider, refusalCode(error), error);
    }
    this.tell({ type: "acquired", provider: provider.name, waitMs: lease.waited });
    const call = new Call(provider, lease, this.clock, (event) => this.tell(event));
    try {
      return await call.run(this.options.fetch ?? defaultFetch, prepared, signal);
    } catch (error) {
      call.giveUp(error);
      if (!(error instanceof PoolError)) throw error;
      return this.refuse(provider, refusalCode(error), error);
    }
  }

  private refuse(provider: Provider, code: PoolErrorCode, error: PoolError): Response {
    this.tell({ type: "refused", provider: provider.name, code });
    if (provider.onRefusal === "throw") throw error;
    return refusalResponse(code, `provider "${provider.name}": ${error.message}`);
  }

  private tell(event: ClientEvent): void {
    try {
      this.options.observer?.(event);
    } catch {
      // A call must not fail because somebody who looks on did.
    }
  }

  /** Tells how each provider's pool stands, and all together. */
  stats(): ClientPoolStats {
    const providers: ClientPoolStats["providers"] = {};
    for (const { name, kind, pool } of this.providers.values()) {
      providers[name] = { kind, ...countsOf(pool.stats()) };
    }
    const scope = this.options.mode === "durable-object" ? "object" : "isolate";
    return { scope, providers, total: addCounts(Object.values(providers)) };
  }

  /**
   * Closes every provider's pool. Resolves when no call is under way any more, or after `deadline`
   * ms, to the number of calls that still were then.
   */
  async close(options?: CloseOptions): Promise<number> {
    const pools = [...this.providers.values()].map(({ pool }) => pool.close(options));
    return (await Promise.all(pools)).reduce((sum, left) => sum + left.length, 0);
  }
}

const defaultFetch: typeof fetch = (input, init) => globalThis.fetch(input, init);

/** What is sent, made before anything waits so that a wrong call fails at once. */
interface Prepared {
  input: string | URL | Request;
  init: RequestInit;
}

function prepare(provider: Provider, input: string | URL | Request, init: RequestInit): Prepared {
  const isRequest = input instanceof Request;
  const url = resolveUrl(provider.name, provider.base, isRequest ? input.url : String(input));
  const headers = new Headers(init.headers ?? (isRequest ? input.headers : undefined));
  const method = init.method ?? (isRequest ? input.method : "GET");
  checkMethod(method, init.body);
  const keyed = authorise(headers, provider);
  const streams = init.body instanceof ReadableStream ? { duplex: "half" } : {};
  const redirect = init.redirect ?? (isRequest ? input.redirect : undefined) ?? "follow";
  const stays = keyed && redirect === "follow" ? { redirect: "manual" as const } : {};
  return { input: isRequest ? input : url, init: { ...streams, ...init, ...stays, headers } };
}

/** Refuses what every `fetch` refuses, and most by a rejection that looks like a lost network. */
function checkMethod(method: string, body: unknown): void {
  if (/^(connect|trace|track)$/i.test(method)) {
    throw new TypeError(`fetch: the method ${method} cannot be sent`);
  }
  if (body != null && /^(get|head)$/i.test(method)) {
    throw new TypeError(`fetch: a request with the method ${method} has no body`);
  }
}

/** One call from its lease to the end of its body. */
class Call {
  private readonly provider: Provider;
  private readonly lease: Lease<number>;
  private readonly clock: Clock;
  private readonly tell: (event: ClientEvent) => void;
  private readonly start: number;
  private readonly controller = new AbortController();
  /** Whether something is to end this call, or has. */
  private ending = false;
  private readonly reached: { status?: number; headersMs?: number; firstByteMs?: number } = {};

  constructor(
    provider: Provider, lease: Lease<number>, clock: Clock, tell: (event: ClientEvent) => void,
  ) {
    this.provider = provider;
    this.lease = lease;
    this.clock = clock;
    this.tell = tell;
    this.start = clock.now();
  }

  /** Sends, and gives the answer with a body that ends the call. */
  async run(
    send: typeof fetch, prepared: Prepared, signal: AbortSignal | null | undefined,
  ): Promise<Response> {
    const response = await this.awaitHeaders(send, prepared, signal);
    if (response.type === "opaqueredirect") {
      const text = "the provider redirects, which is not followed as its key must not leave it";
      throw new PoolError("upstream_unreachable", `${text}; give the baseURL that it redirects to`);
    }
    this.reached.status = response.status;
    this.reached.headersMs = this.clock.now() - this.start;
    const { firstContentTimeout, stallTimeout } = this.provider;
    const limits = { firstContentTimeout, stallTimeout, ...(signal ? { signal } : {}) };
    const hooks = {
      finish: (how: BodyEnd) => this.end(how),
      onFirst: () => {
        this.reached.firstByteMs = this.clock.now() - this.start;
      },
      breakOff: (reason: unknown) => this.controller.abort(reason),
    };
    const headers = this.headersFor(response);
    this.ending = true;
    return bindBody(this.lease, response, hooks, limits, headers);
  }

  /** Breaks off and ends what nothing else will end, after an error that nobody foresaw. */
  giveUp(error: unknown): void {
    if (this.ending) return;
    this.ending = true;
    this.controller.abort(error);
    afterBreak(this.lease, () => this.end("error"));
  }

  private awaitHeaders(
    send: typeof fetch, prepared: Prepared, signal: AbortSignal | null | undefined,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      // Whatever settles first counts: not every `fetch` heeds its signal.
      const isFirst = once();
      const stop = this.guard(signal, (how, reason) => {
        if (!isFirst()) return;
        this.ending = true;
        this.controller.abort(reason);
        reject(reason);
        afterBreak(this.lease, () => {
          stop();
          this.end(how);
        });
      });
      this.send(send, prepared).then(
        (response) => {
          if (!isFirst()) return void response.body?.cancel().catch(() => undefined);
          stop();
          resolve(response);
        },
        (error: unknown) => {
          if (!isFirst()) return;
          stop();
          this.ending = true;
          this.end("error");
          reject(error);
        },
      );
    });
  }

  private async send(send: typeof fetch, { input, init }: Prepared): Promise<Response> {
    // What is thrown, and not rejected with, says that the call itself is wrong.
    const sending = send(input, { ...init, signal: this.controller.signal });
    try {
      return await sending;
    } catch (cause) {
      const text = `the request failed: ${messageOf(cause)}; see whether the provider runs`;
      throw new PoolError("upstream_unreachable", `${text} and its baseURL is right`, { cause });
    }
  }

  /** Watches over the wait for headers: its clock, the signals, the lease. */
  private guard(
    signal: AbortSignal | null | undefined, onBroken: (how: BodyEnd, reason: unknown) => void,
  ): () => void {
    const { headersTimeout } = this.provider;
    const stop = hold(this.lease, signal, onBroken);
    if (headersTimeout === Infinity) return stop;
    const timer = setBackgroundTimer(this.clock, () => {
      const text = `no headers came in ${headersTimeout} ms`;
      const advice = "raise headersTimeout if they take so long";
      onBroken("stall", new PoolError("upstream_timeout", `${text}; ${advice}`));
    }, headersTimeout);
    return () => {
      this.clock.clearTimer(timer);
      stop();
    };
  }

  private headersFor(response: Response): Headers {
    const headers = new Headers(response.headers);
    const coding = headers.get("content-encoding");
    if (!hasNoBody(response) && coding !== null && takesOff(coding)) {
      // `fetch` has decoded the body.
      headers.delete("content-encoding");
      headers.delete("content-length");
    }
    headers.set("x-edgepool-wait-ms", String(Math.round(this.lease.waited)));
    headers.set("x-edgepool-slot", String(this.lease.slot));
    return headers;
  }

  private end(how: BodyEnd): void {
    this.lease.release();
    const heldMs = this.clock.now() - this.start;
    const { name } = this.provider;
    const waitMs = this.lease.waited;
    this.tell({ type: "ended", provider: name, how, waitMs, heldMs, ...this.reached });
  }
}

/** Gives what is true when it is called first, and false from then on. */
function once(): () => boolean {
  let isFirst = true;
  return () => {
    const was = isFirst;
    isFirst = false;
    return was;
  };
}
