/// <reference lib="esnext.disposable" preserve="true" />
import { type BindOptions, type BodyEnd, bindBody } from "./body.js";
import { Info } from "./codes.js";
import type { Engine } from "./engine.js";
import { type PoolError, leaseEnded } from "./errors.js";
import { hold } from "./hold.js";
import { discard, giveBack, renew, take } from "./holders.js";
import { isThenable } from "./jobs.js";
import { checkNames, checkSignal, readDuration } from "./options.js";
import { ownPromise } from "./own-promise.js";
import type { Place } from "./places.js";
import type { RequestContext } from "./runtime.js";

/** What the pool uses of a Request. */
export interface RequestLike {
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal;
}

/** The request that a lease or a waiter belongs to. */
export interface RequestScope {
  /** Kept alive with `waitUntil`, so that clean-up runs when the client has gone. */
  ctx?: RequestContext | undefined;
  /** The request, of which the pool uses its `signal`: it ends the wait, and a bound body. */
  request?: RequestLike | undefined;
}

// Some runtimes that run this package do not know the symbols yet, so that the classes have their
// methods under these, and the types under the real ones.
/** @internal */
export const dispose: typeof Symbol.dispose = (Symbol.dispose ??
  Symbol.for("Symbol.dispose")) as typeof Symbol.dispose;
/** @internal */
export const asyncDispose: typeof Symbol.asyncDispose = (Symbol.asyncDispose ??
  Symbol.for("Symbol.asyncDispose")) as typeof Symbol.asyncDispose;

/** What is known of a resource; times in ms on the pool's clock. */
export interface ResourceInfo {
  /** Its number, in the order in which creations began, from 1; never used again. */
  readonly id: number;
  /** When it was made. */
  readonly createdAt: number;
  /** How often it was lent, this time included. */
  readonly uses: number;
  /** When it came back last, if it did; to a second, if an option is on that needs the clock. */
  readonly lastUsed: number | undefined;
  /** How long its present or last holder waited for it. */
  readonly waited: number;
}

/** @internal */
export function readInfo(read: (which: number) => number | undefined): ResourceInfo | undefined {
  const id = read(Info.ID);
  if (id === undefined) return undefined;
  const [createdAt = 0, uses = 0] = [read(Info.BORN), read(Info.USES)];
  return { id, createdAt, uses, lastUsed: read(Info.LAST_USED), waited: read(Info.WAITED) ?? 0 };
}

/**
 * What a caller holds from acquire to release. A lease ends once: to end it again, or after its
 * time to live, does nothing but count in `stats().stale`; `take` throws then.
 *
 * @example
 * ```ts
 * using lease = await pool.acquire();
 * await lease.value.query("select 1");
 * ```
 */
export class Lease<T> {
  /** The pool's resource. Leave it alone after the lease has ended. */
  readonly value: T;
  /** How long the acquire waited, in whole ms. */
  readonly waited: number;
  /** @internal */
  readonly _engine: Engine<T>;
  /** @internal */
  readonly _place: Place<T>;
  /** @internal Which of its place's loans it is; none once its holder has ended it. */
  _tenure: number;
  /** @internal */
  readonly _scope: RequestScope | undefined;

  private constructor(
    engine: Engine<T>, place: Place<T>, waited: number, scope: RequestScope | undefined,
  ) {
    this.value = place.resource as T;
    this.waited = waited;
    this._engine = engine;
    this._place = place;
    this._tenure = place.tenure;
    this._scope = scope;
  }

  /** @internal Whether its holder has ended it. */
  get _isOver(): boolean {
    return this._tenure < 0;
  }

  /** Tells the place in the pool, from 0 up. Places are used again. */
  get slot(): number {
    return this._place.index;
  }

  /**
   * Tells what is known of the resource. Throws a PoolError with code `lease_ended` if the lease
   * has ended.
   */
  get info(): ResourceInfo {
    const info = readInfo((which) => this._engine.infoOf(this, which));
    if (info === undefined) throw leaseEnded("info");
    return { ...info, waited: this.waited };
  }

  /**
   * Gives the resource back, for the next caller, after its `reset` if the pool has one. Returns
   * false if the lease had ended.
   */
  release(): boolean {
    return this._place.spares.takeBack(this) || this._engine.release(this);
  }

  /**
   * Has the resource closed, as it is damaged; `error` is told with the `leaves` event. Returns
   * false if the lease had ended.
   */
  discard(error?: unknown): boolean {
    return discard(this, error);
  }

