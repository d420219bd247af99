// A dozen tenants: rows of one table, schemas of one database, and databases.
import { beside } from "../drivers.mjs";

export const TENANTS = 12;
/** How many rows each has. */
export const ROWS = 4;
/** The database of those that have none of their own, and who logs in there. */
const DATABASE = "proof";
const APP = "app";

/** Connections that all share, and how many of them a tenant may have at once. */
const SHARED = 8;
const MAX_LEASES = 3;
/** Connections of each pool, and how many pools there may be: so few that some are evicted. */
export const POOL_SIZE = 2;
const POOLS = 10;
/** Connections of all pools of schemas together: fewer than these may have one by one. */
const BUDGET = 14;

/** The id of a tenant. Some have signs that an identifier has only in quotes. */
export function idOf(tenant) {
  const number = String(tenant).padStart(2, "0");
  return [`t${number}`, `Tenant-${number}`, `${number}.example_org`][tenant % 3];
}

/** The name of a tenant's schema, database and role. */
export const nameOf = (tenant) => `tenant_${idOf(tenant)}`;

/** What each tenant may have of what is shared. */
const shares = Array.from({ length: TENANTS }, (_, tenant) => [idOf(tenant), { max: MAX_LEASES }]);

/**
 * The ways in which tenants are kept apart: what their pools are told of it, the connections of a
 * pool, the most of them (`most` in all, `each` by one name) and of a tenant's leases, who logs in for
 * one, whose rights it has, and to which database it goes.
 */
export const KINDS = {
  rows: {
    strategy: (size) => ({ shared: { size } }),
    size: SHARED,
    tenants: Object.fromEntries(shares),
    most: SHARED,
    each: SHARED,
    leases: MAX_LEASES,
    login: () => APP,
    role: () => APP,
    database: () => DATABASE,
    context: {},
    isAlone: false,
  },
  schemas: {
    strategy: (poolSize) => ({ perTenant: { maxPools: POOLS, poolSize } }),
    size: POOL_SIZE,
    budget: BUDGET,
    most: BUDGET,
    each: POOL_SIZE,
    leases: POOL_SIZE,
    login: () => APP,
    role: nameOf,
    database: () => DATABASE,
    context: { role: ({ schema }) => schema },
    isAlone: false,
  },
  databases: {
    strategy: (poolSize) => ({ perDatabase: { maxDatabases: POOLS, poolSize } }),
    size: POOL_SIZE,
    most: POOLS * POOL_SIZE,
    each: POOL_SIZE,
    leases: POOL_SIZE,
    login: nameOf,
    role: nameOf,
    database: nameOf,
    context: {},
    isAlone: true,
  },
};

/** The passwords that have been changed, by who logs in. */
const passwords = new Map();
export const passwordOf = (user) => passwords.get(user) ?? "first";
export const rememberPassword = (user, password) => passwords.set(user, password);

/** What a tenant's connections are opened with, by its number; none if all share them. */
export function loginOf(kind, tenant) {
  const [user, database] = [kind.login(tenant), kind.database(tenant)];
  return { user, password: passwordOf(user), database };
}

let made;
/** Makes what the tests read, once for all of them. */
export function ready() {
  made ??= beside(make);
  return made;
}

async function make(server) {
  await server.run(role(APP));
  await server.run(`CREATE DATABASE ${DATABASE} OWNER ${APP}`);
  const names = Array.from({ length: TENANTS }, (_, tenant) => nameOf(tenant));
  await beside(async (inside) => {
    await inside.run(SHARED_NOTES);
    for (const [tenant, name] of names.entries()) {
      await inside.run(`${role(name)}; GRANT "${name}" TO ${APP};
        ${rows(tenant)}; CREATE SCHEMA "${name}" AUTHORIZATION "${name}";
        SET search_path TO "${name}"; ${notes(tenant)}; RESET search_path`);
    }
  }, DATABASE);
  for (const [tenant, name] of names.entries()) {
    await server.run(`CREATE DATABASE "${name}" OWNER "${name}"`);
    const own = `REVOKE CONNECT ON DATABASE "${name}" FROM PUBLIC; ${notes(tenant)}`;
    await beside((inside) => inside.run(own), name);
  }
}

const role = (name) => `CREATE ROLE "${name}" LOGIN PASSWORD 'first'`;

const TABLE = "CREATE TABLE notes (tenant text NOT NULL, number int NOT NULL)";

/** A table of the rows of all, of which a tenant sees its own. */
const SHARED_NOTES = `${TABLE}; ALTER TABLE notes OWNER TO ${APP};
  ALTER TABLE notes ENABLE ROW LEVEL SECURITY; ALTER TABLE notes FORCE ROW LEVEL SECURITY;
  CREATE POLICY own ON notes USING (tenant = current_setting('app.tenant', true))`;

const rows = (tenant) => `INSERT INTO notes
  SELECT '${idOf(tenant)}', number FROM generate_series(1, ${ROWS}) number`;

const notes = (tenant) => `${TABLE}; ${rows(tenant)}; ALTER TABLE notes OWNER TO "${nameOf(tenant)}"`;
