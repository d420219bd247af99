export type { Clock } from "./clock.js";
export { WarmUpError } from "./errors.js";
export type { Holder, PoolErrorCode } from "./errors.js";
export { Lease } from "./lease.js";
export type { AcquireOptions, CloseOptions, Priority } from "./pool.js";
export { PoolTenant } from "./pool-tenant.js";
export type { PoolTenantStats, TenantCounts } from "./pool-tenant.js";
export type { FullShare, TenantShare } from "./share.js";
export { SharedPool } from "./shared-pool.js";
export type { TenantAcquireOptions } from "./shared-pool.js";
export type { PoolCounts, PoolStats } from "./stats.js";
export type { TenantEntry, TenantStats, TenantTotals } from "./tenant-home.js";
export type { Tenant } from "./tenant-id.js";
export type { TenantHolder, TenantState } from "./tenant-member.js";
export type {
  TenantEvent, TenantFactory, TenantOptions, TenantPoolsConfig, TenantPoolsOptions, TenantStrategy,
} from "./tenant-options.js";
export type { TenantUsage } from "./tenant-usage.js";
export { TenantPools } from "./tenants.js";
