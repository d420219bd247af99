/** What is known of a connection beside it. */
export interface Session {
  /** How it was lost, if it was. */
  lost: Error | undefined;
  /** Whether an answer is waited for that is to come at once. */
  stuck: boolean;
  /** When the server answered last, of what is asked here. */
  heard: number;
  /** What serves it at the server. */
  backend: Backend | undefined;
}

/** A process of the server. Its number may be another's one day. */
export interface Backend {
  number: number;
  started: string;
}

/** A client of `pg`, or what works as it does. */
export type PgClient = {
  /** Connects. */
  connect(): Promise<unknown>;
  /** Runs statements. */
  query(text: string, values?: unknown[]): Promise<unknown>;
  /** Disconnects. */
  end(): Promise<unknown>;
  /** Tells what happens. */
  on(event: string, listener: (...args: any[]) => unknown): unknown;
};

/** The class `Client` of `pg`. */
export type PgClientClass<T extends PgClient> = new (config?: never) => T;

/** What the function of `postgres` makes: a tag for queries. */
export type Sql = {
  /** Runs statements as they are. */
  unsafe(text: string, values?: never[]): PromiseLike<unknown>;
  /** Disconnects; `timeout` in seconds. */
  end(options?: { timeout?: number }): Promise<unknown>;
};

/** What `postgres` exports. */
export type PostgresFunction<T extends Sql> = {
  (url: string, options?: never): T;
  (options?: never): T;
};

/** What the factory asks of a driver. */
export interface Driver<T> {
  /** Connects; `lose` is told when the connection ends, and `signal` ends the attempt. */
  open(lose: (error: unknown) => void, signal: AbortSignal): Promise<T>;
  /** Runs statements, and gives the rows of all of them. */
  run(connection: T, text: string, values?: unknown[]): Promise<readonly unknown[]>;
  /**
   * Waits until no query is under way, as far as the driver tells, and takes away what the holder
   * has left at the connection in this process. It throws if that cannot be.
   */
  free(connection: T): Promise<void>;
  /** Disconnects, and gives whether a query may have been under way. */
  shut(connection: T, stuck: boolean): Promise<boolean>;
  /** The number of the server's process, as the connection was told of it. */
  numberOf(connection: T): number | undefined;
}

// The members of the drivers, by the names that they have there: the build shortens none that an
// interface has which is not exported.
type Listener = (...args: unknown[]) => void;
interface Client {
  connect(): Promise<unknown>;
  query(text: string, values?: unknown[]): Promise<PgResult | PgResult[]>;
  end(): Promise<unknown>;
  on(event: string, listener: (error?: unknown) => void): unknown;
  once?(event: string, listener: () => void): unknown;
  listeners?(event: string): Listener[];
  removeListener?(event: string, listener: Listener): unknown;
  readyForQuery?: boolean;
  processID?: number;
}
interface PgResult {
  rows?: unknown[];
}
interface Process {
  pid?: number;
}
interface Answer extends Array<unknown> {
  state?: Process;
}
interface SqlTag {
  unsafe(text: string, values?: unknown[]): PromiseLike<Answer>;
  end(options: { timeout: number }): Promise<unknown>;
  listen?: { sql?: unknown };
  subscribe?: unknown;
}
interface SqlOptions {
  max: number;
  idle_timeout: null;
  max_lifetime: null;
  onclose: (id: number) => void;
}

