import { useEffect, useState } from "preact/hooks";

import { type Columns, HISTORY_SECONDS, type History, type Stats } from "../wire.js";

/** What the page knows of the gateway, and when it knew it. */
export interface Live {
  stats: Stats | undefined;
  history: History | undefined;
  /** Since when the gateway has not answered; undefined while it does. */
  lostSince: number | undefined;
}

const BUSY_MS = 250;
const CALM_MS = 1_000;
const LOST_MS = 2_000;
const PATIENCE_MS = 5_000;

async function read<T>(path: string): Promise<T> {
  const response = await fetch(path, {
    cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return (await response.json()) as T;
}

/** Puts newer samples behind those that are known, of which the last may have been unfinished. */
export function merge(known: History | undefined, news: History): History {
  const kept = known ? news.start - known.start : 0;
  if (!known || kept < 0 || kept > known.length) return news;
  const length = kept + news.length;
  const drop = Math.max(0, length - HISTORY_SECONDS);
  const join = (old: Columns | undefined, next: Columns): Columns => {
    const names = Object.keys(next) as (keyof Columns)[];
    const columns = names.map((name) => {
      const before = (old?.[name] ?? Array(kept).fill(null)).slice(0, kept);
      return [name, [...before, ...next[name]].slice(drop)];
    });
    return Object.fromEntries(columns) as Columns;
  };
  const providers = Object.entries(news.providers)
    .map(([name, columns]) => [name, join(known.providers[name], columns)]);
  return {
    start: known.start + drop,
    length: length - drop,
    providers: Object.fromEntries(providers),
    total: join(known.total, news.total),
  };
}

/** Asks the gateway again and again: often while it is busy, not at all while nobody looks. */
class Poll {
  private live: Live = { stats: undefined, history: undefined, lostSince: undefined };
  private historyAt = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private stopped = false;
  private asleep = false;
  private readonly show: (live: Live) => void;

  constructor(show: (live: Live) => void) {
    this.show = show;
    document.addEventListener("visibilitychange", this.wake);
    void this.ask();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.wake);
  }

  private readonly wake = (): void => {
    if (document.hidden || !this.asleep) return;
    this.asleep = false;
    void this.ask();
  };

  private async ask(): Promise<void> {
    let pause = LOST_MS;
    try {
      this.live = { ...(await this.news()), lostSince: undefined };
      const { in_use: used = 0, waiting = 0 } = this.live.stats?.total ?? {};
      pause = used + waiting > 0 ? BUSY_MS : CALM_MS;
    } catch {
      this.live = { ...this.live, lostSince: this.live.lostSince ?? Date.now() };
    }
    if (this.stopped) return;
    this.show(this.live);
    this.timer = setTimeout(() => {
      this.asleep = document.hidden;
      if (!this.asleep) void this.ask();
    }, pause);
  }

  private async news(): Promise<Pick<Live, "stats" | "history">> {
    const stats = await read<Stats>("/stats");
    // A gateway that is younger than it was has begun anew.
    const anew = stats.uptime_ms < (this.live.stats?.uptime_ms ?? 0);
    const known = anew ? undefined : this.live.history;
    if (known && performance.now() - this.historyAt < 900) return { stats, history: known };
    const since = known ? known.start + known.length - 2 : 0;
    const history = merge(known, await read<History>(`/stats/history?since=${since}`));
    this.historyAt = performance.now();
    return { stats, history };
  }
}

/** Follows the gateway while a component is shown. */
export function useLive(): Live {
  const [live, setLive] = useState<Live>({
    stats: undefined, history: undefined, lostSince: undefined,
  });
  useEffect(() => {
    const poll = new Poll(setLive);
    return () => poll.stop();
  }, []);
  return live;
}
