import type { ClientEvent, FailureClass, ProviderTenants } from "edgepool/clients";

import type { GatewayConfig, ProviderConfig } from "./config.js";
import { Conventions, type Operation } from "./conventions.js";
import { Histogram, percentiles } from "./histogram.js";
import { type Gauges, HistoryRing } from "./history.js";
import type { PoolsStats } from "./pools.js";
import type { ServiceTold } from "./service-metrics.js";
import { serviceNumbers } from "./service.js";
import { TenantBook } from "./tenant-book.js";
import type { Rejections } from "./tenants.js";
import {
  HISTORY_SECONDS, type History, type PoolNumbers, type Stats, type TenantsStats,
} from "./wire.js";

/** What of the history counts as now. */
const RECENT_SECONDS = 10;

/** The codes by which the pool itself says no; the others tell of the provider. */
const REFUSALS = ["queue_full", "acquire_timeout", "pool_closed", "lease_ended"];

/** The failures that are answers of the provider's, passed on to their end. */
const ANSWERS: readonly FailureClass[] = [
  "rate_limited", "overloaded", "quota_exhausted", "server", "unauthorised", "not_found", "invalid",
];

/** Those that are nobody's fault but the caller's, or are refusals, which count by themselves. */
const NO_ERRORS: readonly FailureClass[] = [
  "unauthorised", "not_found", "invalid", "timeout_acquire", "refused", "cancelled",
];

type Ended = Extract<ClientEvent, { type: "ended" }>;
type Finished = Extract<ClientEvent, { type: "finished" }>;
type PoolStats = PoolsStats["total"];

/** What the gateway knows of a call while it is under way. */
export interface ObservedCall {
  /** Who was asked last: a route begins with its own name. */
  provider: string;
  method: string;
  /** What it asks of a model. */
  operation: Operation | undefined;
  /** Whether its answer comes in pieces. */
  isStream: boolean;
  /** How many attempts were sent so far. */
  attempts: number;
  /** When it had content, and when it began, once it has ended well; by one clock. */
  contentAt?: number;
  beganAt?: number;
}

/** What is known of one provider's calls, or of all. */
export class Track {
  readonly wait = new Histogram();
  readonly headers = new Histogram();
  readonly latency = new Histogram();
  readonly endings: Record<string, number> = {};
  readonly refusals: Record<string, number> = {};
  /** Answers by the class of their status, such as `2xx`. */
  readonly statuses: Record<string, number> = {};
  completed = 0;
  errors = 0;
  private readonly ring: HistoryRing;
  private waitingSince: number | undefined;

  constructor(now: number) {
    this.ring = new HistoryRing(Math.floor(now / 1_000));
  }

  /** Moves the history on, and notes the levels. */
  advance(now: number, gauges: Gauges): void {
    this.ring.advance(Math.floor(now / 1_000), gauges);
    if (gauges.waiting === 0) this.waitingSince = undefined;
    else this.waitingSince ??= now;
  }

  handle(event: ClientEvent): void {
    if (event.type === "acquired") {
      this.wait.add(event.waitMs);
      this.ring.time("wait", event.waitMs);
    } else if (event.type === "refused") {
      this.refused(event.code);
    } else if (event.type === "ended") {
      this.ended(event);
    } else if (event.type === "finished") {
      this.finished(event);
    }
  }

  private refused(code: string): void {
    if (!REFUSALS.includes(code)) return;
    bump(this.refusals, code);
    this.ring.count("refused");
  }

  private ended({ how, status, headersMs }: Ended): void {
    bump(this.endings, how);
    if (status !== undefined) bump(this.statuses, `${Math.floor(status / 100)}xx`);
    if (headersMs !== undefined) this.headers.add(headersMs);
  }

