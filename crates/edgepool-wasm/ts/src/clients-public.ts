export type {
  ChatAnswer, ChatEvent, Embeddings, FinishReason, Usage,
} from "./answers.js";
export type { BodyEnd } from "./body.js";
export { ChatStream } from "./chat-stream.js";
export type { CallOrigin, ClientEvent } from "./client-events.js";
export { ProviderClient } from "./client.js";
export type { CallOptions, CallScope, FetchOptions, PooledFetch } from "./client.js";
export type { ClientTenantsOptions } from "./client-tenants.js";
export { ClientPool, PooledEmbeddingClient } from "./clients.js";
export type {
  ClientPoolOptions, ClientPoolStats, Environment, ProviderStats,
} from "./clients.js";
export type { ClientTenantStats, ProviderTenants, TenantSums } from "./hub-tenants.js";
export type { PoolTenantStats, TenantCounts } from "./pool-tenant.js";
export { ProviderError, TruncatedStreamError } from "./provider-errors.js";
export type { FailureClass, ProviderFailure } from "./provider-errors.js";
export type {
  AdaptiveLimitOptions, CheckOptions, EjectionOptions, EndpointOptions, FailureShareOptions,
  OnRefusal, ProviderKind, ProviderOptions, RateOptions, RatesOptions, RetryBudgetOptions,
  RetryOptions,
} from "./provider.js";
export { ClientRegistry } from "./registry.js";
export type { RegistryStats } from "./registry.js";
export type {
  ChatParameters, ChatRequest, EmbedParameters, Message, MessagePart, Role, Tool, ToolCall,
  ToolName,
} from "./requests.js";
export type {
  Distribution, EndpointStats, FailureCounts, ServiceAlert, ServiceStats,
} from "./service-stats.js";
export type { Send } from "./send.js";
export type { FullShare, TenantShare } from "./share.js";
