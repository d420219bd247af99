import type { ClientEvent, ClientPoolStats } from "edgepool/clients";

import type { GatewayConfig } from "./config.js";
import { Histogram, percentiles } from "./histogram.js";
import { type Gauges, HistoryRing } from "./history.js";
import { HISTORY_SECONDS, type History, type PoolNumbers, type Stats } from "./wire.js";

/** What of the history counts as now. */
const RECENT_SECONDS = 10;

/** The codes by which the pool itself says no; the others tell of the provider. */
const REFUSALS = ["queue_full", "acquire_timeout", "pool_closed", "lease_ended"];

type Ended = Extract<ClientEvent, { type: "ended" }>;
type PoolStats = ClientPoolStats["total"];

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
    } else {
      this.ended(event);
    }
  }

  private refused(code: string): void {
    if (!REFUSALS.includes(code)) return;
    bump(this.refusals, code);
    this.ring.count("refused");
  }

  private ended(event: Ended): void {
    const { how, status, headersMs, waitMs, heldMs } = event;
    bump(this.endings, how);
    if (status !== undefined) bump(this.statuses, `${Math.floor(status / 100)}xx`);
    if (headersMs !== undefined) this.headers.add(headersMs);
    this.latency.add(waitMs + heldMs);
    this.ring.time("latency", waitMs + heldMs);
    if (how === "eof") {
      this.completed += 1;
      this.ring.count("completed");
    }
    const refusedThere = status !== undefined && (status === 429 || status >= 500);
    if (!refusedThere && ["eof", "cancel", "abort"].includes(how)) return;
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

/** Keeps what `/stats`, `/stats/history` and `/metrics` tell. It is written on events alone. */
export class Observer {
  readonly tracks = new Map<string, Track>();
  readonly total: Track;
  private readonly started: number;
  private readonly config: GatewayConfig;
  private readonly read: () => ClientPoolStats;
  private readonly runtime: string;

  constructor(config: GatewayConfig, runtime: string, read: () => ClientPoolStats) {
    this.config = config;
    this.runtime = runtime;
    this.read = read;
    this.started = Date.now();
    for (const name of Object.keys(config.providers)) {
      this.tracks.set(name, new Track(this.started));
    }
    this.total = new Track(this.started);
  }

  /** Hears of a call. */
  handle(event: ClientEvent): void {
    this.advance();
    this.tracks.get(event.provider)?.handle(event);
    this.total.handle(event);
  }

  /** Notes the levels now: somebody may have begun to wait, of which there is no event. */
  advance(): ClientPoolStats {
    const now = Date.now();
    const stats = this.read();
    for (const [name, track] of this.tracks) {
      track.advance(now, gauges(stats.providers[name] as PoolStats));
    }
    this.total.advance(now, gauges(stats.total));
    return stats;
  }

  /** Reads everything as `/stats` tells it. */
  stats(): Stats {
    const pools = this.advance();
    const now = Date.now();
    const providers: Stats["providers"] = {};
    for (const [name, track] of this.tracks) {
      const { kind, simulator } = this.config.providers[name] as GatewayConfig["providers"][string];
      const numbers = track.numbers(snakeCase(pools.providers[name] as PoolStats), now);
      providers[name] = { kind, ...(simulator ? { simulator } : {}), ...numbers };
    }
    return {
      scope: this.config.scope,
      runtime: this.runtime,
      uptime_ms: Math.max(0, now - this.started),
      providers,
      total: this.total.numbers(snakeCase(pools.total), now),
    };
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
export function snakeCase(stats: PoolStats): Record<string, number> {
  const named = Object.entries(stats).filter(([, value]) => typeof value === "number");
  return Object.fromEntries(named.map(([name, value]) => [
    name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), value as number,
  ]));
}
