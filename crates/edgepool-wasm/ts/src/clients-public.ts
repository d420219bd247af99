export type { BodyEnd } from "./body.js";
export { ClientPool } from "./clients.js";
export type {
  ClientEvent, ClientPoolOptions, ClientPoolStats, PooledFetch, ProviderStats,
} from "./clients.js";
export type { OnRefusal, ProviderKind, ProviderOptions } from "./provider.js";
