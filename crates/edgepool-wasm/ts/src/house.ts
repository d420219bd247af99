import type { Usage } from "./answers.js";
import type { Attempt } from "./attempt.js";
import type { BodyEnd } from "./body.js";
import type { ClientEvent, CallOrigin } from "./client-events.js";
import type { Drive, DriveEvents } from "./drive.js";
import type { Hub } from "./hub.js";
import { TICK } from "./keeper.js";

interface AlertJson {
  waiting: number;
  refused: number;
}

interface EndpointJson {
  name: string;
  breaker: "closed" | "open" | "halfOpen";
}

/** The calls of one client pool, and who hears of them. */
export class House {
  isClosed = false;
  /** Whether what is under way is to end too. */
  isForced = false;
  private readonly drives = new Set<Drive>();
  private readonly observer: ((event: ClientEvent) => void) | undefined;
  private readonly alerted = new Set<string>();
  private readonly ejected = new Set<string>();
  private readonly leavers = new Set<() => void>();

  constructor(observer: ((event: ClientEvent) => void) | undefined) {
    this.observer = observer;
  }

  /** How many calls are under way. */
  get size(): number {
    return this.drives.size;
  }

  /** Notes that a call has begun, until it is over. */
  enter(drive: Drive): void {
    this.sweep(drive);
    this.drives.add(drive);
    const since = drive.hub.now();
    drive.onOver = () => {
      this.drives.delete(drive);
      if (this.observer !== undefined) this.finished(drive, drive.hub.now() - since);
      if (this.drives.size === 0) for (const leave of this.leavers) leave();
    };
  }

  private finished(drive: Drive, totalMs: number): void {
    const failure = drive.failed === undefined ? {} : { failure: drive.failed };
    let used: { usage?: Usage } = {};
    try {
      const usage = drive.usage();
      if (usage !== undefined) used = { usage };
    } catch {
      // The module failed, with which what it knew is gone.
    }
    this.tell({ type: "finished", ...drive.told, totalMs, ...failure, ...used });
  }

  /** Forgets calls whose requests have died, of which nothing else tells. */
  private sweep({ hub: { settings } }: Drive): void {
    if (settings.mode !== "edge" || settings.leaseTtl === undefined) return;
    const before = settings.clock.now() - settings.leaseTtl;
    for (const drive of this.drives) if (drive.seen < before) this.drives.delete(drive);
  }

  tell(event: ClientEvent): void {
    try {
      this.observer?.(event);
    } catch {
      // A call must not fail because somebody who looks on did.
    }
  }

  /** What a call tells, of which `told` is known. */
  eventsOf(told: CallOrigin, hub: Hub): DriveEvents {
    return {
      acquired: (waitMs) => this.tell({ type: "acquired", ...told, waitMs }),
      sent: (attempt, isHedge) => {
        if (attempt > 0) this.tell({ type: isHedge ? "hedge" : "retry", ...told, attempt });
      },
      ended: (attempt, how) => this.ended(told, hub, attempt, how),
      stepped: () => this.lookForAlert(told.provider, hub),
    };
  }

  private ended(told: CallOrigin, hub: Hub, attempt: Attempt, how: BodyEnd): void {
    const heldMs = hub.now() - attempt.began;
    const { provider } = told;
    const { reached, url, lease: { waited: waitMs } } = attempt;
    this.tell({ type: "ended", ...told, url, how, waitMs, heldMs, ...reached });
    const isFailure = how === "error" || how === "stall" || (reached.status ?? 0) >= 500;
    if (!isFailure && this.ejected.size === 0) return;
    try {
      this.lookForEjections(provider, hub);
    } catch {
      // The module failed, of which the calls tell that are under way.
    }
  }

  private lookForAlert(provider: string, hub: Hub): void {
    if (this.observer === undefined) return;
    const text = hub.ask((protocol, service) => protocol.service_alert(service, hub.now()));
    if (this.alerted.has(provider) === (text !== "")) return;
    if (text === "") {
      this.alerted.delete(provider);
      return this.tell({ type: "alertEnded", provider });
    }
    this.alerted.add(provider);
    const { waiting, refused } = JSON.parse(text) as AlertJson;
    this.tell({ type: "alert", provider, waiting, refused });
  }

  private lookForEjections(provider: string, hub: Hub): void {
    if (this.observer === undefined) return;
    const text = hub.ask((protocol, service) => protocol.service_stats(service, hub.now()));
    const { endpoints } = JSON.parse(text) as { endpoints: EndpointJson[] };
    for (const { name: endpoint, breaker } of endpoints) {
      const key = `${provider} ${endpoint}`;
      const isOut = breaker === "open";
      if (isOut === this.ejected.has(key)) continue;
      if (isOut) this.ejected.add(key);
      else if (breaker === "closed") this.ejected.delete(key);
      else continue;
      this.tell({ type: isOut ? "ejected" : "restored", provider, endpoint });
    }
  }

  /** Has every call look whether it may go on. */
  stir(): void {
    // On the edge each does so by itself, in its own request.
    for (const drive of [...this.drives]) if (!drive.isEdge) drive.pump();
  }

  /** Resolves when no call is under way any more, or after so many ms. */
  whenEmpty(deadline: number): Promise<void> {
    const [drive] = this.drives;
    if (drive === undefined) return Promise.resolve();
    const { clock, mode } = drive.hub.settings;
    return new Promise((resolve) => {
      const end = (): void => {
        this.leavers.delete(end);
        clock.clearTimer(timer);
        resolve();
      };
      const until = clock.now() + deadline;
      // What another request tells must not go on in its place.
      const look = (): void => {
        if (this.drives.size === 0 || clock.now() >= until) return end();
        timer = clock.setTimer(look, Math.min(TICK, until - clock.now()));
      };
      let timer: unknown = mode === "edge" ? clock.setTimer(look, Math.min(TICK, deadline))
        : clock.setTimer(end, deadline);
      if (mode !== "edge") this.leavers.add(end);
    });
  }
}
