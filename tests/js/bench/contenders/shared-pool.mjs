import { SharedPool } from "edgepool/tenants";

/** One pool that knows its tenants. */
export class Sharing {
  constructor(size, weights) {
    this.pool = new SharedPool({ create: () => ({}), max: size });
    this.tenants = weights.map((weight) => this.pool.tenant({ weight }));
  }

  hold(tenant, work) {
    return this.pool.use(work, { tenant: this.tenants[tenant] });
  }

  close() {
    return this.pool.close();
  }
}
