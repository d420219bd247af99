import { PoolError, QueueFullError } from "./errors.js";

/** Says that as many callers of a tenant's wait as may. */
export function tenantQueueFull(maxWaiting: number): QueueFullError {
  const error = new QueueFullError(maxWaiting);
  // Who has no tenants has no words for it.
  error.message = error.message.replace("the queue", "the tenant's queue");
  return error;
}

/** Says that a caller's tenant is none of its pool's. */
export function unknownTenant(): PoolError {
  const text = "the tenant is not one of this pool's, or was closed; open one by pool.tenant()";
  return new PoolError("unknown_tenant", text);
}

/** Says that a tenant's waits were ended. */
export function tenantRemoved(): PoolError {
  return new PoolError("tenant_removed", "the tenant's waits were ended, or it was closed");
}
