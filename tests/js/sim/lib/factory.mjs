// The factory of a simulated pool: its jobs go as the case has them, and it counts what became of
// what it made.
import { ensure } from "./world.mjs";

/** What a job fails with. */
export class SimError extends Error {
  name = "SimError";
}

/** What a pool lends. */
class Resource {
  uses = 0;
  broken = false;
  lease = undefined;
  /** `open`, then `closing`, `closed`, or `taken` by a caller. */
  state = "open";

  /** Whether the pool has shown that it has it. */
  known = false;

  constructor(id, born, request) {
    this.id = id;
    this.born = born;
    /** When it was last known to be good: made, checked, or given back. */
    this.goodAt = born;
    this.request = request;
  }

  toString() {
    return `resource ${this.id}`;
  }
}

export class Factory {
  made = [];
  failures = new Set();
  /** Jobs that never end, until the pool is gone. */
  hung = [];
  lucky = false;
  running = { creations: 0, checks: 0, resets: 0, closings: 0 };
  #begun = { creations: 0, checks: 0, resets: 0, closings: 0 };

  constructor(world, { luck, workload, choices }) {
    this.world = world;
    this.luck = luck;
    this.reentrant = workload.reentrantCalls;
    this.rng = choices.fork();
    this.looksAtSignals = this.rng.chance(500);
  }

  /** The callbacks that a pool is given. */
  options(with_) {
    const { rng } = this;
    const create = (job) => this.#create(job);
    const options = { create, close: (resource) => this.#close(resource) };
    if (with_.check) options.check = (resource, job) => this.#look("checks", resource, job);
    if (with_.reset) options.reset = (resource, job) => this.#look("resets", resource, job);
    if (rng.chance(50)) delete options.close;
    this.closes = options.close !== undefined;
    return options;
  }

  #plan(kind) {
    const number = this.#begun[kind];
    this.#begun[kind] += 1;
    this.onCall?.();
    const plan = this.lucky ? undefined : this.luck[kind][number];
    return plan ?? { how: "pass", after: 0 };
  }

  #create(job) {
    const plan = this.#plan("creations");
    this.world.note("create", plan.how, plan.after);
    return this.#run("creations", plan, job, () => this.#make(), this.#badResult(plan));
  }

  #make() {
    const number = this.made.length;
    const resource = new Resource(number, this.world.now(), this.world.current);
    const defect = this.lucky ? {} : (this.luck.defects[number] ?? {});
    resource.breaksAt = defect.at ?? Infinity;
    if (defect.after !== undefined) {
      this.world.after(defect.after, () => (resource.broken = true), undefined);
    }
    this.made.push(resource);
    this.world.note("made", resource.id);
    return resource;
  }

  /** A creation that fails may also give nothing, or what the pool has already. */
  #badResult(plan) {
    if (plan.how !== "fail" || !this.rng.chance(200)) return undefined;
    // Without `close` nobody knows what the pool has not any more.
    const isTwice = this.rng.chance(500) && this.closes;
    return () => (isTwice ? this.made.find((one) => one.state === "open" && one.known) : undefined);
  }

  #look(kind, resource, job) {
    const { state, lease, id } = resource;
    resource.known = true;
    ensure(state === "open", `${kind}: resource ${id} is ${state}`);
    ensure(lease === undefined || lease.over, `${kind}: resource ${id} is lent`);
    const plan = this.#plan(kind);
    const how = resource.broken && kind === "checks" && plan.how === "pass" ? "fail" : plan.how;
    this.world.note(kind, id, how, plan.after);
    const good = kind === "checks" ? this.rng.pick([true, undefined, 1]) : undefined;
    const bad = kind === "checks" && this.rng.chance(300) ? () => false : undefined;
    const pass = () => {
      resource.goodAt = this.world.now();
      return good;
    };
    return this.#run(kind, { ...plan, how }, job, pass, bad);
  }

  #close(resource) {
    const { lease, id } = resource;
    ensure(resource.state === "open", `close: resource ${id} is ${resource.state}`);
    ensure(lease === undefined || lease.over || lease.mayEnd(), `close: resource ${id} is lent`);
    const plan = this.#plan("closings");
    this.world.note("close", id, plan.how, plan.after);
    resource.state = "closing";
    const closed = () => (resource.state = "closed");
    return this.#run("closings", plan, undefined, closed, undefined, closed);
  }

  /** Runs a job: within the call, or later in the request that began it. */
  #run(kind, { how, after }, job, pass, badResult, always) {
    const settle = () => {
      always?.();
      if (how === "pass") return pass();
      if (badResult !== undefined) return badResult();
      throw this.#failure();
    };
    if (how !== "hang" && after === 0) {
      return this.rng.chance(500) ? settle() : new Promise((resolve) => resolve(settle()));
    }
    this.running[kind] += 1;
    return new Promise((resolve, reject) => {
      const end = (outcome) => {
        this.running[kind] -= 1;
        try {
          resolve(outcome());
        } catch (error) {
          reject(error);
        }
      };
      const event = how === "hang" ? undefined : this.world.after(after, () => end(settle));
      const { current } = this.world;
      const late = () => current?.alive !== false && resolve(this.#make());
      if (event === undefined && kind === "creations") this.hung.push(late);
      const obeys = event !== undefined && job !== undefined && this.looksAtSignals;
      if (obeys) this.#obey(job, event, end);
    });
  }

  /** Ends a job as the pool gives it up, as a `fetch` with its signal does. */
  #obey({ signal }, event, end) {
    // The pool may give it up while it is called, if that calls the pool.
    ensure(!signal.aborted || this.reentrant, "a job begins with a signal that has aborted");
    signal.addEventListener("abort", () => {
      if (!this.world.events.includes(event)) return;
      this.world.forget((one) => one === event);
      end(() => {
        throw signal.reason;
      });
    });
  }

  #failure() {
    const error = new SimError(`failure ${this.failures.size}`);
    this.failures.add(error);
    return error;
  }

  /**
   * What is not closed, but what the pool cannot have heard of: its request died, stands still, or
   * has not had its turn.
   */
  open() {
    const { time, events } = this.world;
    const late = new Set(events.filter(({ continues }) => continues).map(({ owner }) => owner));
    const goesOn = (request) =>
      request.alive && request.stalledUntil < time && !late.has(request);
    const heardOf = ({ request, known }) => known || request === undefined || goesOn(request);
    return this.made.filter((one) => one.state === "open" && heardOf(one));
  }
}
