import type { TenantTerms } from "./client-tenants.js";
import { type Clock, setBackgroundTimer } from "./clock.js";
import { messageOf } from "./errors.js";
import { HubTenants } from "./hub-tenants.js";
import { Complained, type Protocol, ask, protocolGeneration } from "./protocol.js";
import { complaintError } from "./provider-errors.js";
import type { OnRefusal, ProviderKind } from "./provider.js";
import type { Mode } from "./runtime.js";
import type { Send } from "./send.js";
import type { PoolOptions } from "./settings.js";
import { SharedPool } from "./shared-pool.js";

/** What providers must have in common to share a service. */
export interface HubSettings {
  mode: Mode;
  clock: Clock;
  send: Send;
  random: () => number;
  leaseTtl: number | undefined;
  heartbeat: number | undefined;
  tenants: TenantTerms;
}

/** The options of a provider as the module takes them. */
export interface Given {
  name: string;
  options: string;
  env: string;
}

// What is not exported has names that are not this package's own: the module's JSON.
interface Description {
  name: string;
  kind: ProviderKind;
  dialect: string;
  needsKey: boolean;
  isLocal: boolean;
  hasKey: boolean;
  identity: string;
  /** What must be equal to share the service. */
  terms: Record<string, string>;
  max: number;
  maxWaiting: number;
  firstContentTimeout: number | null;
  stallTimeout: number | null;
  alertAfter: number;
  checks: boolean;
  onRefusal: OnRefusal;
  model: string | null;
  /** Their names are their base URLs. */
  endpoints: { name: string }[];
}

/** A provider as the module describes it. */
export type Described = Description;

interface CheckRequest {
  method: string;
  url: string;
  headers: [string, string][];
  timeout: number;
}

interface Left {
  close: (protocol: Protocol) => void;
  generation: number;
}

const collected = typeof FinalizationRegistry === "function"
  ? new FinalizationRegistry<Left>(({ close, generation }) => {
    try {
      if (generation === protocolGeneration()) ask(close);
    } catch {
      // The module failed, with which what it knew is gone.
    }
  })
  : undefined;

/** A provider in the module, which opens itself again in the next instance. */
export class Opened {
  readonly described: Described;
  /** There may be a key in it, which nobody sees who looks at this object. */
  readonly #given: Given;
  private handle: number;
  private generation: number;

  /** Throws a TypeError that names the option that is wrong. */
  constructor(given: Given) {
    this.#given = given;
    const { name, options, env } = given;
    try {
      const handle = ask((protocol) => protocol.provider_open(name, options, env));
      this.handle = handle;
      this.described = JSON.parse(ask((protocol) => protocol.provider_describe(handle)));
      this.generation = protocolGeneration();
      const close = (protocol: Protocol): void => protocol.provider_close(handle);
      collected?.register(this, { close, generation: this.generation });
    } catch (error) {
      throw error instanceof Complained ? complaintError(name, error.complaint) : error;
    }
  }

  /** Gives its handle in the present instance. */
  in(protocol: Protocol): number {
    if (this.generation !== protocolGeneration()) {
      const { name, options, env } = this.#given;
      this.generation = protocolGeneration();
      this.handle = protocol.provider_open(name, options, env);
    }
    return this.handle;
  }
}

/**
 * What all callers of one service share, whichever client pools they come by: its state in the
 * module, and the pool of places in which they queue.
 */
export class Hub {
  readonly opened: Opened;
  readonly settings: HubSettings;
  readonly pool: SharedPool<number>;
  readonly tenants: HubTenants;
  /** By how many client pools' providers it is in use. */
  members = 0;
  /** How many of those that left the queue did so as their time was up, which the call decides. */
  timedOut = 0;
  private handle: number;
  private generation: number;
  private size: number;
  private checkTimer: unknown = undefined;
  /** What has each call under way look again; on the edge they do that by themselves. */
  private readonly calls = new Set<() => void>();

  constructor(opened: Opened, settings: HubSettings) {
    this.opened = opened;
    this.settings = settings;
    const now = settings.clock.now();
    const handle = ask((protocol) => protocol.service_open(opened.in(protocol), now));
    this.handle = handle;
    this.size = ask((protocol) => protocol.service_places(handle, now));
    this.generation = protocolGeneration();
    const close = (protocol: Protocol): void => protocol.service_close(handle);
    collected?.register(this, { close, generation: this.generation });
    this.pool = new SharedPool(this.places());
    this.tenants = new HubTenants(this.pool, settings.tenants, () => this.now());
  }

  /** A place is a number: there is nothing to keep ready, to retire or to check. */
  private places(): PoolOptions<number> {
    const { mode, clock, leaseTtl, heartbeat } = this.settings;
    const { maxWaiting } = this.opened.described;
    let places = 0;
    return {
      create: () => places++,
      minIdle: 0, idleTimeout: Infinity, maxLifetime: Infinity, acquireTimeout: Infinity,
      max: this.size, maxWaiting, mode, clock, leaseTtl, heartbeat,
    };
  }

