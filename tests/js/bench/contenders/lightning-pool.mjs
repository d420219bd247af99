import { Pool } from "lightning-pool";

export class Contender {
  constructor(max, maxQueue) {
    const factory = { create: async () => ({}), destroy: async () => undefined };
    const options = { max, maxQueue, validation: false, idleTimeoutMillis: 0 };
    this.pool = new Pool(factory, options);
  }

  acquire() {
    return this.pool.acquire();
  }

  release(resource) {
    this.pool.release(resource);
  }

  close() {
    return this.pool.close(true);
  }
}
