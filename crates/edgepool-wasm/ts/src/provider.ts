import type { ChatParameters } from "./requests.js";

/** What a provider speaks, and the ways of its servers. */
export type ProviderKind =
  | "openai"
  | "openai-responses"
  | "openai-compatible"
  | "azure"
  | "groq"
  | "mistral"
  | "cerebras"
  | "vllm"
  | "lm-studio"
  | "llama-cpp"
  | "anthropic"
  | "ollama"
  /** Any other HTTP service: requests are passed on, and no more. */
  | "http";

/** What a refusal of the pool's own becomes: a Response with an error envelope, or an exception. */
export type OnRefusal = "respond" | "throw";

/** One address of a provider. */
export interface EndpointOptions {
  /** Where it is. */
  baseURL: string;
  /** Its share beside the others. Default 1. */
  weight?: number | undefined;
}

/** Which part of an endpoint's answers may be failures. */
export interface FailureShareOptions {
  /** How many percent. */
  percent?: number | undefined;
  /** Of how many answers at least. */
  least?: number | undefined;
  /** In how many ms. */
  window?: number | undefined;
}

/** When an endpoint gets no calls for a while. */
export interface EjectionOptions {
  /** After so many failures in a row; `null` for any number. Default 5. */
  consecutive?: number | null | undefined;
  /** When too large a part of its answers are failures; `null` for any part. */
  share?: FailureShareOptions | null | undefined;
  /** For how long the first time, and longer with each. Default 30,000. */
  base?: number | undefined;
  /** For how long at most. */
  longest?: number | undefined;
  /** How many percent of the endpoints at most. Default 50. */
  atMost?: number | undefined;
  /** How long it gets less than its share when it is back. Default 10,000. */
  slowStart?: number | undefined;
}

/** How endpoints are asked whether they are alive, on addresses that cost nothing. */
export interface CheckOptions {
  /** How often. Default 60,000. */
  interval?: number | undefined;
  /** How long one may take. Default 5,000. */
  timeout?: number | undefined;
  /** After how many failures in a row one counts as down. */
  failures?: number | undefined;
}

/** How a limit is sought below `max`. */
export interface AdaptiveLimitOptions {
  /** By refusals alone, or by how long answers take too. Default `aimd`. */
  way?: "aimd" | "gradient" | undefined;
  /** The least. Default 1. */
  min?: number | undefined;
  /** The most. The default is the provider's `max`. */
  max?: number | undefined;
  /** How long it stands after it was lowered. */
  hold?: number | undefined;
}

/** So much in each span of time; what headers tell of it counts more. */
export interface RateOptions {
  /** How much. */
  amount: number;
  /** In how many ms. Default 60,000. */
  window?: number | undefined;
}

/** How much a provider takes. */
export interface RatesOptions {
  /** How many requests. */
  requests?: RateOptions | undefined;
  /** How many tokens, of prompts and answers. */
  tokens?: RateOptions | undefined;
}

/** How many retries all calls of a provider have together. */
export interface RetryBudgetOptions {
  /** How many percent of the calls. Default 20. */
  percent?: number | undefined;
  /** How many a second beside those. Default 10. */
  perSecond?: number | undefined;
}

/** How often and when calls are sent again. */
export interface RetryOptions {
  /** How often one call is at most. Default 2. */
  retries?: number | undefined;
  /** The first wait, of which chance takes a part; it doubles. Default 500. */
  base?: number | undefined;
  /** The longest wait. Default 8,000. */
  longest?: number | undefined;
  /** How long a provider may ask to wait before the call fails instead. Default 60,000. */
  retryAfterCap?: number | undefined;
  /** How many retries all calls together have. */
  budget?: RetryBudgetOptions | undefined;
}

/** The options of one provider. Durations in ms; `Infinity` is no limit. */
export interface ProviderOptions {
  /** What it speaks. */
  kind: ProviderKind;
  /**
   * Where it is: a relative URL is resolved below it, with one `/v1` where both have it. Kinds
   * whose service has one address know it.
   */
  baseURL?: string | undefined;
  /** Several addresses, in place of `baseURL`. */
  endpoints?: readonly (string | EndpointOptions)[] | undefined;
  /**
   * The key that requests are sent with. Where it is, no redirect is followed, as the key must not
   * leave its origin: the caller gets the 3xx answer (in a browser, which hides it, a refusal).
   */
  apiKey?: string | undefined;
  /** The variable of the environment that has the key. */
  apiKeyEnv?: string | undefined;
  /** The version of the API, for the kinds that take one. */
  apiVersion?: string | undefined;
  /** Headers that every request is sent with. */
  headers?: Record<string, string> | undefined;
  /** The model of chats that name none. */
  model?: string | undefined;
  /** The model of embeddings that name none. */
  embeddingModel?: string | undefined;
  /** How long embeddings are; others are an error. */
  dimensions?: number | undefined;
  /** How answers are made where a chat does not say. */
  parameters?: ChatParameters | undefined;
  /** The most requests at once, from the call to the end of the body. Default 10. */
  max?: number | undefined;
  /** The most calls that wait. Default 1,000. */
  maxWaiting?: number | undefined;
  /** How long a call waits for its turn. Default 30,000. */
  acquireTimeout?: number | undefined;
  /** From sending to the headers. Default 60,000, and 600,000 for answers that come whole. */
  headersTimeout?: number | undefined;
  /** From the headers to the first content of the body. Default 60,000. */
  firstContentTimeout?: number | undefined;
  /** Between content, and for bytes that the consumer leaves lying. Default 60,000. */
  stallTimeout?: number | undefined;
  /** All of it, with retries. Default `Infinity`. */
  totalTimeout?: number | undefined;
  /** How an endpoint is chosen. Default `powerOfTwo`. */
  balance?: "roundRobin" | "leastConnections" | "powerOfTwo" | undefined;
  /** When an endpoint gets no calls for a while. */
  ejection?: EjectionOptions | undefined;
  /** How endpoints are checked; they are not by default. */
  checks?: CheckOptions | undefined;
  /** How a limit is sought below `max`; it is not by default. */
  adaptiveLimit?: AdaptiveLimitOptions | undefined;
  /** How much the provider takes; what its headers say of it is heeded in any case. */
  rates?: RatesOptions | undefined;
  /** How often and when calls are sent again. */
  retry?: RetryOptions | undefined;
  /** After how long without content a second attempt is sent beside the first. Default never. */
  hedgeAfter?: number | undefined;
  /** After how long in the queue observers are told. Default 5,000. */
  alertAfter?: number | undefined;
  /**
   * Sends the caller's own key instead, if it has one in `authorization`, `x-api-key` or
   * `api-key`. The default is true if there is no `apiKey`. Callers with keys of their own share
   * the provider's limits and pauses all the same.
   */
  passClientKey?: boolean | undefined;
  /**
   * Shares its service only with providers of the same word here, where others have other limits:
   * it is separate on purpose.
   */
  pool?: string | undefined;
  /** Default `respond` for those whose SDKs retry what is thrown, else `throw`. */
  onRefusal?: OnRefusal | undefined;
}
