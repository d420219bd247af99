export type { BindOptions, BodyEnd } from "./body.js";
export type { Clock } from "./clock.js";
export {
  AcquireTimeoutError,
  CreateError,
  PoolClosedError,
  PoolError,
  QueueFullError,
} from "./errors.js";
export type { PoolErrorCode } from "./errors.js";
export { Lease } from "./lease.js";
export type { RequestScope } from "./lease.js";
export { Pool } from "./pool.js";
export type { AcquireOptions, PoolOptions, PoolStats } from "./pool.js";
export type { Mode, RequestContext } from "./runtime.js";
