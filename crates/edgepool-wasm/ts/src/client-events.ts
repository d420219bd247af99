import type { BodyEnd } from "./body.js";
import type { PoolErrorCode } from "./errors.js";

/** What happened to a call, for an observer; durations in ms. */
export type ClientEvent =
  /** An attempt has a place, and is sent. */
  | { type: "acquired"; provider: string; waitMs: number }
  /** A call was refused, or failed before an answer came. */
  | { type: "refused"; provider: string; code: PoolErrorCode }
  /** An attempt has given its place back. */
  | {
      type: "ended";
      provider: string;
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
  /** A call is sent again; `attempt` is 1 the first time. */
  | { type: "retry"; provider: string; attempt: number }
  /** A second attempt is sent beside one that is slow. */
  | { type: "hedge"; provider: string; attempt: number }
  /** A provider has less room than its callers need: some wait for long, or were refused. */
  | { type: "alert"; provider: string; waiting: number; refused: number }
  /** It has enough again. */
  | { type: "alertEnded"; provider: string }
  /** An endpoint gets no calls for a while, as it fails. */
  | { type: "ejected"; provider: string; endpoint: string }
  /** An endpoint gets calls again. */
  | { type: "restored"; provider: string; endpoint: string };
