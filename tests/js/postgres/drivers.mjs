// The two drivers, under the names that the cases use.
import pg from "pg";
import postgres from "postgres";

import { pgFactory, postgresFactory } from "./package.mjs";

const { PGHOST: host, PGPORT, PGUSER: user, PGPASSWORD, PGDATABASE: database } = process.env;
if (!PGPORT) throw new Error("PGPORT is not set: run `cargo xtask test --only postgres-node`");
export const port = Number(PGPORT);
export const password = PGPASSWORD;

const pgConfig = (name, more) =>
  ({ host, port, user, password, database, application_name: name, ...more });
const sqlConfig = (name, more) =>
  ({ host, port, user, password, database, connection: { application_name: name }, ...more });

/**
 * By driver: a factory, how a connection runs a text, alone or with values, and how one listens
 * with it. Where that cannot be stopped the connection is not lent again.
 */
export const DRIVERS = {
  pg: {
    factory: (name, config, options) => pgFactory(pg.Client, pgConfig(name, config), options),
    byUrl: (url) => pgFactory(pg.Client, url),
    run: async (client, text, values) => (await client.query(text, values)).rows,
    listens: [(client, hear) => client.on("notification", hear).on("notice", hear)],
    canStopListening: true,
  },
  postgres: {
    factory: (name, config, options) => {
      // What the server warns of is no part of what the tests say.
      return postgresFactory(postgres, sqlConfig(name, { onnotice() {}, ...config }), options);
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

/** A connection beside the pools. */
export async function outside() {
  const client = new pg.Client(pgConfig("outside"));
  client.on("error", () => {});
  await client.connect();
  const run = async (text, values) => (await client.query(text, values)).rows;
  const backends = async (name) => {
    const text = "SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = $1";
    return (await run(text, [name]))[0].n;
  };
  return { run, backends, [Symbol.asyncDispose]: () => client.end() };
}
