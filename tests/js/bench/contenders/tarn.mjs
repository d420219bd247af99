import { Pool } from "tarn";

export class Contender {
  constructor(max) {
    this.pool = new Pool({ create: async () => ({}), destroy: () => undefined, min: 0, max });
  }

  acquire() {
    return this.pool.acquire().promise;
  }

  release(resource) {
    this.pool.release(resource);
  }

  close() {
    return this.pool.destroy();
  }
}
