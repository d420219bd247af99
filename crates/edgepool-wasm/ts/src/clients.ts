/// <reference lib="esnext.disposable" preserve="true" />
import type { ChatAnswer } from "./answers.js";
import { ChatStream } from "./chat-stream.js";
import type { ClientEvent } from "./client-events.js";
import { type ClientTenantsOptions, readClientTenants } from "./client-tenants.js";
import {
  type CallOptions, type FetchOptions, type PooledFetch, ProviderClient, readOnRefusal,
} from "./client.js";
import { type Clock, systemClock } from "./clock.js";
import { PoolError } from "./errors.js";
import { FallbackChain } from "./fallback.js";
import { House } from "./house.js";
import type { ProviderTenants } from "./hub-tenants.js";
import { type HubSettings, Opened } from "./hub.js";
import { asyncDispose } from "./lease.js";
import {
  checkNames, checkNumbers, readCount, readDuration, readFlag, readFunction, wrong,
} from "./options.js";
import type { CloseOptions } from "./pool.js";
import type { ProviderKind, ProviderOptions } from "./provider.js";
import { refusalResponse } from "./refusal.js";
import { ClientRegistry, readEnvironment, shared } from "./registry.js";
import type { ChatRequest, EmbedParameters } from "./requests.js";
import { type Mode, usualMode } from "./runtime.js";
import type { Send } from "./send.js";
import type { ServiceStats } from "./service-stats.js";
import { type PoolCounts, addCounts, countsOf } from "./stats.js";

/** Variables of an environment by their names. */
export type Environment = Record<string, string | undefined>;

/** The options of a client pool. */
export interface ClientPoolOptions {
  /** The providers by name. */
  providers: Record<string, ProviderOptions>;
  /** What every provider has that says nothing else. */
  defaults?: Partial<ProviderOptions> | undefined;
  /** Where `apiKeyEnv` looks; the default is the process's, where there is one. */
  env?: Environment | undefined;
  /** What sends; the default is the runtime's `fetch`. */
  fetch?: Send | undefined;
  /** As in `PoolOptions` of `edgepool`. */
  mode?: Mode | undefined;
  /** As in `PoolOptions` of `edgepool`. */
  clock?: Clock | undefined;
  /** Gives numbers from 0 up to 1, for back-offs and choices; the default is `Math.random`. */
  random?: (() => number) | undefined;
  /**
   * How long a call keeps its place that does not renew it, as it is when its request has died.
   * Default `Infinity`; on the edge 15,000.
   */
  leaseTtl?: number | undefined;
  /** As in `PoolOptions` of `edgepool`: where `leaseTtl` is `Infinity`, it needs one. */
  heartbeat?: number | undefined;
  /** Hears of each call. What it throws is dropped. */
  observer?: ((event: ClientEvent) => void) | undefined;
  /**
   * Who shares the places of the providers, and by which shares. Without it every tenant that a call
   * names has the weight 1, and no limits of its own.
   */
  tenants?: ClientTenantsOptions | undefined;
  /** Shares services only with client pools of the same name: it is separate on purpose. */
  name?: string | undefined;
  /** Who shares services; the default is the program's own. */
  registry?: ClientRegistry | undefined;
}

/** How one provider stands. Its counts are those of all who share its service. */
export interface ProviderStats extends PoolCounts {
  /** What the provider speaks. */
  kind: ProviderKind;
  /** Its calls, attempts and endpoints. */
  service: ServiceStats;
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
  /** All of them together; what several share counts once. */
  total: PoolCounts;
}

const OPTIONS = [
  "providers", "defaults", "env", "fetch", "mode", "clock", "random", "leaseTtl", "heartbeat",
  "observer", "tenants", "name", "registry",
] as const;

const defaultFetch: Send = (input, init) => globalThis.fetch(input, init);
const defaultRandom = (): number => Math.random();

/**
 * Providers of models and other HTTP services by name, each with its own limit of requests at once.
 * Client pools that name the same service with the same key share its limit and its queue.
 *
 * @example
 * ```ts
 * import { ClientPool } from "edgepool/clients";
 *
 * const clients = new ClientPool({
 *   providers: { openai: { kind: "openai", apiKey, model: "gpt-5.4-mini", max: 10 } },
 * });
 * const { text } = await clients.chat("openai", { messages: [{ role: "user", content: "Hi" }] });
 * const openai = new OpenAI({ apiKey, fetch: clients.fetch("openai"), maxRetries: 0 });
 * ```
 */