  /**
   * Takes the resource out of the pool for good: its place is free, and closing it is up to the
   * caller. Throws a PoolError with code `lease_ended` if the lease had ended.
   */
  take(): T {
    take(this);
    return this.value;
  }

  /**
   * Lets the lease live for `ttl` ms from now, by default for the pool's `leaseTtl`; `Infinity` is
   * for ever. Returns false if the lease had ended.
   */
  renew(ttl?: number): boolean {
    const { leaseTtl } = this._engine.settings;
    return renew(this, readDuration("renew", "ttl", ttl, leaseTtl, 1));
  }

  /**
   * Returns a Response with the same body that holds this lease until the body ends: released at
   * its end, discarded if it is cancelled, aborted, broken or stalled. Given the promise of a
   * Response it holds the lease from now on, and discards it if the promise rejects.
   *
   * A Response without a body ends the lease at once. So does an upgrade (101), as nothing is heard
   * of its socket: who limits sockets releases by hand, when one has closed. What `fetch` has decoded
   * claims no encoding any more, but in Workers, where it is encoded again as it is sent.
   *
   * Discards the lease and throws (or rejects with) a PoolError with code `upstream_unreachable`
   * if the Response cannot be passed on, as its body is locked or was read; and with code
   * `lease_ended`, the body cancelled, if the lease has ended.
   */
  bind(response: Response, options?: BindOptions): Response;
  bind(response: PromiseLike<Response>, options?: BindOptions): Promise<Response>;
  bind(
    response: Response | PromiseLike<Response>, options?: BindOptions,
  ): Response | Promise<Response> {
    if (isThenable(response)) return this.bindLater(response, options);
    readBind(options);
    const ended = this.whetherEnded();
    if (ended !== undefined) {
      void response.body?.cancel().catch(() => undefined);
      throw ended;
    }
    const finish = (how: BodyEnd): void => {
      if (how === "eof") this.release();
      else this.discard();
    };
    return bindBody(this, response, { finish }, options);
  }

  /** The error of a lease that has ended, with which a body would be bound to nothing. */
  private whetherEnded(): PoolError | undefined {
    if (this._engine.infoOf(this, Info.ID) !== undefined) return undefined;
    return leaseEnded("bind");
  }

  private bindLater(coming: PromiseLike<Response>, options?: BindOptions): Promise<Response> {
    return new Promise((resolve, reject) => {
      let waiting = true;
      const fail = (reason: unknown): void => {
        if (!waiting) return;
        waiting = false;
        stop();
        this.discard();
        reject(reason);
      };
      let stop: () => void = () => undefined;
      try {
        readBind(options);
        const ended = this.whetherEnded();
        if (ended !== undefined) throw ended;
        stop = hold(this, options?.signal, (_why, reason) => fail(reason));
      } catch (error) {
        fail(error);
      }
      coming.then((response) => {
        if (!waiting) return void response?.body?.cancel().catch(() => undefined);
        waiting = false;
        try {
          resolve(this.bind(response, options));
        } catch (error) {
          // What could not be bound has been discarded.
          reject(error);
        } finally {
          stop();
        }
      }, fail);
    });
  }

  /** @internal */
  [dispose](): void {
    this.release();
  }

  /** @internal */
  [asyncDispose](): Promise<void> {
    const given = giveBack(this);
    if (typeof given === "boolean") return Promise.resolve();
    return ownPromise(this._engine, (resolve) => given.whenOver(resolve));
  }
}

export interface Lease<T> {
  /** Releases the lease, at the end of a block with `using`. */
  [Symbol.dispose](): void;
  /**
   * Releases the lease, at the end of a block with `await using`, and waits for the `reset`. A
   * reset that fails is not thrown: the resource is closed, and a `resetFailed` event tells why.
   */
  [Symbol.asyncDispose](): Promise<void>;
}

function readBind(options: BindOptions | undefined): void {
  if (options === undefined) return;
  checkNames("bind", options, ["firstContentTimeout", "stallTimeout", "signal"]);
  readDuration("bind", "firstContentTimeout", options.firstContentTimeout, 0, 1);
  readDuration("bind", "stallTimeout", options.stallTimeout, 0, 1);
  checkSignal("bind", options.signal);
}

type MakeLease = new <T>(
  engine: Engine<T>, place: Place<T>, waited: number, scope: RequestScope | undefined,
) => Lease<T>;

/** @internal Only a pool makes leases. */
export const OwnLease = Lease as unknown as MakeLease;
