/**
 * Connections to PostgreSQL for a pool, of the drivers `pg` and `postgres`. It brings neither of them
 * along, nor the pool.
 *
 * @module edgepool/postgres
 */
import type { Job } from "./jobs.js";
import {
  type Backend, type Driver, type PgClient, type PgClientClass, type PostgresFunction,
  type Session, type Sql, pgDriver, sqlDriver,
} from "./postgres-drivers.js";
import { PostgresError, type PostgresErrorKind, secretsOf, sort } from "./postgres-errors.js";
import {
  type PostgresAddress, type PostgresContext, checkContext, isNobody, pgOptions, settingsOf,
  sqlOptions,
} from "./postgres-tenants.js";
import type { Tenant } from "./tenant-id.js";

export { PostgresError } from "./postgres-errors.js";
export type { PostgresErrorKind } from "./postgres-errors.js";
export type { PgClient, PgClientClass, PostgresFunction, Sql } from "./postgres-drivers.js";
export type { PostgresAddress, PostgresContext } from "./postgres-tenants.js";
export type { Tenant } from "./tenant-id.js";

/**
 * How a connection is cleaned that comes back. Whichever it is, an open transaction is rolled back
 * first.
 *
 * - `session`: nothing of the session is left but prepared statements, which the drivers remember:
 *   settings, roles, cursors, temporary tables, advisory locks and `LISTEN` are gone. That is
 *   `DISCARD ALL` without `DEALLOCATE ALL`.
 * - `discard-all`: `DISCARD ALL`. Named statements of `pg` fail after it.
 * - `rollback`: nothing else, for callers that change nothing of the session.
 * - `{ sql }`: these statements, and after them `RESET ROLE`.
 */
export type PostgresReset = "session" | "discard-all" | "rollback" | {
  /** Statements, separated by `;`. */
  readonly sql: string;
};

/** The options of {@link pgFactory} and {@link postgresFactory}. */
export interface PostgresOptions {
  /** How a connection is cleaned that comes back. Default `session`. */
  reset?: PostgresReset | undefined;
}

/** What a pool is told of its connections: spread it into the options of a `Pool`. */
export interface PostgresFactory<T> {
  /** Connects. It throws a {@link PostgresError}. */
  create: (job: Job) => Promise<T>;
  /** Looks whether the connection was lost, and asks the server if it was silent for a second. */
  check: (connection: T, job: Job) => boolean | Promise<boolean>;
  /** Cleans a connection that comes back. */
  reset: (connection: T, job: Job) => Promise<void>;
  /** Closes a connection. What it is stuck in is ended at the server. */
  close: (connection: T, job: Job) => Promise<void>;
  /** The pool checks before each loan: mostly that is a look, and no question to the server. */
  checkAfter: number;
}

/** The options of {@link pgTenants} and {@link postgresTenants}. */
export interface PostgresTenantsOptions extends PostgresOptions, PostgresContext {}

/** What `TenantPools` are told of their connections: spread it into their options. */
export interface PostgresTenants<T> {
  /** Says how a tenant's connections are made and looked after, or those that all share. */
  factory: (tenant: Tenant) => PostgresFactory<T>;
  /** Makes a connection that all share one of a tenant, until its next reset. */
  enter: (connection: T, tenant: Tenant) => Promise<void>;
}

/** For how long the server is not asked whether a connection that it answered on is alive. */
const FRESH = 1_000;

/** What is known of each connection. */
const sessions = new WeakMap<object, Session>();
const of = (connection: object) => sessions.get(connection) as Session;

// The columns of WHO and ABOVE: the build shortens no member of an interface that is not exported.
interface Row {
  number: number;
  started: string;
}
interface Above {
  above: string;
}

