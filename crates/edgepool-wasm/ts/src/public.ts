export type { BindOptions, BodyEnd } from "./body.js";
export type { Clock } from "./clock.js";
export {
  AbortError,
  AcquireTimeoutError,
  CoreResetError,
  CreateError,
  PoolClosedError,
  PoolError,
  QueueFullError,
  TooManyError,
  UnavailableError,
  WarmUpError,
} from "./errors.js";
export type { Holder, Phase, PoolErrorCode, WaitReport } from "./errors.js";
export type { LeaveReason, PoolEvent } from "./events.js";
export type { Job } from "./jobs.js";
export { Lease } from "./lease.js";
export type { RequestLike, RequestScope, ResourceInfo } from "./lease.js";
export { Pool } from "./pool.js";
export type { AcquireOptions, CloseOptions, Priority } from "./pool.js";
export type { Mode, RequestContext } from "./runtime.js";
export type { Backoff, PoolOptions, Reuse } from "./settings.js";
export type { PoolCounts, PoolState, PoolStats, TimeStats } from "./stats.js";
export type { WarmUpOptions, WarmUpProgress } from "./warm-up.js";
