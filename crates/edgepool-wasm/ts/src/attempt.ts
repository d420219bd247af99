import type { BodyEnd } from "./body.js";
import { afterBreak, hold, holdOpen } from "./hold.js";
import type { Lease } from "./lease.js";

/** What an attempt has come to, as observers are told. */
export interface Reached {
  status?: number;
  headersMs?: number;
  firstByteMs?: number;
}

/** One attempt of a call, from its place to the end of its body. */
export class Attempt {
  readonly number: number;
  readonly lease: Lease<number>;
  readonly began: number;
  readonly controller = new AbortController();
  readonly reached: Reached = {};
  /** Where it is sent. */
  url = "";
  response: Response | undefined = undefined;
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined = undefined;
  /** What came of the body of an answer that may be passed on whole. */
  kept: Uint8Array[] = [];
  /** Leaves the wait for headers, where these are counted. */
  leaveWait: (() => void) | undefined = undefined;
  /** Breaks a body off that somebody else reads. */
  breakBody: ((how: BodyEnd, reason: unknown) => void) | undefined = undefined;
  isOver = false;
  /** Whether its answer was an error, after which another attempt takes its place. */
  isRefused = false;
  private readonly finish: (how: BodyEnd) => void;
  private stopHold: (() => void) | undefined = undefined;

  constructor(
    number: number, lease: Lease<number>, began: number,
    finish: (attempt: Attempt, how: BodyEnd) => void,
  ) {
    this.number = number;
    this.lease = lease;
    this.began = began;
    this.finish = (how) => finish(this, how);
  }

  /** Keeps the place alive. */
  hold(onLost: (how: BodyEnd, reason: unknown) => void): void {
    this.stopHold = hold(this.lease, undefined, onLost);
  }

  /** Leaves it to somebody else to keep the place alive. */
  handOver(): void {
    this.stopHold?.();
    this.stopHold = undefined;
  }

  gotHeaders(): void {
    this.leaveWait?.();
    this.leaveWait = undefined;
  }

  /** Ends it, as nothing of it is under way any more. */
  end(how: BodyEnd): void {
    if (this.isOver) return;
    this.isOver = true;
    this.gotHeaders();
    this.letGo(how);
  }

  /** Breaks it off; its place is free when the runtime has had a turn to close what was open. */
  break(how: BodyEnd, reason: unknown): void {
    if (this.isOver) return;
    this.isOver = true;
    this.gotHeaders();
    // What keeps its request open ends with its body, and the turn must come all the same.
    const close = this.tryHoldOpen();
    this.controller.abort(reason);
    if (this.breakBody !== undefined) this.breakBody(how, reason);
    else void this.reader?.cancel(reason).catch(() => undefined);
    if (close === undefined) return this.letGo(how);
    afterBreak(this.lease, () => {
      this.letGo(how);
      close();
    });
  }

  /** Keeps the request open; a context that refuses has no turn left either. */
  private tryHoldOpen(): (() => void) | undefined {
    try {
      return holdOpen(this.lease._scope);
    } catch {
      return undefined;
    }
  }

  private letGo(how: BodyEnd): void {
    this.stopHold?.();
    this.lease.release();
    this.finish(how);
  }
}