/** Ends a transaction if there is one. A `ROLLBACK` alone makes the server warn if there is none. */
const END = "BEGIN; ROLLBACK;";
// The role is reset by itself, as after `DISCARD ALL`: whether the session's reset leaves none or the
// one that the connection began with is not the same on all servers.
const SESSION =
  "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; UNLISTEN *; " +
  "SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES;";
const IN_FAILED_TRANSACTION = "25P02";

// Whoever begins with a role has the rights of its login here: it may not see otherwise when its
// process began, nor end it.
const AS_LOGIN = "SET ROLE NONE;";
const WHO =
  `${AS_LOGIN} SELECT pid AS number, backend_start::text AS started FROM pg_catalog.pg_stat_activity ` +
  "WHERE pid = pg_catalog.pg_backend_pid(); RESET ROLE";
/** Policies of row-level security hold for everybody else. */
const ABOVE = "SELECT rolname::text AS above FROM pg_catalog.pg_roles "
  + "WHERE rolname = current_user AND (rolsuper OR rolbypassrls)";
const TERMINATE =
  "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity " +
  "WHERE pid = $1 AND backend_start::text = $2";

/**
 * Makes a pool's factory of the `Client` of `pg`, or one that works as that does.
 *
 * ```js
 * const pool = new Pool({ ...pgFactory(pg.Client, { connectionString }), max: 8 });
 * const rows = await pool.use(async (client) => (await client.query("SELECT 1")).rows);
 * ```
 */
export function pgFactory<T extends PgClient>(
  Client: PgClientClass<T>, config?: string | object,
  options: PostgresOptions = {},
): PostgresFactory<T> {
  checkNames(options, ["reset"]);
  return factory(pgDriver(Client, config), secretsOf(config), options, false);
}

/**
 * Makes a pool's factory of the function that `postgres` exports. Each resource is an `sql` with one
 * connection, whose own limits of time are off: the pool has them.
 *
 * ```js
 * const pool = new Pool({ ...postgresFactory(postgres, { host: "db.example" }), max: 8 });
 * const rows = await pool.use((sql) => sql`SELECT 1`);
 * ```
 */
export function postgresFactory<T extends Sql>(
  postgres: PostgresFunction<T>, config?: string | object,
  options: PostgresOptions = {},
): PostgresFactory<T> {
  checkNames(options, ["reset"]);
  return factory(sqlDriver(postgres, config), secretsOf(config), options, false);
}

/**
 * Makes what `TenantPools` are told of the `Client` of `pg`, under each strategy. A tenant's
 * session has its id in the setting `app.tenant`, its schema, if the strategy gives it one, as
 * `search_path`, and its role, if it has one; with `perDatabase` it goes to the tenant's database.
 * Resets leave all of that as it is.
 *
 * With `shared` a connection is given the id and the role as it is handed over, and cleaned of them
 * and all else that its session has, whatever `reset` says. Policies of row-level security do the
 * rest: connections whose role they do not hold for are refused.
 *
 * The address is asked for, where it is a function, when a tenant's pool is opened and after
 * `invalidate`: so a changed password is told. With `shared` its tenant has no id.
 *
 * ```js
 * const tenants = new TenantPools({
 *   strategy: { perTenant: { maxPools: 100, poolSize: 5 } },
 *   ...pgTenants(pg.Client, { host, user, password, database }),
 * });
 * const rows = await tenants.use("acme", async (client) => (await client.query("TABLE notes")).rows);
 * ```
 */
export function pgTenants<T extends PgClient>(
  Client: PgClientClass<T>, address: PostgresAddress, options: PostgresTenantsOptions = {},
): PostgresTenants<T> {
  return tenants(options, (config) => pgDriver(Client, config), (tenant) =>
    pgOptions(address, tenant, options));
}

/**
 * Makes what `TenantPools` are told of the function that `postgres` exports, as {@link pgTenants}
 * does of the `Client` of `pg`.
 *
 * ```js
 * const tenants = new TenantPools({
 *   strategy: { perDatabase: { maxDatabases: 100, poolSize: 5 } },
 *   ...postgresTenants(postgres, { host, user, password }),
 * });
 * const rows = await tenants.use("acme", (sql) => sql`TABLE notes`);
 * ```
 */
