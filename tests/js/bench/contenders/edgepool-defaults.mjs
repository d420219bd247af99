import { Pool } from "edgepool";

export class Contender {
  constructor(max, maxWaiting) {
    this.pool = new Pool({ create: () => ({}), max, maxWaiting });
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
