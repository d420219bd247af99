import { Pool } from "edgepool";

/** One pool that knows of no tenants. */
export class Sharing {
  constructor(size) {
    this.pool = new Pool({ create: () => ({}), max: size });
  }

  hold(_tenant, work) {
    return this.pool.use(work);
  }

  close() {
    return this.pool.close();
  }
}