export function postgresTenants<T extends Sql>(
  postgres: PostgresFunction<T>, address: PostgresAddress, options: PostgresTenantsOptions = {},
): PostgresTenants<T> {
  return tenants(options, (config) => sqlDriver(postgres, config), (tenant) =>
    sqlOptions(address, tenant, options));
}

function tenants<T extends object>(
  options: PostgresTenantsOptions,
  driverOf: (config?: object) => Driver<T>,
  configOf: (tenant: Tenant) => object,
): PostgresTenants<T> {
  checkNames(options, ["reset", "setting", "sharedSchemas", "role"]);
  const { reset } = options;
  if (reset !== undefined) checkReset(reset);
  checkContext(options);
  const { run } = driverOf();
  return {
    factory(tenant) {
      const config = configOf(tenant);
      return factory(driverOf(config), secretsOf(config), { reset }, isNobody(tenant));
    },
    enter: async (connection, tenant) =>
      await ask(of(connection), "context", [], async () =>
        put(settingsOf(tenant, options), async (text, values) => run(connection, text, values))),
  };
}

/** Puts settings on a session, until its next reset. */
async function put(
  settings: Record<string, string>,
  run: (text: string, values: string[]) => Promise<readonly unknown[]>,
): Promise<void> {
  const all = Object.entries(settings);
  const calls = all.map((_, at) =>
    `pg_catalog.set_config($${2 * at + 1}::text, $${2 * at + 2}::text, false)`);
  await run(`SELECT ${calls.join(", ")}`, all.flat());
  const { role } = settings;
  if (role !== undefined) await seeThatPoliciesHold(async () => run(ABOVE, []));
}

async function seeThatPoliciesHold(look: () => Promise<readonly unknown[]>): Promise<void> {
  const [row] = (await look()) as readonly Above[];
  if (row === undefined) return;
  const role = JSON.stringify(row.above);
  throw new Error(`tenants cannot share connections of the role ${role}, which policies of `
    + "row-level security do not hold for: take one that is no superuser and has no BYPASSRLS");
}

/** Asks the server something that it is to answer at once. */
async function ask(
  session: Session, kind: PostgresErrorKind, secrets: readonly string[],
  question: () => Promise<unknown>,
): Promise<void> {
  session.stuck = true;
  try {
    await question();
    session.heard = Date.now();
  } catch (error) {
    throw session.lost ?? new PostgresError(kind, error, secrets);
  } finally {
    session.stuck = false;
  }
}

