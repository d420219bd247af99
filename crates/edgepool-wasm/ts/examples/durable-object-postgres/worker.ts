// The notes of many tenants in one PostgreSQL, a schema and a role each, over connections that are
// pooled in a Durable Object. The driver speaks TCP by `cloudflare:sockets` there.
//
//   CREATE ROLE tenant_acme;
//   GRANT tenant_acme TO app; -- who logs in
//   CREATE SCHEMA tenant_acme AUTHORIZATION tenant_acme;
//   SET ROLE tenant_acme;
//   CREATE TABLE tenant_acme.notes (note text NOT NULL);

import { DurableObject } from "cloudflare:workers";
import { PoolError } from "edgepool";
import { pgTenants } from "edgepool/postgres";
import { TenantPools } from "edgepool/tenants";
import pg from "pg";

interface Env {
  CONNECTIONS: DurableObjectNamespace<Connections>;
  PGHOST: string;
  PGPORT: string;
  PGUSER: string;
  PGPASSWORD: string;
  PGDATABASE: string;
}

/** Holds the connections of all tenants: one limit for everybody who calls the object. */
export class Connections extends DurableObject<Env> {
  readonly #tenants = new TenantPools({
    mode: "durable-object",
    strategy: { perTenant: { poolSize: 4 } },
    ...pgTenants(pg.Client, () => this.#address(), { role: ({ schema }) => schema }),
    budget: 8,
    // A tenant's connections end by the alarm, and the object may leave the memory with the last.
    idleTimeout: 30_000,
    setAlarm: (at) => this.ctx.storage.setAlarm(at),
  });

  #address(): object {
    const { PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE } = this.env;
    return {
      host: PGHOST, port: Number(PGPORT), user: PGUSER, password: PGPASSWORD,
      database: PGDATABASE, application_name: "notes",
    };
  }

  /** Closes what was idle for too long, without any request. */
  override async alarm(): Promise<void> {
    this.#tenants.tick();
  }

  /** GET reads the notes of the tenant that the path names, POST adds one. */
  override async fetch(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const note = request.method === "POST" ? await request.text() : undefined;
    try {
      const tenant = decodeURIComponent(pathname.slice(1));
      // With `request` a client that goes away while it waits leaves the queue.
      const notes = await this.#tenants.use(tenant, (client) => ask(client, note), { request });
      return Response.json(notes);
    } catch (error) {
      const code = error instanceof PoolError ? error.code : undefined;
      const isBad = code === "invalid_tenant" || error instanceof URIError;
      const status = isBad ? 400 : code === undefined ? 502 : 503;
      return new Response(`${error instanceof Error ? error.message : error}\n`, { status });
    }
  }
}

async function ask(client: pg.Client, note: string | undefined): Promise<string[]> {
  if (note !== undefined) await client.query("INSERT INTO notes VALUES ($1)", [note]);
  const { rows } = await client.query<{ note: string }>("SELECT note FROM notes");
  return rows.map((row) => row.note);
}

export default {
  // All tenants of the database in one object, whose `budget` is the limit of their connections.
  fetch(request, env) {
    return env.CONNECTIONS.getByName(env.PGDATABASE).fetch(request);
  },
} satisfies ExportedHandler<Env>;
