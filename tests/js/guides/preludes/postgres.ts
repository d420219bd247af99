// The drivers of PostgreSQL stand in for themselves: they connect to nothing and answer at once.

/** Whoever logs in has no more rights than policies hold for. */
function rowsOf(text: string): object[] {
  if (/pg_roles/.test(text)) return [];
  return /pg_stat_activity/.test(text) ? [{ number: 1, started: "now" }] : [{ answer: 42 }];
}

class FakeClient {
  readonly processID = 1;
  readonly heard: ((error?: unknown) => void)[] = [];
  ended = false;

  constructor(readonly config?: string | { password?: string; host?: string }) {}

  on(_event: string, listener: (error?: unknown) => void): this {
    this.heard.push(listener);
    return this;
  }

  async connect(): Promise<void> {
    if (typeof this.config === "object" && this.config.password === "wrong") {
      const message = 'password authentication failed for user "app"';
      throw Object.assign(new Error(message), { code: "28P01", severity: "FATAL" });
    }
  }

  async query<R = Record<string, unknown>>(text: string, _values?: unknown[]): Promise<{ rows: R[] }> {
    return { rows: rowsOf(text) as R[] };
  }

  async end(): Promise<void> {
    this.ended = true;
    for (const listener of this.heard) listener();
  }
}

interface FakeSql {
  (texts: TemplateStringsArray, ...values: unknown[]): Promise<{ answer: number }[]>;
  unsafe(text: string, values?: unknown[]): Promise<unknown[]>;
  end(options?: { timeout?: number }): Promise<void>;
}

function fakePostgres(_config?: string | object, _options?: object): FakeSql {
  const sql = async () => [{ answer: 42 }];
  const unsafe = async (text: string) =>
    Object.assign(rowsOf(text), { text, state: { pid: 1 } });
  return Object.assign(sql, { unsafe, end: async () => {} });
}

declare global {
  type Client = FakeClient;
  var Client: typeof FakeClient;
  var postgres: typeof fakePostgres;
  var password: string;
}

globalThis.Client = FakeClient;
globalThis.postgres = fakePostgres;
globalThis.password = "right";

export {};