function factory<T extends object>(
  driver: Driver<T>, secrets: readonly string[], options: PostgresOptions, isShared: boolean,
): PostgresFactory<T> {
  const { reset = "session" } = options;
  checkReset(reset);

  async function create({ signal }: Job): Promise<T> {
    const session: Session = { lost: undefined, stuck: false, heard: 0, backend: undefined };
    const lose = (error: unknown) => {
      session.lost ??= new PostgresError("lost", error, secrets);
    };
    try {
      const connection = await driver.open(lose, signal);
      sessions.set(connection, session);
      session.backend = await within(connection, signal, async () => who(connection));
      if (isShared) await within(connection, signal, async () => seeIt(connection));
      session.heard = Date.now();
      return connection;
    } catch (error) {
      throw error instanceof PostgresError ? error : sort(error, secrets);
    }
  }

  /** Does something over a connection, which is shut if that is given up. */
  async function within<R>(
    connection: T, signal: AbortSignal, work: () => Promise<R>,
  ): Promise<R> {
    const giveUp = () => void driver.shut(connection, true).catch(ignore);
    signal.addEventListener("abort", giveUp);
    try {
      if (signal.aborted) giveUp();
      return await work();
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  }

  async function who(connection: T): Promise<Backend | undefined> {
    try {
      const [row] = await driver.run(connection, WHO);
      if (row === undefined) {
        const told = new Error("its pg_stat_activity does not show the connection");
        throw new PostgresError("refused", told, secrets);
      }
      const backend: Backend = row as Row;
      // Behind a pooler the server's process is everybody's.
      return backend.number === driver.numberOf(connection) ? backend : undefined;
    } catch (error) {
      void driver.shut(connection, true).catch(ignore);
      throw error;
    }
  }

  async function seeIt(connection: T): Promise<void> {
    try {
      await seeThatPoliciesHold(async () => driver.run(connection, ABOVE));
    } catch (error) {
      void driver.shut(connection, true).catch(ignore);
      throw new PostgresError("refused", error, secrets);
    }
  }

  function check(connection: T): boolean | Promise<boolean> {
    const session = of(connection);
    if (session.lost !== undefined) throw session.lost;
    if (Date.now() - session.heard < FRESH) return true;
    const question = async () => driver.run(connection, "SELECT 1");
    return ask(session, "reset", secrets, question).then(() => true);
  }

  async function clean(connection: T): Promise<void> {
    // A query that its caller did not wait for.
    await driver.free(connection);
    const whole = reset === "session" || (isShared && reset !== "discard-all");
    const first = whole ? `${END} ${SESSION}` : END;
    try {
      await driver.run(connection, first);
    } catch (error) {
      if ((error as { code?: unknown }).code !== IN_FAILED_TRANSACTION) throw error;
      await driver.run(connection, "ROLLBACK");
      await driver.run(connection, first);
    }
    // By itself: several statements at once are a transaction, in which not all may be.
    if (reset === "discard-all") await driver.run(connection, "DISCARD ALL");
    else if (typeof reset === "object") await driver.run(connection, reset.sql);
    else return;
    // What it left may be the holder's, or none where the connection began with one.
    await driver.run(connection, "RESET ROLE");
  }

  async function close(connection: T, { signal }: Job): Promise<void> {
    const session = of(connection);
    const { lost, stuck, backend } = session;
    // Its holder may have had the driver connect anew.
    if (lost !== undefined) return void driver.shut(connection, false).catch(ignore);
    const busy = (await driver.shut(connection, stuck)) || stuck;
    // Its socket is closed, which the server does not notice as long as it is busy.
    if (busy && backend !== undefined) await terminate(backend, signal).catch(ignore);
  }

  async function terminate({ number, started }: Backend, signal: AbortSignal): Promise<void> {
    const beside = await driver.open(ignore, signal);
    try {
      const work = async () => {
        await driver.run(beside, AS_LOGIN);
        await driver.run(beside, TERMINATE, [number, started]);
      };
      await within(beside, signal, work);
    } finally {
      await driver.shut(beside, false);
    }
  }

  return {
    create,
    check,
    async reset(connection) {
      const session = of(connection);
      if (session.lost !== undefined) throw session.lost;
      await ask(session, "reset", secrets, async () => clean(connection));
    },
    close,
    checkAfter: 0,
  };
}

function checkNames(options: object, taken: readonly string[]): void {
  const unknown = Object.keys(options).filter((name) => !taken.includes(name));
  if (unknown.length === 0) return;
  const are = taken.length === 1 ? "the option that is taken is" : "the options that are taken are";
  throw new TypeError(`unknown option ${unknown.join(", ")}: ${are} ${taken.join(", ")}`);
}

function checkReset(reset: unknown): void {
  const words = ["session", "discard-all", "rollback"];
  if (words.includes(reset as string)) return;
  if (typeof (reset as { sql?: unknown } | null)?.sql === "string") return;
  throw new TypeError(`reset must be one of ${words.join(", ")}, or { sql } with statements`);
}

function ignore(): void {
  // What is closed anyway may fail to be.
}