export class ClientPool {
  private readonly providers = new Map<string, ProviderClient>();
  /** There may be keys in them, which nobody sees who looks at this object. */
  readonly #options: ClientPoolOptions;
  private readonly settings: HubSettings;
  private readonly registry: ClientRegistry;
  private readonly house: House;

  /** Throws a TypeError that names the option if one is unknown, or its value is wrong. */
  constructor(options: ClientPoolOptions) {
    checkNames("ClientPool", options, OPTIONS);
    for (const name of ["fetch", "observer", "random"] as const) {
      readFunction("ClientPool", name, options[name], false);
    }
    checkText("ClientPool", "name", options.name);
    if (options.registry !== undefined && !(options.registry instanceof ClientRegistry)) {
      throw wrong("ClientPool", "registry", "a ClientRegistry", options.registry);
    }
    this.#options = options;
    this.registry = options.registry ?? shared;
    this.house = new House(options.observer);
    this.settings = readHubSettings(options);
    const { providers } = options;
    checkNames("ClientPool: providers", providers, Object.keys(providers ?? {}));
    try {
      for (const [name, one] of Object.entries(providers)) this.registerProvider(name, one);
    } catch (error) {
      // What it has taken in is shared, and must not count as in use.
      this.leaveAll();
      throw error;
    }
  }

  /**
   * Makes a client pool of the providers whose keys or addresses stand in the environment, under
   * the names that the official SDKs use, such as `OPENAI_API_KEY` and `OLLAMA_HOST`. Each is named
   * as its kind.
   */
  static fromEnv(
    env: Environment = processEnv(), options: Partial<ClientPoolOptions> = {},
  ): ClientPool {
    const found = readEnvironment(JSON.stringify(env)) as Record<string, ProviderOptions>;
    return new ClientPool({ env, ...options, providers: { ...found, ...options.providers } });
  }

  /**
   * Closes everything that client pools share which have no registry of their own: what waits fails
   * at once, and so do later calls. No such pool can be made any more.
   */
  static closeAll(): void {
    shared.closeAll();
  }

