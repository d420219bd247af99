import { checkNames, readCount, readDuration, readFlag, readWord, wrong } from "./options.js";

/** What a provider speaks; it decides how a key is sent and how a refusal looks. */
export type ProviderKind = "openai" | "anthropic" | "ollama" | "http";

/** What a refusal of the pool's own becomes: a Response with an error envelope, or an exception. */
export type OnRefusal = "respond" | "throw";

/** The options of one provider. Durations in ms; `Infinity` is no limit. */
export interface ProviderOptions {
  /** What it speaks. */
  kind: ProviderKind;
  /** Where it is: a relative URL is resolved below it, with one `/v1` where both have it. */
  baseURL: string;
  /**
   * The key that requests are sent with. Where it is, no redirect is followed, as the key must not
   * leave its origin: the caller gets the 3xx answer (in a browser, which hides it, a refusal).
   */
  apiKey?: string | undefined;
  /** The most requests at once, from the call to the end of the body. Default 10. */
  max?: number | undefined;
  /** The most calls that wait. Default 1,000. */
  maxWaiting?: number | undefined;
  /** How long a call waits for its turn. Default 30,000. */
  acquireTimeout?: number | undefined;
  /** From the start of the request to the headers of the answer. Default 60,000. */
  headersTimeout?: number | undefined;
  /** From the headers to the first content of the body. Default 60,000. */
  firstContentTimeout?: number | undefined;
  /** Between content, and for bytes that the consumer leaves lying. Default 60,000. */
  stallTimeout?: number | undefined;
  /**
   * Sends the caller's own key instead, if it has one in `authorization`, `x-api-key` or
   * `api-key`. The default is true if there is no `apiKey`.
   */
  passClientKey?: boolean | undefined;
  /** Default `respond` for openai and anthropic, whose SDKs retry what is thrown, else `throw`. */
  onRefusal?: OnRefusal | undefined;
}

/** The settings of a provider after validation. */
export interface ProviderSettings {
  kind: ProviderKind;
  base: URL;
  apiKey: string | undefined;
  max: number;
  maxWaiting: number;
  acquireTimeout: number;
  headersTimeout: number;
  firstContentTimeout: number;
  stallTimeout: number;
  passClientKey: boolean;
  onRefusal: OnRefusal;
}

const KINDS = ["openai", "anthropic", "ollama", "http"] as const;
const NAMES = [
  "kind", "baseURL", "apiKey", "max", "maxWaiting", "acquireTimeout", "headersTimeout",
  "firstContentTimeout", "stallTimeout", "passClientKey", "onRefusal",
] as const;

/** Validates the options of one provider. */
export function readProvider(name: string, options: ProviderOptions): ProviderSettings {
  const where = `ClientPool: provider "${name}"`;
  checkNames(where, options, NAMES);
  if (options.kind === undefined) throw wrong(where, "kind", KINDS.join(", "), undefined);
  const kind = readWord(where, "kind", options.kind, "http", KINDS);
  const speaksSdk = kind === "openai" || kind === "anthropic";
  const duration = (option: keyof ProviderOptions, fallback: number): number =>
    readDuration(where, option, options[option], fallback, 1);
  return {
    kind,
    base: readBase(where, options.baseURL),
    apiKey: readKey(where, options.apiKey),
    max: readCount(where, "max", options.max, 10, 1, 65_535),
    maxWaiting: readCount(where, "maxWaiting", options.maxWaiting, 1_000, 0, 500_000),
    acquireTimeout: readDuration(where, "acquireTimeout", options.acquireTimeout, 30_000),
    headersTimeout: duration("headersTimeout", 60_000),
    firstContentTimeout: duration("firstContentTimeout", 60_000),
    stallTimeout: duration("stallTimeout", 60_000),
    passClientKey: readFlag(
      where, "passClientKey", options.passClientKey, options.apiKey === undefined,
    ),
    onRefusal: readWord(
      where, "onRefusal", options.onRefusal, speaksSdk ? "respond" : "throw", ["respond", "throw"],
    ),
  };
}

function readBase(where: string, value: unknown): URL {
  const accepted = "an http or https URL without a query";
  if (typeof value !== "string" || !URL.canParse(value)) {
    throw wrong(where, "baseURL", accepted, value);
  }
  const base = new URL(value);
  const extra = base.search + base.hash + base.username + base.password;
  if (/^https?:$/.test(base.protocol) && extra === "") return base;
  // What is extra may be a secret.
  throw wrong(where, "baseURL", accepted, "another one");
}

function readKey(where: string, value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "string" && /^[\x21-\x7e]+$/.test(value)) return value;
  // The value is a secret even if it is a wrong one.
  throw new TypeError(`${where}: "apiKey" takes printable characters without spaces`);
}

/**
 * Finds the address for a call: a path goes below the base, and an absolute URL must be of its
 * origin, as the key must not go anywhere else.
 */
export function resolveUrl(name: string, base: URL, input: string): string {
  if (!input.startsWith("/") && URL.canParse(input)) {
    const { origin } = new URL(input);
    if (origin === base.origin) return input;
    throw new TypeError(`provider "${name}": ${origin} is not its origin, ${base.origin}`);
  }
  const below = base.pathname.replace(/\/+$/, "");
  const path = input.startsWith("/") ? input : `/${input}`;
  const twice = below.endsWith("/v1") && /^\/v1(?=[/?#]|$)/.test(path);
  return base.origin + below + (twice ? path.slice(3) : path);
}

const KEY_HEADERS = ["authorization", "x-api-key", "api-key"];

/**
 * Puts the provider's key in place of the caller's, or keeps that, or sends none. Tells whether it
 * is the provider's key that is sent.
 */
export function authorise(headers: Headers, provider: ProviderSettings): boolean {
  if (!provider.passClientKey) for (const name of KEY_HEADERS) headers.delete(name);
  const theirs = KEY_HEADERS.some((name) => headers.has(name));
  if (provider.apiKey === undefined || theirs) return false;
  if (provider.kind === "anthropic") headers.set("x-api-key", provider.apiKey);
  else headers.set("authorization", `Bearer ${provider.apiKey}`);
  return true;
}
