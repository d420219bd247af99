import type { Engine } from "./engine.js";
import { WarmUpError } from "./errors.js";
import type { Failure } from "./jobs.js";
import { prepare } from "./operators.js";
import { ownPromise } from "./own-promise.js";
import { abortReason, listen } from "./signals.js";

/** How far a `warmUp` is. */
export interface WarmUpProgress {
  /** How many resources are to be made. */
  readonly wanted: number;
  /** How many were made. */
  readonly made: number;
  /** How many attempts failed. */
  readonly failed: number;
}

/** The options of a `warmUp`. */
export interface WarmUpOptions {
  /** The most creations at once. Default no limit. */
  parallel?: number | undefined;
  /** Is called after each attempt that ends. What it throws, the `warmUp` rejects with. */
  onProgress?: ((progress: WarmUpProgress) => void) | undefined;
  /** Begins no further creation and rejects with its reason; creations under way go on. */
  signal?: AbortSignal | undefined;
}

/** Makes resources ahead of need, and says how that went. */
export class WarmUp<T> {
  private made = 0;
  private readonly errors: unknown[] = [];
  private underWay = 0;
  private beginning = false;
  private resolve: ((made: number | PromiseLike<never>) => void) | undefined;
  private unlisten: () => void = () => undefined;
  private readonly wanted: number;

  constructor(
    private readonly engine: Engine<T>, target: number, private readonly options: WarmUpOptions,
  ) {
    this.wanted = Math.max(target - engine.stats().size, 0);
  }

  run(): Promise<number> {
    const { signal } = this.options;
    if (signal?.aborted) return Promise.reject(abortReason(signal));
    return ownPromise(this.engine, (resolve) => {
      this.resolve = resolve;
      this.unlisten = listen([signal], (reason) => this.end(() => Promise.reject(reason)));
      this.step();
    });
  }

  /** Begins what may be begun; with nothing under way after that, it is over. */
  private step(): void {
    if (this.beginning) return;
    this.beginning = true;
    try {
      this.beginAll();
    } catch (error) {
      // The module failed, and it is nobody's else to hear of that.
      this.end(() => Promise.reject(error));
    } finally {
      this.beginning = false;
    }
    if (this.underWay === 0) this.finish();
  }

  private beginAll(): void {
    const { parallel = Infinity } = this.options;
    while (this.resolve !== undefined && this.missing() > 0 && this.underWay < parallel) {
      if (!prepare(this.engine, (failure) => this.ended(failure))) return;
      this.underWay += 1;
      // A synchronous creation ends in here.
      this.engine.drain();
    }
  }

  private missing(): number {
    return this.wanted - this.made - this.errors.length - this.underWay;
  }

  private ended(failure: Failure | undefined): void {
    this.underWay -= 1;
    if (failure === undefined) this.made += 1;
    else this.errors.push(failure.error);
    if (this.resolve === undefined) return;
    const { wanted, made, errors } = this;
    try {
      this.options.onProgress?.({ wanted, made, failed: errors.length });
    } catch (thrown) {
      this.end(() => Promise.reject(thrown));
    }
    this.step();
  }

  private finish(): void {
    const { made, errors } = this;
    const untried = this.missing();
    const isDone = errors.length + untried === 0;
    this.end(() => (isDone ? made : Promise.reject(new WarmUpError(made, errors, untried))));
  }

  /** Settles the promise, once: a rejection that nobody has would end a process. */
  private end(result: () => number | PromiseLike<never>): void {
    const { resolve } = this;
    if (resolve === undefined) return;
    this.resolve = undefined;
    this.unlisten();
    resolve(result());
  }
}