export function pgDriver<T extends PgClient>(
  Class: PgClientClass<T>, config: string | object | undefined,
): Driver<T> {
  const bare = (connection: T) => connection as unknown as Client;
  const own = new WeakMap<T, Map<string, Set<Listener>>>();
  return {
    async open(lose, signal) {
      const client = new Class(config as never);
      bare(client).on("error", lose);
      bare(client).on("end", () => lose(new Error("the connection has ended")));
      const giveUp = () => void bare(client).end().catch(lose);
      signal.addEventListener("abort", giveUp);
      try {
        await bare(client).connect();
      } catch (error) {
        giveUp();
        throw error;
      } finally {
        signal.removeEventListener("abort", giveUp);
      }
      own.set(client, listenersOf(bare(client)));
      return client;
    },
    async run(connection, text, values) {
      const result = await bare(connection).query(text, values);
      return (Array.isArray(result) ? result : [result]).flatMap(({ rows }) => rows ?? []);
    },
    async free(connection) {
      const client = bare(connection);
      if (client.readyForQuery === false) {
        await new Promise<void>((resolve) => {
          client.once?.("drain", resolve);
          client.once?.("end", resolve);
        });
      }
      for (const [event, listeners] of listenersOf(client)) {
        for (const listener of listeners) {
          if (own.get(connection)?.get(event)?.has(listener)) continue;
          client.removeListener?.(event, listener);
        }
      }
    },
    async shut(connection) {
      const busy = bare(connection).readyForQuery === false;
      await bare(connection).end();
      return busy;
    },
    numberOf: (connection) => bare(connection).processID,
  };
}

/** Finds who listens to a client of `pg`, by the events that it tells its holders. */
function listenersOf(client: Client): Map<string, Set<Listener>> {
  const events = ["drain", "end", "error", "notice", "notification"];
  return new Map(events.map((event) => [event, new Set(client.listeners?.(event))]));
}

/** How long queries under way may take when a connection is closed, in seconds. */
const FAREWELL = 1;
/**
 * How long an attempt may take to its end that is given up, in seconds. The driver asks for types as
 * it connects; cut off meanwhile, it leaves a rejected promise that nobody can handle.
 */
const GIVEN_UP = 5;

export function sqlDriver<T extends Sql>(
  postgres: PostgresFunction<T>, config: string | object | undefined,
): Driver<T> {
  const bare = (connection: T) => connection as unknown as SqlTag;
  const numbers = new WeakMap<T, number>();
  const subscribed = new WeakSet<T>();
  return {
    async open(lose, signal) {
      const given = (typeof config === "object" ? config : {}) as Partial<SqlOptions>;
      const onclose = (id: number) => {
        lose(new Error("the connection was closed"));
        given.onclose?.(id);
      };
      const options: SqlOptions = {
        ...given, max: 1, idle_timeout: null, max_lifetime: null, onclose,
      };
      const sql = typeof config === "string"
        ? postgres(config, options as never)
        : postgres(options as never);
      const giveUp = () => void bare(sql).end({ timeout: GIVEN_UP }).catch(lose);
      signal.addEventListener("abort", giveUp);
      try {
        // It connects with the first query.
        const { state } = await bare(sql).unsafe("SELECT 1");
        if (state?.pid !== undefined) numbers.set(sql, state.pid);
        watchSubscribe(bare(sql), () => subscribed.add(sql));
      } catch (error) {
        giveUp();
        throw error;
      } finally {
        signal.removeEventListener("abort", giveUp);
      }
      return sql;
    },
    // One statement gives its rows, several give theirs one by one.
    run: async (connection, text, values) => (await bare(connection).unsafe(text, values)).flat(),
    async free(connection) {
      // Queries wait for each other. What listens does so on a connection beside, with listeners of
      // the last holder: it ends with this one only.
      if (bare(connection).listen?.sql !== undefined || subscribed.has(connection)) {
        throw new Error("listen or subscribe was called, which opens a connection beside");
      }
    },
    async shut(connection, stuck) {
      // Set before the driver's own, which is of the same length: it is not later than that.
      let busy = false;
      const timer = setTimeout(() => (busy = true), FAREWELL * 1_000);
      try {
        await bare(connection).end({ timeout: stuck ? 0 : FAREWELL });
      } finally {
        clearTimeout(timer);
      }
      return busy;
    },
    numberOf: (connection) => numbers.get(connection),
  };
}

/** Calls `tell` if `subscribe` is called: of what it makes nothing can be seen. */
function watchSubscribe(sql: SqlTag, tell: () => void): void {
  const { subscribe } = sql;
  if (typeof subscribe !== "function") return;
  const watched = (...values: unknown[]) => {
    tell();
    return subscribe(...values);
  };
  sql.subscribe = Object.assign(watched, subscribe);
}