  /**
   * Adds a provider, or replaces the one of its name: what is under way there ends there. Throws a
   * TypeError if an option is wrong, or if the same service is in use with other limits.
   */
  registerProvider(name: string, options: ProviderOptions): void {
    if (this.house.isClosed) throw new PoolError("pool_closed", "the client pool is closed");
    if (name === "") throw wrong("ClientPool", "providers", "names that are not empty", name);
    const where = `ClientPool: provider "${name}"`;
    checkNames(where, options, Object.keys(options ?? {}));
    const merged: Record<string, unknown> = { ...this.#options.defaults };
    for (const [key, value] of Object.entries(options)) {
      if (value !== undefined) merged[key] = value;
    }
    const env = environmentFor(merged, this.#options.env ?? processEnv());
    const { pool, ...known } = merged;
    checkNumbers(where, known);
    checkText(where, "pool", pool);
    const opened = new Opened({ name, options: JSON.stringify(known), env: JSON.stringify(env) });
    const old = this.providers.get(name);
    const words = [this.#options.name, pool];
    const hub = this.registry.share(opened, this.settings, words, old?._hub);
    hub.members += 1;
    old?._hub.leave();
    this.providers.set(name, new ProviderClient(opened, hub, this.house));
    hub.attend();
  }

  /** Removes a provider, and tells whether there was one. What is under way there ends there. */
  removeProvider(name: string): boolean {
    // Closing has left all of them.
    if (!this.house.isClosed) this.providers.get(name)?._hub.leave();
    return this.providers.delete(name);
  }

  /** Tells whether there is a provider of that name. */
  hasProvider(name: string): boolean {
    return this.providers.has(name);
  }

  /** Lists the names of the providers. */
  providerNames(): string[] {
    return [...this.providers.keys()];
  }

  /**
   * Returns a client of a provider, which has it though it is replaced or removed meanwhile. Throws
   * a PoolError with code `unknown_provider`.
   */
  get(name: string): ProviderClient {
    const { _opened, _hub } = this.find(name);
    return new ProviderClient(_opened, _hub, this.house);
  }

  private find(name: string): ProviderClient {
    const provider = this.providers.get(name);
    if (provider === undefined) throw new PoolError("unknown_provider", this.unknown(name));
    return provider;
  }

  private unknown(name: string): string {
    const known = this.providerNames().join(", ");
    return `no provider is named "${name}"; there ${known === "" ? "is none yet" : `are ${known}`}`;
  }

  /**
   * Returns a `fetch` that waits for a place at the provider of that name, and holds it until the
   * body of the answer has ended. Give `ctx` and `request` in its options in a Worker.
   */
  fetch(name: string, options?: FetchOptions): PooledFetch {
    // Whoever has the name then is asked.
    this.providers.get(name)?.fetch(options);
    return async (input, init) => {
      const provider = this.providers.get(name);
      if (provider !== undefined) return await provider.fetch(options)(input, init);
      this.house.tell({ type: "refused", provider: name, code: "unknown_provider" });
      return refusalResponse("http", "unknown_provider", this.unknown(name));
    };
  }

  /**
   * Returns a `fetch` that asks providers one after the other, as `chatAny` does, until one has an
   * answer that no other would better. URLs are paths, or below the base of the first. Each of the
   * others is asked for its own model, where it has one and the body is JSON in a string; headers
   * that keys come in (`authorization`, `x-api-key`, `api-key`, `x-goog-api-key`, `cookie`) are sent
   * to the first alone, as is what may be sent only once: a body that is a stream, and to providers
   * of kind `http` a POST or PATCH. Throws a TypeError if the providers understand different
   * requests.
   */
  fetchAny(names: readonly string[], options: FetchOptions = {}): PooledFetch {
    const onRefusal = readOnRefusal("fetchAny", options);
    const chain = (): FallbackChain => this.chain(names, {}).ofOneDialect();
    chain();
    // Whoever has the names then is asked.
    return async (input, init) => await chain().fetch(input, init ?? {}, onRefusal);
  }

  /** Asks a model, and waits for the whole answer; see {@link ProviderClient.chat}. */
  async chat(name: string, request: ChatRequest, options?: CallOptions): Promise<ChatAnswer> {
    return await this.find(name).chat(request, options);
  }

  /** Asks a model for an answer in pieces; see {@link ChatStream}. */
  stream(name: string, request: ChatRequest, options?: CallOptions): ChatStream {
    return new ChatStream(async (stop) =>
      await this.find(name)._events(request, options ?? {}, stop));
  }

  /**
   * Asks providers one after the other, until one has answered. `totalTimeout` is that of all of
   * them together. Rejects as the last one did.
   */
  async chatAny(
    names: readonly string[], request: ChatRequest, options: CallOptions = {},
  ): Promise<ChatAnswer> {
    return await this.chain(names, options).run((client, own) => client.chat(request, own));
  }

  /** As `chatAny`, in pieces: once content came, no other provider is asked. */
  streamAny(
    names: readonly string[], request: ChatRequest, options: CallOptions = {},
  ): ChatStream {
    return new ChatStream(async (stop) =>
      await this.chain(names, options).run((client, own) => client._events(request, own, stop)));
  }

  /** A name that is wrong is told before anything is sent. */
  private chain(names: readonly string[], options: CallOptions): FallbackChain {
    return new FallbackChain(names.map((name) => this.find(name)), options, this.settings.clock);
  }

  /** Makes the embedding of a text, or those of several in their order. */
  embed(
    name: string, text: string, options?: CallOptions & EmbedParameters,
  ): Promise<Float32Array>;
  embed(
    name: string, texts: readonly string[], options?: CallOptions & EmbedParameters,
  ): Promise<Float32Array[]>;
  async embed(
    name: string, texts: string | readonly string[], options?: CallOptions & EmbedParameters,
  ): Promise<Float32Array | Float32Array[]> {
    return await this.find(name).embed(texts as string, options);
  }

  /** Lists a provider's models. */
  async models(name: string, options?: CallOptions): Promise<string[]> {
    return await this.find(name).models(options);
  }

  /** Tells how a provider stands, or each of them and all together. */
  stats(): ClientPoolStats;
  stats(name: string): ProviderStats;
  stats(name?: string): ClientPoolStats | ProviderStats {
    if (name !== undefined) return statsOf(this.find(name));
    const providers: ClientPoolStats["providers"] = {};
    const counted = new Map<unknown, PoolCounts>();
    for (const [name, client] of this.providers) {
      const stats = (providers[name] = statsOf(client));
      counted.set(client._hub, stats);
    }
    const scope = this.#options.mode === "durable-object" ? "object" : "isolate";
    return { scope, providers, total: addCounts([...counted.values()]) };
  }

  /**
   * Tells what tenants have and had at each provider, by its name: each of those that the options
   * name, the `top` of the others, 10 by default, and the rest together. What providers share that
   * are the same service is told of each.
   */
  tenants(top = 10): Record<string, ProviderTenants> {
    readCount("tenants", "top", top, undefined, 0, 1_000_000);
    const told = [...this.providers].map(([name, { _hub }]) => [name, _hub.tenants.report(top)]);
    return Object.fromEntries(told) as Record<string, ProviderTenants>;
  }

  /**
   * Gives up calls whose requests have died, and forgets what nobody uses, tenants among it;
   * returns how many.
   */
  cleanupStale(): number {
    const swept = this.hubs().reduce((sum, hub) => sum + hub.sweep() + hub.tenants.evict(), 0);
    return swept + this.registry.evict();
  }

  private hubs(): ProviderClient["_hub"][] {
    return [...new Set([...this.providers.values()].map(({ _hub }) => _hub))];
  }

  /** Whether `close` was called. */
  get isClosed(): boolean {
    return this.house.isClosed;
  }

  /**
   * Closes the client pool: calls that wait fail at once, and so do later ones. Those that were
   * sent go on, and so do those of others who share the services. Resolves when no call is under
   * way any more, or after `deadline` ms, to the number of calls that still were then; with `force`
   * those are broken off.
   */
  async close(options: CloseOptions = {}): Promise<number> {
    checkNames("close", options, ["deadline", "force"]);
    const deadline = readDuration("close", "deadline", options.deadline, 30_000);
    const force = readFlag("close", "force", options.force, false);
    const { house } = this;
    if (!house.isClosed) this.leaveAll();
    house.isClosed = true;
    house.stir();
    await house.whenEmpty(deadline);
    const left = house.size;
    house.isForced ||= force;
    if (force) house.stir();
    return left;
  }

  private leaveAll(): void {
    for (const { _hub } of this.providers.values()) _hub.leave();
  }

  /** @internal */
  async [asyncDispose](): Promise<void> {
    await this.close();
  }
}

export interface ClientPool {
  /** Closes it as `close()` does, at the end of a block with `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Makes embeddings of texts by a provider of a client pool. */
export class PooledEmbeddingClient {
  private readonly clients: ClientPool;
  private readonly name: string;
  private readonly options: EmbedParameters;

  /** `model` and `dimensions` are in place of the provider's own. */
  constructor(clients: ClientPool, name: string, options: EmbedParameters = {}) {
    checkNames("PooledEmbeddingClient", options, ["model", "dimensions", "extra"]);
    this.clients = clients;
    this.name = name;
    this.options = options;
  }

  /** Makes the embedding of a text. */
  async getEmbedding(text: string, options?: CallOptions): Promise<Float32Array> {
    return await this.clients.embed(this.name, text, { ...this.options, ...options });
  }

  /** Makes the embeddings of texts, in their order. */
  async getEmbeddings(texts: readonly string[], options?: CallOptions): Promise<Float32Array[]> {
    return await this.clients.embed(this.name, texts, { ...this.options, ...options });
  }
}

function statsOf({ kind, _hub }: ProviderClient): ProviderStats {
  const read = (): ServiceStats => JSON.parse(
    _hub.ask((protocol, at) => protocol.service_stats(at, _hub.now())),
  ) as ServiceStats;
  const counts = countsOf(_hub.pool.stats());
  // The queue itself knows only that they left.
  const timedOut = Math.min(_hub.timedOut, counts.cancelled);
  counts.timedOut += timedOut;
  counts.cancelled -= timedOut;
  let service: ServiceStats | undefined;
  // Whoever looks often at the counts alone need not pay for it.
  return {
    kind, ...counts,
    get service() {
      return service ??= read();
    },
  };
}

function readHubSettings(options: ClientPoolOptions): HubSettings {
  const mode = options.mode ?? usualMode();
  const { clock = systemClock, fetch = defaultFetch, random = defaultRandom, heartbeat } = options;
  // Elsewhere no call ends unseen, and one that stands still for long may go on.
  const { leaseTtl = mode === "edge" ? 15_000 : undefined } = options;
  const tenants = readClientTenants(options.tenants);
  return { mode, clock, send: fetch, random, leaseTtl, heartbeat, tenants };
}

function checkText(where: string, name: string, value: unknown): void {
  if (value === undefined || (typeof value === "string" && value !== "")) return;
  throw wrong(where, name, "a text that is not empty", value);
}

/** Only what is asked for leaves the environment. */
function environmentFor({ apiKeyEnv }: Record<string, unknown>, env: Environment): Environment {
  return typeof apiKeyEnv === "string" ? { [apiKeyEnv]: env[apiKeyEnv] } : {};
}

function processEnv(): Environment {
  return (globalThis as { process?: { env?: Environment } }).process?.env ?? {};
}
