// The two drivers, under the names that the cases use.
import pg from "pg";
import postgres from "postgres";

import { pgFactory, pgTenants, postgresFactory, postgresTenants } from "./package.mjs";

const { PGHOST: host, PGPORT, PGUSER: user, PGPASSWORD, PGDATABASE: database } = process.env;
if (!PGPORT) throw new Error("PGPORT is not set: run `cargo xtask test --only postgres-node`");
export const port = Number(PGPORT);
export const password = PGPASSWORD;

const pgConfig = (name, more) =>
  ({ host, port, user, password, database, application_name: name, ...more });
const sqlConfig = (name, more) =>
  ({ host, port, user, password, database, connection: { application_name: name }, ...more });

// What the server warns of is no part of what the tests say.
const QUIET = { onnotice() {} };
// Where the server breaks off while the driver asks for the types of arrays, it leaves a rejection that
// nobody can handle.
const TYPELESS = { fetch_types: false };

/**
 * By driver: a factory; what tenants' pools are told, where `of` gives the name of a tenant's
 * connections and more; how a connection runs a text, alone or with values; and how one listens with
 * it. Where that cannot be stopped the connection is not lent again.
 */
export const DRIVERS = {
  pg: {
    factory: (name, config, options) => pgFactory(pg.Client, pgConfig(name, config), options),
    tenants: (of, options) => {
      return pgTenants(pg.Client, (tenant) => pgConfig(...of(tenant)), options);
    },
    byUrl: (url) => pgFactory(pg.Client, url),
    run: async (client, text, values) => (await client.query(text, values)).rows,
    listens: [(client, hear) => client.on("notification", hear).on("notice", hear)],
    canStopListening: true,
  },
  postgres: {
    factory: (name, config, options) => {
      return postgresFactory(postgres, sqlConfig(name, { ...QUIET, ...config }), options);
    },
    tenants: (of, options) => {
      const config = (name, more) => sqlConfig(name, { ...QUIET, ...TYPELESS, ...more });
      return postgresTenants(postgres, (tenant) => config(...of(tenant)), options);
    },
    byUrl: (url) => postgresFactory(postgres, url),
    run: async (sql, text, values) => sql.unsafe(text, values),
    listens: [
      (sql, hear) => sql.listen("gossip", hear),
      // It fails, as there is no publication, but might have opened its connection.
      (sql, hear) => sql.subscribe("*", hear).catch(() => {}),
    ],
    canStopListening: false,
  },
};

/** A connection beside the pools, to this database. */
export async function outside(database) {
  const more = database === undefined ? {} : { database };
  const client = new pg.Client(pgConfig("outside", more));
  client.on("error", () => {});
  await client.connect();
  const run = async (text, values) => (await client.query(text, values)).rows;
  const backends = async (name) => {
    const text = "SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = $1";
    return (await run(text, [name]))[0].n;
  };
  return { run, backends, [Symbol.asyncDispose]: () => client.end() };
}

/** Does something with a connection beside the pools, to this database. */
export async function beside(work, database) {
  const connection = await outside(database);
  try {
    return await work(connection);
  } finally {
    await connection[Symbol.asyncDispose]();
  }
}
