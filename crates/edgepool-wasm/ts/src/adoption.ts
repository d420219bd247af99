import { Manage } from "./codes.js";
import * as core from "./core.js";
import type { Engine } from "./engine.js";
import type { CoreResetError } from "./errors.js";
import type { RunningJob } from "./jobs.js";
import type { Ledger } from "./ledger.js";
import type { Place, Places } from "./places.js";
import type { Watch } from "./workshop.js";

/**
 * Opens the pool again in a new module, and tells it of all that is out. Who waited is told. Where
 * there is none it stands without until a call can make one: no clock runs, and jobs that end are
 * taken in later.
 */
export function revive<T>(
  engine: Engine<T>, next: core.Core, error: CoreResetError, isMissing: boolean,
): void {
  engine.ledger.move(next);
  if (engine.final !== undefined) return;
  const watches = isMissing ? [] : adopt(engine, next);
  for (const settle of engine.waiters.removeAll()) settle(Promise.reject(error));
  engine.onEdge = 0;
  for (const waiter of engine.edgeWaiters.splice(0)) waiter?.end(error);
  if (isMissing) return;
  engine.restarts += 1;
  for (const watch of watches) watch({ error });
  engine.reports.teller.tell({ type: "restarted", cause: error.cause });
  // Not from within whatever met the end of the old one.
  void Promise.resolve().then(() => {
    engine.workshop.settleAgain();
    engine.drain();
  });
}

/** Brings the new ledger to where the old one was; returns who waited for what never began. */
function adopt<T>(engine: Engine<T>, next: core.Core): Watch[] {
  const { ledger, places, workshop, settings: { max } } = engine;
  const size = places.lent().length + places.unused().length + places.jobs.size;
  ledger.open(next, Math.max(max, size));
  ledger.tell("advance");
  const adopted = adoptAll(ledger, places, (job) => workshop.limitOf(job.kind));
  engine.isShrunk = size > max;
  if (size > max) ledger.tell("resize", max);
  if (engine.isPaused) ledger.tell("manage", Manage.PAUSE);
  if (engine.isClosed) ledger.tell("manage", Manage.CLOSE_POOL);
  const left = workshop.move(adopted.jobs);
  const indexes = adopted.places.map(([place, key]) =>
    [place.index, key & core.INDEX_MASK] as const);
  engine.reports.tracker?.move(new Map(indexes));
  places.move(adopted.places, adopted.jobs);
  return left;
}

/** The keys in a new module of all that an old one knew. */
interface Adopted<T> {
  places: [Place<T>, number][];
  jobs: [RunningJob<T>, number][];
}

/**
 * Tells the ledger of a new module of all that there is: leases stay good under new keys, and a job
 * that is under way has its place as a lease of its own. Changes nothing here, as that module may
 * fail at this too.
 */
function adoptAll<T>(
  ledger: Ledger<T>, places: Places<T>, limitOf: (job: RunningJob<T>) => number,
): Adopted<T> {
  const adopted: Adopted<T> = { places: [], jobs: [] };
  // What is outdated comes first, as it leaves all at once.
  for (const isOutdated of [true, false]) {
    const some = (all: Place<T>[]): Place<T>[] =>
      all.filter((place) => place.isOutdated === isOutdated);
    for (const place of some(places.lent())) {
      const key = ledger.adopt(place);
      // For as long as its holder has said last.
      if (place.ttl !== undefined) ledger.tell("renew", key, place.ttl);
      adopted.places.push([place, key]);
    }
    for (const place of some(places.unused())) {
      const key = ledger.call("adopt");
      ledger.tell(isOutdated ? "discard" : "release", key);
      adopted.places.push([place, key]);
    }
    if (isOutdated) ledger.tell("manage", Manage.INVALIDATE);
  }
  for (const job of places.jobs.values()) {
    const key = ledger.call("adopt");
    // The new module knows no time of a job, but one of leases.
    ledger.tell("renew", key, limitOf(job));
    adopted.jobs.push([job, key]);
  }
  return adopted;
}
