import genericPool from "generic-pool";

export class Contender {
  constructor(max) {
    const factory = { create: async () => ({}), destroy: async () => undefined };
    this.pool = genericPool.createPool(factory, { max, min: 0 });
  }

  acquire() {
    return this.pool.acquire();
  }

  release(resource) {
    void this.pool.release(resource);
  }

  async close() {
    await this.pool.drain();
    await this.pool.clear();
  }
}
