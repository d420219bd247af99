import { Pool } from "edgepool";

/** Every time that the pool may have to is none: nothing asks what time it is. */
const UNTIMED = {
  minIdle: 0, acquireTimeout: Infinity, createTimeout: Infinity, idleTimeout: Infinity,
  maxLifetime: Infinity, backoff: false, ageing: Infinity, waitTimes: false,
  slowAcquire: Infinity, leaseTtl: Infinity,
};

export class Contender {
  constructor(max, maxWaiting, options = UNTIMED) {
    this.pool = new Pool({ ...options, create: () => ({}), max, maxWaiting });
  }

  acquire() {
    return this.pool.acquire();
  }

  tryAcquire() {
    return this.pool.tryAcquire();
  }

  release(lease) {
    lease.release();
  }

  close() {
    return this.pool.close();
  }
}