  private finished({ failure, totalMs }: Finished): void {
    const isAnswer = failure === undefined || ANSWERS.includes(failure);
    if (failure !== "refused" && failure !== "timeout_acquire") {
      this.latency.add(totalMs);
      this.ring.time("latency", totalMs);
    }
    if (isAnswer) {
      this.completed += 1;
      this.ring.count("completed");
    }
    if (failure === undefined || NO_ERRORS.includes(failure)) return;
    this.errors += 1;
    this.ring.count("errors");
  }

  /** Adds to the pool's own numbers what was observed. */
  numbers(pool: Record<string, unknown>, now: number): PoolNumbers {
    const over = (seconds: number) => ({
      wait_ms: this.ring.percentiles("wait", seconds),
      latency_ms: this.ring.percentiles("latency", seconds),
    });
    return {
      ...(pool as { in_use: number; idle: number; waiting: number; size: number; max: number }),
      completed: this.completed,
      errors: this.errors,
      refusals: this.refusals,
      endings: this.endings,
      ...over(HISTORY_SECONDS),
      headers_ms: percentiles(this.headers.counts),
      recent: over(RECENT_SECONDS),
      queue_age_ms: this.waitingSince === undefined ? 0 : Math.max(0, now - this.waitingSince),
      refused_last_minute: this.ring.sum("refused", 60),
    };
  }

  start(since: number): number {
    return this.ring.start(since);
  }

  columns(since: number) {
    return this.ring.columns(since);
  }
}

function bump(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}

/** What the pools tell when they are asked. */
export interface Told {
  stats(): PoolsStats;
  /** The tenants of each provider. */
  tenants(): Record<string, ProviderTenants>;
}

/** Keeps what `/stats`, `/stats/history` and `/metrics` tell. It is written on events alone. */
export class Observer {
  readonly tracks = new Map<string, Track>();
  readonly total: Track;
  readonly conventions = new Conventions();
  private readonly calls = new WeakMap<object, ObservedCall>();
  private readonly started: number;
  private readonly config: GatewayConfig;
  private readonly pools: Told;
  private readonly runtime: string;
  private readonly rejections: Readonly<Rejections> | undefined;
  /** By provider. */
  private readonly books = new Map<string, TenantBook>();

  constructor(
    config: GatewayConfig, runtime: string, pools: Told, rejections?: Readonly<Rejections>,
  ) {
    this.config = config;
    this.rejections = rejections;
    this.runtime = runtime;
    this.pools = pools;
    this.started = Date.now();
    for (const name of Object.keys(config.providers)) {
      this.tracks.set(name, new Track(this.started));
      this.books.set(name, new TenantBook());
    }
    this.total = new Track(this.started);
  }

  /** Notes whose call it is that is made for a request. */
  begin(request: Request, call: ObservedCall): void {
    this.calls.set(request, call);
  }

  /** Hears of a call. */
  handle(event: ClientEvent): void {
    this.advance();
    this.tracks.get(event.provider)?.handle(event);
    this.total.handle(event);
    const call = "request" in event ? this.calls.get(event.request as object) : undefined;
    if (call === undefined) return;
    if (event.type === "acquired" || event.type === "refused") call.provider = event.provider;
    if (event.type === "acquired") call.attempts += 1;
    if (event.type === "ended") this.attemptEnded(call, event);
    if (event.type === "finished") this.callEnded(call, event);
  }

  private attemptEnded(call: ObservedCall, event: Ended): void {
    const { provider, url, how, status, headersMs, heldMs, firstByteMs } = event;
    // What came in one piece has its first content with its end.
    const first = firstByteMs ?? (how === "eof" ? heldMs : undefined);
    if (first !== undefined) call.contentAt = performance.now() - heldMs + first;
    this.streamBegun(call);
    const failed = status === undefined || status >= 400;
    this.conventions.request({
      provider, method: call.method, url, status,
      ms: headersMs ?? heldMs,
      error: failed ? String(status ?? how) : undefined,
    });
  }

