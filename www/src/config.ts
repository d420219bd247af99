/** How a provider speaks, and so where its key goes. */
export type Kind = "openai" | "anthropic" | "ollama" | "http";

const KINDS: readonly Kind[] = ["openai", "anthropic", "ollama", "http"];

/** One provider as `EDGEPOOL_CONFIG` has it. Durations are in ms. */
export interface ProviderConfig {
  kind: Kind;
  baseURL: string;
  max: number;
  maxWaiting?: number;
  acquireTimeout?: number;
  headersTimeout?: number;
  firstContentTimeout?: number;
  stallTimeout?: number;
  /** Passes the key that a client sends, instead of dropping it. */
  passClientKey?: boolean;
  /** Says that this is no real provider, wherever it shows. */
  simulator?: boolean;
  /** The variable of the environment that has the key. */
  keyEnv?: string;
}

/** The gateway's configuration. It has no secrets: keys are in the environment. */
export interface GatewayConfig {
  scope: "isolate";
  providers: Record<string, ProviderConfig>;
  leaseTtl?: number;
  heartbeat?: number;
}

/** Says what is wrong with the configuration, and what it takes. */
export class ConfigError extends Error {
  override name = "ConfigError";
}

type Fields = Record<string, unknown>;

const TOP_FIELDS = ["scope", "providers", "leaseTtl", "heartbeat"];
const DURATIONS = ["acquireTimeout", "headersTimeout", "firstContentTimeout", "stallTimeout"];
const PROVIDER_FIELDS = [
  "kind", "baseURL", "max", "maxWaiting", ...DURATIONS, "passClientKey", "simulator", "keyEnv",
];
/** The paths of the gateway itself; no provider can have their names. */
const RESERVED = ["stats", "metrics", "healthz"];
const NAME = /^[a-z0-9][a-z0-9_-]{0,63}$/;

/**
 * Reads the configuration from the text of `EDGEPOOL_CONFIG`.
 *
 * Throws a `ConfigError` that names the field and the accepted values.
 */
export function readConfig(text: string | undefined): GatewayConfig {
  if (!text) {
    throw new ConfigError(
      "EDGEPOOL_CONFIG is not set: it takes the gateway's configuration as JSON, such as "
        + '{"scope":"isolate","providers":{"local":{"kind":"openai",'
        + '"baseURL":"http://127.0.0.1:9000","max":4}}}',
    );
  }
  const config = fields("EDGEPOOL_CONFIG", parse(text), TOP_FIELDS);
  if (config["scope"] !== undefined && config["scope"] !== "isolate") {
    throw wrong("scope", '"isolate"', config["scope"]);
  }
  for (const name of ["leaseTtl", "heartbeat"]) number(name, config[name], 1, Infinity);
  const providers = fields("providers", config["providers"]);
  if (Object.keys(providers).length === 0) {
    throw new ConfigError("providers is empty: the gateway needs one provider at least");
  }
  for (const [name, provider] of Object.entries(providers)) checkProvider(name, provider);
  return { ...config, scope: "isolate" } as unknown as GatewayConfig;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ConfigError(`EDGEPOOL_CONFIG is not JSON: ${(error as Error).message}`);
  }
}

function checkProvider(name: string, value: unknown): void {
  if (!NAME.test(name) || RESERVED.includes(name)) {
    throw new ConfigError(
      `providers: "${name}" is no name for a provider; it takes up to 64 of a-z, 0-9, _ and -, `
        + `a letter or digit first, and none of ${RESERVED.join(", ")}`,
    );
  }
  const where = `providers.${name}`;
  const provider = fields(where, value, PROVIDER_FIELDS);
  if (!KINDS.includes(provider["kind"] as Kind)) {
    throw wrong(`${where}.kind`, KINDS.join(", "), provider["kind"]);
  }
  checkUrl(`${where}.baseURL`, provider["baseURL"]);
  if (provider["max"] === undefined) throw wrong(`${where}.max`, "1 to 65535", undefined);
  number(`${where}.max`, provider["max"], 1, 65_535, true);
  number(`${where}.maxWaiting`, provider["maxWaiting"], 0, 65_535, true);
  for (const field of DURATIONS) number(`${where}.${field}`, provider[field], 0, Infinity);
  for (const field of ["passClientKey", "simulator"]) {
    const flag = provider[field];
    if (flag !== undefined && typeof flag !== "boolean") {
      throw wrong(`${where}.${field}`, "true or false", flag);
    }
  }
  const keyEnv = provider["keyEnv"];
  if (keyEnv !== undefined && (typeof keyEnv !== "string" || keyEnv === "")) {
    throw wrong(`${where}.keyEnv`, "the name of a variable", keyEnv);
  }
}

function checkUrl(where: string, value: unknown): void {
  const url = typeof value === "string" && URL.canParse(value) ? new URL(value) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) throw wrong(where, "an http or https URL", value);
  // Shown without its value, which has a secret in it.
  if (url.username || url.password) {
    throw new ConfigError(`${where} has a user or a password in it; put the key in keyEnv`);
  }
  if (url.search || url.hash) throw wrong(where, "a URL without a query or fragment", value);
}

function fields(where: string, value: unknown, names?: string[]): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrong(where, "an object", value);
  }
  const unknown = names && Object.keys(value).find((name) => !names.includes(name));
  if (unknown === undefined) return value as Fields;
  throw new ConfigError(`${where}: unknown field "${unknown}"; it takes ${names?.join(", ")}`);
}

function number(
  where: string, value: unknown, low: number, high: number, whole = false,
): void {
  if (value === undefined) return;
  const fits = typeof value === "number" && value >= low && value <= high;
  if (fits && (!whole || Number.isInteger(value))) return;
  const kind = whole ? "a whole number" : "a number of ms";
  const range = high === Infinity ? `from ${low}` : `from ${low} to ${high}`;
  throw wrong(where, `${kind} ${range}`, value);
}

function wrong(where: string, accepted: string, value: unknown): ConfigError {
  const got = value === undefined ? "nothing" : JSON.stringify(value).slice(0, 80);
  return new ConfigError(`${where} takes ${accepted}, got ${got}`);
}
