// A dozen tenants: schemas of one database, and databases.
import { beside } from "../drivers.mjs";

export const TENANTS = 12;
/** How many rows each has. */
export const ROWS = 4;
/** The database of those that have none of their own, and who logs in there. */
const DATABASE = "proof";
const APP = "app";

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

/**
 * The ways in which tenants are kept apart: what their pools are told of it, the most connections in
 * all, who logs in for one, and to which database.
 */
export const KINDS = {
  schemas: {
    strategy: (poolSize) => ({ perTenant: { maxPools: POOLS, poolSize } }),
    budget: BUDGET,
    most: BUDGET,
    login: () => APP,
    database: () => DATABASE,
    context: { role: ({ schema }) => schema },
    isAlone: false,
  },
  databases: {
    strategy: (poolSize) => ({ perDatabase: { maxDatabases: POOLS, poolSize } }),
    budget: Infinity,
    most: POOLS * POOL_SIZE,
    login: nameOf,
    database: nameOf,
    context: {},
    isAlone: true,
  },
};

/** The passwords that have been changed, by who logs in. */
const passwords = new Map();
export const passwordOf = (user) => passwords.get(user) ?? "first";
export const rememberPassword = (user, password) => passwords.set(user, password);

/** What a tenant's connections are opened with, by its number. */
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
    for (const [tenant, name] of names.entries()) {
      await inside.run(`${role(name)}; GRANT "${name}" TO ${APP};
        CREATE SCHEMA "${name}" AUTHORIZATION "${name}"; SET search_path TO "${name}";
        ${notes(tenant)}`);
    }
  }, DATABASE);
  for (const [tenant, name] of names.entries()) {
    await server.run(`CREATE DATABASE "${name}" OWNER "${name}"`);
    const own = `REVOKE CONNECT ON DATABASE "${name}" FROM PUBLIC; ${notes(tenant)}`;
    await beside((inside) => inside.run(own), name);
  }
}

const role = (name) => `CREATE ROLE "${name}" LOGIN PASSWORD 'first'`;

const notes = (tenant) => `CREATE TABLE notes (tenant text NOT NULL, number int NOT NULL);
  INSERT INTO notes SELECT '${idOf(tenant)}', number FROM generate_series(1, ${ROWS}) number;
  ALTER TABLE notes OWNER TO "${nameOf(tenant)}"`;