  private callEnded(call: ObservedCall, { provider, totalMs, failure, usage }: Finished): void {
    const { operation } = call;
    if (operation === undefined) return;
    const { kind } = this.config.providers[provider] as ProviderConfig;
    const end = { provider, kind, operation, ms: totalMs, error: failure };
    this.conventions.operation(end);
    if (usage !== undefined) this.conventions.used(end, usage);
    if (failure === undefined) call.beganAt = performance.now() - totalMs;
    this.streamBegun(call);
  }

  /** Counts how long a stream's content took. Its attempt may end before its call, or after. */
  private streamBegun(call: ObservedCall): void {
    const { provider, operation, isStream, contentAt, beganAt } = call;
    if (operation === undefined || !isStream) return;
    if (contentAt === undefined || beganAt === undefined) return;
    delete call.beganAt;
    const { kind } = this.config.providers[provider] as ProviderConfig;
    this.conventions.firstChunk({ provider, kind, operation, ms: contentAt - beganAt });
  }

  /** Notes the levels now: somebody may have begun to wait, of which there is no event. */
  advance(): PoolsStats {
    const now = Date.now();
    const stats = this.pools.stats();
    for (const [name, track] of this.tracks) {
      track.advance(now, gauges(stats.providers[name] as PoolStats));
    }
    this.total.advance(now, gauges(stats.total));
    return stats;
  }

  /** The time by the pools' own clock. */
  private get poolTime(): number {
    return this.runtime === "workerd" ? Date.now() : performance.now();
  }

  /** Reads everything as `/stats` tells it. */
  stats(): Stats {
    const pools = this.advance();
    const now = Date.now();
    const providers: Stats["providers"] = {};
    for (const [name, track] of this.tracks) {
      const { kind, simulator, model } = this.config.providers[name] as ProviderConfig;
      const pool = pools.providers[name] as PoolsStats["providers"][string];
      providers[name] = {
        kind, ...(simulator ? { simulator } : {}), ...(model === undefined ? {} : { model }),
        ...track.numbers(snakeCase(pool), now),
        service: serviceNumbers(pool.service, this.poolTime),
      };
    }
    return {
      scope: this.config.scope,
      runtime: this.runtime,
      uptime_ms: Math.max(0, now - this.started),
      providers,
      total: this.total.numbers(snakeCase(pools.total), now),
      ...this.tenants(),
    };
  }

  private tenants(): { tenants?: TenantsStats } {
    const by = this.config.tenants?.by;
    const { rejections } = this;
    if (by === undefined || rejections === undefined) return {};
    const told = this.pools.tenants();
    const books = [...this.books].map(([name, book]) =>
      [name, book.read(told[name] as ProviderTenants, this.poolTime)] as const);
    const how = typeof by === "object" ? { by: "header" as const, header: by.header } : { by };
    return { tenants: { ...how, rejections, providers: Object.fromEntries(books) } };
  }

  /** Pairs what `/stats` tells of each provider with the histograms that it leaves out. */
  services({ providers }: Stats): ServiceTold[] {
    const pools = this.pools.stats();
    return Object.entries(providers).map(([name, { service: numbers }]) => {
      const { service: stats } = pools.providers[name] as PoolsStats["providers"][string];
      return { name, stats, numbers };
    });
  }

  /** Reads the samples from a second on (seconds since 1970). */
  history(since: number): History {
    this.advance();
    const tracks = [...this.tracks].map(([name, track]) => [name, track.columns(since)] as const);
    const total = this.total.columns(since);
    const start = this.total.start(since);
    return { start, length: total.in_use.length, providers: Object.fromEntries(tracks), total };
  }
}

function gauges({ inUse, waiting }: PoolStats): Gauges {
  return { inUse: inUse as number, waiting: waiting as number };
}

/** Writes `timedOut` as `timed_out`, and leaves out what is no number. */
export function snakeCase(stats: object): Record<string, number> {
  const named = Object.entries(stats).filter(([, value]) => typeof value === "number");
  return Object.fromEntries(named.map(([name, value]) => [
    name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), value as number,
  ]));
}
