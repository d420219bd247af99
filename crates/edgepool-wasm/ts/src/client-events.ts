import type { Usage } from "./answers.js";
import type { BodyEnd } from "./body.js";
import type { PoolErrorCode } from "./errors.js";
import type { RequestLike } from "./lease.js";
import type { FailureClass } from "./provider-errors.js";

/** Whose call something happened to. */
export interface CallOrigin {
  /** The provider that it is made to. */
  provider: string;
  /** The request that it was made for, if its options name one. */
  request?: RequestLike;
  /** The id of the tenant whose call it is, if its options name one. */
  tenant?: string;
}

/** @internal Says whose call something happened to; what is not known is left out. */
export function originOf(
  provider: string, request: RequestLike | undefined, tenant: string | undefined,
): CallOrigin {
  return {
    provider, ...(request === undefined ? {} : { request }),
    ...(tenant === undefined ? {} : { tenant }),
  };
}

/** What happened to a call, for an observer; durations in ms. */
export type ClientEvent =
  /** An attempt has a place, and is sent. */
  | CallOrigin & { type: "acquired"; waitMs: number }
  /** A call was refused, or failed before an answer came. */
  | CallOrigin & { type: "refused"; code: PoolErrorCode }
  /** An attempt has given its place back. */
  | CallOrigin & {
      type: "ended";
      /** Where it was sent. */
      url: string;
      how: BodyEnd;
      waitMs: number;
      /** How long the place was held. */
      heldMs: number;
      /** The status of the answer; missing if no headers came. */
      status?: number;
      /** From sending to the headers. */
      headersMs?: number;
      /** From sending to the first content of the body. */
      firstByteMs?: number;
    }
  /** A call is over. */
  | CallOrigin & {
      type: "finished";
      /** How long all of it took, with its waits and retries. */
      totalMs: number;
      /** How it has failed, if it has. */
      failure?: FailureClass;
      /** The tokens that its answer told of, if it did; also where its caller only passes it on. */
      usage?: Usage;
    }
  /** A call is sent again; `attempt` is 1 the first time. */
  | CallOrigin & { type: "retry"; attempt: number }
  /** A second attempt is sent beside one that is slow. */
  | CallOrigin & { type: "hedge"; attempt: number }
  /** A provider has less room than its callers need: some wait for long, or were refused. */
  | { type: "alert"; provider: string; waiting: number; refused: number }
  /** It has enough again. */
  | { type: "alertEnded"; provider: string }
  /** An endpoint gets no calls for a while, as it fails. */
  | { type: "ejected"; provider: string; endpoint: string }
  /** An endpoint gets calls again. */
  | { type: "restored"; provider: string; endpoint: string };
