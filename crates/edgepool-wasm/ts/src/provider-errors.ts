import { PoolError, type PoolErrorCode } from "./errors.js";

/** What kind of failure it is, by what is to be done about it. */
export type FailureClass =
  /** The provider asks to wait (429), or its limits as they are known say so. */
  | "rate_limited"
  /** The provider has more to do than it can (503, 529). */
  | "overloaded"
  /** What was paid for is used up. */
  | "quota_exhausted"
  /** Something else broke at the provider. */
  | "server"
  /** No place came in time. */
  | "timeout_acquire"
  /** No headers came in time. */
  | "timeout_headers"
  /** No content came in time. */
  | "timeout_first_content"
  /** The content stood still for too long. */
  | "timeout_between_content"
  /** All of it took too long, with its retries. */
  | "timeout_total"
  /** The connection could not be made, or was lost. */
  | "network"
  /** The key is wrong, or may not do this. */
  | "unauthorised"
  /** The model or the path does not exist. */
  | "not_found"
  /** The request is wrong. */
  | "invalid"
  /** A stream ended without the end that its protocol has. */
  | "truncated"
  /** The answer is not what the protocol says, such as HTML where JSON should be. */
  | "malformed"
  /** The answer is larger than may be kept. */
  | "too_large"
  /** The pool itself refused the call. */
  | "refused"
  /** The caller gave up. */
  | "cancelled";

// What is not exported has names that are not this package's own: the module's JSON.
interface ToldMistake {
  kind: "option" | "request";
  option: string;
  accepted: string;
  message: string;
}

interface ToldFailure {
  kind?: "failure";
  class: FailureClass;
  status?: number;
  code?: string;
  message: string;
  /** The message with what to do. */
  text: string;
  retryAfter?: number;
  requestId?: string;
  retryable: boolean;
  /** Whether another provider may do better, and be asked: not where it may be sent only once. */
  fallsBack: boolean;
  /** The code of the refusal that it stands for, where the provider has not answered. */
  reason?: PoolErrorCode;
  /** Whose answer it is, or -1. */
  attempt: number;
}

/** @internal What the module says of an option or a request that is wrong. */
export type Mistake = ToldMistake;

/** @internal A failure as the module tells it. */
export type JsonFailure = ToldFailure;

/** The codes of classes; what the provider itself has answered has a code of its own. */
const CODES: Partial<Record<FailureClass, PoolErrorCode>> = {
  timeout_acquire: "acquire_timeout",
  timeout_headers: "upstream_timeout",
  timeout_first_content: "body_stalled",
  timeout_between_content: "body_stalled",
  timeout_total: "upstream_timeout",
  network: "upstream_unreachable",
  cancelled: "aborted",
};

/** What a ProviderError is made of. */
export interface ProviderFailure {
  /** See {@link ProviderError}. */
  class: FailureClass;
  /** See {@link ProviderError}. */
  provider: string;
  /** See {@link ProviderError}. */
  status: number | undefined;
  /** See {@link ProviderError}. */
  providerCode: string | undefined;
  /** See {@link ProviderError}. */
  retryAfter: number | undefined;
  /** See {@link ProviderError}. */
  requestId: string | undefined;
  /** See {@link ProviderError}. */
  retryable: boolean;
  /** See {@link ProviderError}. */
  fallsBack: boolean;
}

/**
 * A call to a provider failed; nothing of it is under way any more. `class` says in which way, and
 * `cause` what was thrown, if something was.
 */
export class ProviderError extends PoolError {
  /** What kind of failure it is. Each of the five clocks has its own. */
  readonly class: FailureClass;
  /** The provider's name. */
  readonly provider: string;
  /** The status of the answer, if headers came. */
  readonly status: number | undefined;
  /** The provider's own code or type of the error. */
  readonly providerCode: string | undefined;
  /** How long the provider asks to wait, in ms. */
  readonly retryAfter: number | undefined;
  /** The provider's number for the request. */
  readonly requestId: string | undefined;
  /** Whether the same call may succeed later. */
  readonly retryable: boolean;
  /** Whether another provider may do better, and be asked: not where it may be sent only once. */
  readonly fallsBack: boolean;
  /** @internal The message without what to do. */
  _plain = "";

  constructor(
    code: PoolErrorCode, message: string, failure: ProviderFailure, options?: ErrorOptions,
  ) {
    super(code, message, options);
    this.name = "ProviderError";
    this.class = failure.class;
    this.provider = failure.provider;
    this.status = failure.status;
    this.providerCode = failure.providerCode;
    this.retryAfter = failure.retryAfter;
    this.requestId = failure.requestId;
    this.retryable = failure.retryable;
    this.fallsBack = failure.fallsBack;
  }
}

/** A stream ended without the end that its protocol has: what came of the answer is not all. */
export class TruncatedStreamError extends ProviderError {
  constructor(
    code: PoolErrorCode, message: string, failure: ProviderFailure, options?: ErrorOptions,
  ) {
    super(code, message, failure, options);
    this.name = "TruncatedStreamError";
  }
}

/** The options that set the clocks, by the names that the module has for these. */
const CLOCKS: Record<string, string> = {
  acquire: "acquireTimeout", headers: "headersTimeout", first_content: "firstContentTimeout",
  between_content: "stallTimeout", total: "totalTimeout",
};

/** Names the options as they are named here. */
function inOurWords(text: string): string {
  return text.replace(/the timeout `(\w+)`/, (all, name: string) => CLOCKS[name] ?? all);
}

/** @internal Makes the error that callers see of a failure. */
export function providerError(provider: string, told: JsonFailure, cause?: unknown): ProviderError {
  const failure: ProviderFailure = {
    class: told.class,
    provider,
    status: told.status,
    providerCode: told.status === undefined ? undefined : told.code,
    retryAfter: told.retryAfter,
    requestId: told.requestId,
    retryable: told.retryable,
    fallsBack: told.fallsBack,
  };
  const message = `provider "${provider}": ${inOurWords(told.text)}`;
  const options = cause === undefined ? undefined : { cause };
  const made = told.class === "truncated" ? TruncatedStreamError : ProviderError;
  const code = CODES[told.class] ?? told.reason ?? "provider_error";
  const error = new made(code, message, failure, options);
  Object.defineProperty(error, "_plain", { value: inOurWords(told.message), enumerable: false });
  return error;
}

/** @internal Makes the error that callers see of what the module complains of. */
export function complaintError(provider: string, complaint: Mistake | JsonFailure): Error {
  if (!("class" in complaint)) return new TypeError(complaint.message);
  // What nobody was asked is wrong by itself.
  if (complaint.class === "invalid") return new TypeError(complaint.message);
  return providerError(provider, complaint);
}
