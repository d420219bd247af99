import { Manage } from "./codes.js";
import type { RunningJob } from "./jobs.js";
import type { Ledger } from "./ledger.js";
import type { Place, Places } from "./places.js";

/** The keys in a new module of all that an old one knew. */
export interface Adopted<T> {
  places: [Place<T>, number][];
  jobs: [RunningJob<T>, number][];
}

/**
 * Tells the ledger of a new module of all that there is: leases stay good under new keys, and a job
 * that is under way has its place as a lease of its own. Changes nothing here, as that module may
 * fail at this too.
 */
export function adoptAll<T>(
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
