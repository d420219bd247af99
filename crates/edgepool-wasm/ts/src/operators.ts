import { Manage } from "./codes.js";
import * as core from "./core.js";
import type { Engine } from "./engine.js";
import { type ResourceInfo, readInfo } from "./lease.js";
import { ownPromise } from "./own-promise.js";
import { defaultMinIdle } from "./settings.js";
import type { Watch } from "./workshop.js";

// What an operator does with a pool as a whole.

/** Does what is due, and keeps the pool filled: for an alarm. */
export function maintain<T>(engine: Engine<T>): void {
  engine.timer?.alarmed();
  manage(engine, Manage.FILL);
}

/** Starts a creation that nobody waits for, and tells how it ended; returns whether it did. */
export function prepare<T>(engine: Engine<T>, onEnd: Watch): boolean {
  const begun = engine.workshop.prepare(onEnd);
  // What is overdue by now is told though nothing begins.
  if (!begun) engine.drain();
  return begun;
}

/** Changes `max`, which is at least `minIdle`; one that nobody has set follows. */
export function resize<T>(engine: Engine<T>, max: number): void {
  const { settings } = engine;
  if (settings.minIdle > max) changeMinIdle(engine, max);
  core.again(() => engine.ledger.tell("resize", max));
  settings.max = max;
  engine.isShrunk = true;
  if (!settings.minIdleIsSet) changeMinIdle(engine, defaultMinIdle(settings.mode, max));
  engine.drain();
}

/** Changes `minIdle`, which is at most `max`. */
export function setMinIdle<T>(engine: Engine<T>, minIdle: number): void {
  engine.settings.minIdleIsSet = true;
  changeMinIdle(engine, minIdle);
  manage(engine, Manage.FILL);
}

function changeMinIdle<T>(engine: Engine<T>, minIdle: number): void {
  core.again(() => engine.ledger.tell("set_min_idle", minIdle));
  engine.settings.minIdle = minIdle;
}

/** Keeps those of the idle resources that `keep` says yes to; returns how many it closed. */
export function retain<T>(
  engine: Engine<T>, keep: (resource: T, info: ResourceInfo) => boolean,
): number {
  const keys = core.again(() => takeIdle(engine));
  let thrown: { error: unknown } | undefined;
  const verdicts = keys.map((key) => {
    if (thrown !== undefined) return true;
    const place = engine.places.at(key);
    try {
      const info = readInfo((which) => engine.reports.info(place, which, key));
      return Boolean(keep(place.resource as T, info as ResourceInfo));
    } catch (error) {
      thrown = { error };
      return false;
    }
  });
  // Should the module fail at this, the next one is told of those that are not to be kept.
  keys.forEach((key, at) => {
    if (!verdicts[at]) engine.places.at(key).outdate();
  });
  core.unlessReset(() =>
    keys.forEach((key, at) => engine.ledger.tell("looked_at", key, Number(verdicts[at]))));
  engine.drain();
  if (thrown !== undefined) throw (thrown as { error: unknown }).error;
  return verdicts.filter((kept) => !kept).length;
}

function takeIdle<T>(engine: Engine<T>): number[] {
  engine.ledger.stopSparing();
  const keys: number[] = [];
  for (let key = engine.ledger.call("look_at_idle"); key >= 0;) {
    keys.push(key);
    key = engine.ledger.call("look_at_idle");
  }
  return keys;
}

/** Lends nothing that there is now to anybody else. */
export function invalidate<T>(engine: Engine<T>): void {
  engine.places.outdateAll();
  manage(engine, Manage.INVALIDATE);
}

export function setPaused<T>(engine: Engine<T>, paused: boolean): void {
  engine.isPaused = paused;
  manage(engine, paused ? Manage.PAUSE : Manage.RESUME);
}

function manage<T>(engine: Engine<T>, what: number): void {
  core.again(() => engine.ledger.tell("manage", what));
  engine.drain();
}

/** Refuses every acquire from now on, ends the waiters, closes what is idle. */
export function shut<T>(engine: Engine<T>): void {
  engine.isClosed = true;
  manage(engine, Manage.CLOSE_POOL);
}

/** Has everything closed that is still lent. */
export function revokeAll<T>(engine: Engine<T>): void {
  // A new module has them under other keys, so that all are looked at again.
  core.again(() => {
    for (const { key } of engine.places.lent()) engine.ledger.tell("discard", key);
  });
  engine.drain();
}

/** Resolves when the closed pool holds nothing any more, or after `deadline` ms. */
export function whenEmpty<T>(engine: Engine<T>, deadline: number): Promise<void> {
  if (engine.final !== undefined) return Promise.resolve();
  return ownPromise(engine, (resolve) => {
    const { clock } = engine.settings;
    let timer: unknown;
    const end = (): void => {
      engine.closers = engine.closers.filter((each) => each !== end);
      if (timer !== undefined) clock.clearTimer(timer);
      resolve();
    };
    engine.closers.push(end);
    if (deadline < Infinity) timer = clock.setTimer(end, deadline);
  });
}
