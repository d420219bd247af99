// Connections to Redis, pooled in a Durable Object.
//
// A plain Worker cannot lend a socket from one request to the next: the runtime ties it to the
// request that opened it. All requests of a Durable Object share one context, so there it can.

import { DurableObject } from "cloudflare:workers";
import { Pool, PoolError } from "edgepool";
import { Connection } from "./redis";

interface Env {
  CONNECTIONS: DurableObjectNamespace<Connections>;
  /** Where Redis is: `host:port`. */
  REDIS: string;
}

/** Holds the connections: one set for each name that an object is asked for by. */
export class Connections extends DurableObject<Env> {
  readonly #pool = new Pool<Connection>({
    mode: "durable-object",
    create: ({ signal }) => this.#open(signal),
    // An idle connection is asked before it is lent, if it was idle for a second or more.
    check: (connection) => connection.send("PING"),
    // What a command has left broken is closed, and not lent again.
    reset: (connection) => connection.mustBeOpen(),
    close: (connection) => connection.close(),
    max: 4,
    // One is ready at all times. It keeps the object in memory; 0 would let it go.
    minIdle: 1,
    idleTimeout: 30_000,
    checkInterval: 60_000,
    // For what is due while nobody waits: a timer would keep the object in memory for it.
    setAlarm: (at) => this.ctx.storage.setAlarm(at),
  });

  async #open(signal: AbortSignal): Promise<Connection> {
    const connection = await Connection.open(this.env.REDIS, signal);
    // One that the server closes while it is idle leaves the pool at once.
    void connection.closed.then(() => this.#pool.retain(({ isOpen }) => isOpen));
    return connection;
  }

  /** Closes what was idle for too long, and keeps `minIdle` ready, without any request. */
  override async alarm(): Promise<void> {
    this.#pool.tick();
  }

  /** GET reads the key that the path names, PUT writes it. */
  override async fetch(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/stats") return Response.json(this.#pool.stats());
    const key = pathname.slice(1);
    const command = request.method === "PUT" ? ["SET", key, await request.text()] : ["GET", key];
    try {
      // With `request` a client that goes away while it waits leaves the queue.
      const reply = await this.#pool.use((connection) => connection.send(...command), { request });
      return reply === null ? new Response("no such key\n", { status: 404 }) : new Response(reply);
    } catch (error) {
      const status = error instanceof PoolError ? 503 : 502;
      return new Response(`${error instanceof Error ? error.message : error}\n`, { status });
    }
  }
}

export default {
  fetch(request, env) {
    return env.CONNECTIONS.getByName("redis").fetch(request);
  },
} satisfies ExportedHandler<Env>;
