// Callers of all tenants, who read their rows, leave a mess, give up, and look at what they see.
import { later } from "../lib.mjs";
import { TenantPools } from "../package.mjs";
import { KINDS, ROWS, TENANTS, idOf, loginOf, nameOf, ready } from "./fixtures.mjs";

/** How many call at once. */
const CALLERS = 12;
/** How long a caller waits for a connection, and for an answer, in ms. */
const PATIENCE = 2_000;

/** What a read asks for: whose the rows are, whose rights it has, and for whom it is. */
const READ = "SELECT tenant, current_user::text AS role, "
  + "current_setting('app.tenant', true) AS setting FROM notes";

/** The numbers of tenants by their ids. */
const NUMBERS = new Map(Array.from({ length: TENANTS }, (_, tenant) => [idOf(tenant), tenant]));

/** A run: the pools of all tenants, and what was seen through them. */
export class Run {
  isOver = false;
  /**
   * Reads that were answered; those of them with a row, the rights or the name of another tenant;
   * those with fewer or more rows than the tenant has; and what failed.
   */
  seen = { reads: 0, foreign: 0, wrong: 0, failures: 0, last: undefined };
  /** The leases that each tenant has, and the most that any had at once. */
  held = new Array(TENANTS).fill(0);
  mostHeld = 0;

  /** Opens the pools; `sabotage` changes what they are told. */
  static async begin(driver, kindName, name, { sabotage = (told) => told, ...rest } = {}) {
    await ready();
    return new Run(driver, kindName, name, sabotage, rest);
  }

  constructor(driver, kindName, name, sabotage, { poolSize = KINDS[kindName].size }) {
    const kind = KINDS[kindName];
    this.driver = driver;
    this.kind = kind;
    // The server cuts off what is more than 63 letters.
    this.prefix = `${name.split(" ")[0]}/${kindName}/`;
    const of = ({ id }) => [`${this.prefix}${id}`, loginOf(kind, NUMBERS.get(id))];
    this.pools = new TenantPools({
      strategy: kind.strategy(poolSize),
      tenants: kind.tenants,
      budget: kind.budget,
      acquireTimeout: PATIENCE,
      resetTimeout: 500,
      backoff: { base: 20, cap: 200 },
      ...sabotage(driver.tenants(of, kind.context)),
    });
  }

  /** Has callers of all tenants call until the run is over. */
  callers() {
    return Array.from({ length: CALLERS }, (_, seed) => this.#call(new Random(seed + 1)));
  }

  async #call(random) {
    while (!this.isOver) {
      // The higher its number, the more is asked for a tenant.
      const tenant = Math.floor(Math.sqrt(random.below(TENANTS ** 2)));
      const signal = random.below(20) === 0 ? AbortSignal.timeout(random.below(3)) : undefined;
      try {
        const lease = await this.pools.acquire(idOf(tenant), { signal });
        await this.#visit(lease, tenant, random);
      } catch (error) {
        if (signal?.aborted) continue;
        this.#failed(error);
        await later(2);
      }
    }
  }

  async #visit(lease, tenant, random) {
    await this.holding(tenant, async () => {
      try {
        for (let reads = random.below(8); reads >= 0; reads -= 1) {
          await this.#readOn(lease, tenant);
        }
        await this.#makeAMess(lease, tenant, random);
      } catch (error) {
        this.#failed(error);
        if (error instanceof Late) lease.discard(error);
      }
    });
    if (random.below(40) === 0) lease.discard();
    else lease.release();
  }

  /** Counts a lease of a tenant while something is done with it. */
  async holding(tenant, work) {
    this.held[tenant] += 1;
    this.mostHeld = Math.max(this.mostHeld, this.held[tenant]);
    try {
      return await work();
    } finally {
      this.held[tenant] -= 1;
    }
  }

  /** Reads a tenant's rows, and says whether there was an answer. */
  async read(tenant) {
    try {
      const lease = await this.pools.acquire(idOf(tenant));
      try {
        await this.holding(tenant, () => this.#readOn(lease, tenant));
        return true;
      } finally {
        lease.release();
      }
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  async #readOn(lease, tenant) {
    const rows = await patiently(this.driver.run(lease.value, READ));
    const { seen } = this;
    const [id, role] = [idOf(tenant), this.kind.role(tenant)];
    const isOwn = (row) => row.tenant === id && row.role === role && row.setting === id;
    seen.reads += 1;
    if (!rows.every(isOwn)) seen.foreign += 1;
    if (rows.length !== ROWS) seen.wrong += 1;
  }

  #failed(error) {
    this.seen.failures += 1;
    this.seen.last = error;
  }

  /** Leaves on the connection what the next holder would stumble over. */
  async #makeAMess(lease, tenant, random) {
    const other = random.below(TENANTS);
    const run = (text) => patiently(this.driver.run(lease.value, text)).catch(onlyLate);
    switch (random.below(20)) {
      case 0: return void await run("BEGIN; SELECT 1");
      case 1: return void await run("BEGIN; SELECT 1/0");
      case 2: return void await run(`SET app.tenant TO '${idOf(other)}'`);
      case 3: return void await run(`BEGIN; SET LOCAL app.tenant TO '${idOf(other)}'`);
      case 4: return void await run(`SET search_path TO "${nameOf(other)}"`);
      case 5: return void await run(`SET ROLE "${nameOf(other)}"`);
      // In the way of the table of that name.
      case 6: return void await run(`CREATE TEMP TABLE notes AS SELECT '${idOf(other)}' AS tenant`);
      // What another one left of a transaction would come to light as this one ends.
      case 7:
        await run("BEGIN; SELECT 1; ROLLBACK");
        return void await this.#readOn(lease, tenant);
      // Nobody waits for it.
      case 8: return void this.driver.run(lease.value, READ).catch(() => {});
    }
  }

  /** Waits until so many more reads were answered. */
  async moreReads(count) {
    const goal = this.seen.reads + count;
    const end = Date.now() + 60_000;
    while (this.seen.reads < goal) {
      if (Date.now() > end) throw new Error("hardly a read is answered", { cause: this.seen.last });
      await later(5);
    }
  }
}

class Late extends Error {}

/** Waits for an answer, and not for ever. */
async function patiently(answer) {
  answer = Promise.resolve(answer);
  answer.catch(() => {});
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Late(`no answer in ${PATIENCE} ms`)), PATIENCE);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A mess that cannot be made leaves another one. */
function onlyLate(error) {
  if (error instanceof Late) throw error;
}

/** Numbers that are the same in each run: Marsaglia's xorshift. */
class Random {
  #state;

  constructor(seed) {
    this.#state = Math.imul(seed, 0x9e3779b9) | 1;
  }

  below(bound) {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % bound;
  }
}