  /** Whether a client pool has it, or a call is under way. */
  get isUsed(): boolean {
    if (this.members > 0 || this.calls.size > 0) return true;
    const { inUse, waiting } = this.pool.stats();
    return inUse + waiting > 0;
  }

  now(): number {
    return this.settings.clock.now();
  }

  /** Notes that a call has left the queue as its time was up. */
  timeOut(tenant: string | undefined): void {
    this.timedOut += 1;
    if (tenant !== undefined) this.tenants.timeOut(tenant);
  }

  /** Asks the module about the service, which is opened anew where the instance was replaced. */
  ask<R>(question: (protocol: Protocol, service: number) => R): R {
    return ask((protocol) => {
      if (this.generation !== protocolGeneration()) this.reopen(protocol);
      return question(protocol, this.handle);
    });
  }

  /** What was learnt of limits is lost; that there are no more at once than `max` is the pool's. */
  private reopen(protocol: Protocol): void {
    this.generation = protocolGeneration();
    this.handle = protocol.service_open(this.opened.in(protocol), this.now());
  }

  /** Has a function called when calls may go on, until what is returned is called. */
  watch(look: () => void): () => void {
    this.calls.add(look);
    return () => this.calls.delete(look);
  }

  /** Has the pool be of the size that the service asks for. */
  resize(now: number): void {
    const places = this.ask((protocol, service) => protocol.service_places(service, now));
    if (places === this.size || places < 1) return;
    this.size = places;
    this.pool.resize(places);
  }

  /** Gives up calls whose requests have died: nothing else tells of that. */
  sweep(): number {
    const { mode, leaseTtl } = this.settings;
    if (mode !== "edge" || leaseTtl === undefined || leaseTtl === Infinity) return 0;
    const now = this.now();
    return this.ask((protocol, service) => protocol.calls_sweep(service, now - leaseTtl, now));
  }

  /** When the service may have more places without anybody's doing. */
  nextChange(): number {
    const now = this.now();
    const at = this.ask((protocol, service) => protocol.service_next_change(service, now));
    return at > now ? at : Infinity;
  }

  /** Makes the checks that are due, on addresses that cost nothing, and outside of the pool. */
  async check(): Promise<void> {
    const { random } = this.settings;
    const running: Promise<void>[] = [];
    for (;;) {
      const due = this.ask((protocol, service) =>
        protocol.service_check_due(service, random(), this.now()));
      if (due < 0) break;
      // One that fails with the module has told nothing, and the next one is due soon.
      running.push(this.checkOne(due).catch(() => undefined));
    }
    await Promise.all(running);
  }

  private async checkOne(endpoint: number): Promise<void> {
    const text = this.ask((protocol, service) => protocol.service_check_request(service, endpoint));
    const [status, message] = await probe(this.settings, JSON.parse(text) as CheckRequest);
    const now = this.now();
    this.ask((protocol, service) =>
      protocol.service_checked(service, endpoint, status, message, now));
    this.resize(now);
    for (const look of [...this.calls]) look();
  }

  /** Keeps the checks going while somebody has the service; on the edge calls make them. */
  attend(): void {
    const { mode, clock } = this.settings;
    const { checks } = this.opened.described;
    if (!checks || mode === "edge" || this.checkTimer !== undefined) return;
    const at = this.ask((protocol, service) => protocol.service_next_change(service, this.now()));
    if (at === Infinity) return;
    this.checkTimer = setBackgroundTimer(clock, () => {
      this.checkTimer = undefined;
      if (this.members === 0) return;
      const attend = (): void => this.attend();
      // The module may fail then too, and answers the second time, as it was replaced.
      void this.check().catch(() => undefined).then(attend).catch(attend).catch(() => undefined);
    }, Math.max(at - this.now(), 1));
  }

  /** Notes that a client pool's provider has it no more. */
  leave(): void {
    this.members -= 1;
    if (this.members === 0) this.rest();
  }

  /** Ends what goes on by itself. */
  rest(): void {
    this.settings.clock.clearTimer(this.checkTimer);
    this.checkTimer = undefined;
  }
}

/** Asks an endpoint whether it is alive; -1 is no answer. */
async function probe(
  { send, clock }: HubSettings, request: CheckRequest,
): Promise<[status: number, message: string]> {
  const { url, method, headers, timeout } = request;
  const stop = new AbortController();
  let timer: unknown;
  const expired = new Promise<never>((_, reject) => {
    timer = setBackgroundTimer(clock, () => {
      stop.abort();
      reject(new Error(`no answer came in ${timeout} ms`));
    }, timeout);
  });
  try {
    const init = { method, headers, redirect: "manual" as const, signal: stop.signal };
    const response = await Promise.race([send(url, init), expired]);
    await response.body?.cancel().catch(() => undefined);
    return [response.status, ""];
  } catch (error) {
    return [-1, messageOf(error)];
  } finally {
    clock.clearTimer(timer);
  }
}
