// A database that stands in for one: connections are made, queried and ended.

class FakeConnection {
  readonly number: number;
  open = true;
  inTransaction = false;

  constructor(number: number) {
    this.number = number;
  }

  get isOpen(): boolean {
    return this.open;
  }

  async query(text: string): Promise<string[]> {
    await later(1);
    if (!this.open) throw new Error("the connection is closed");
    if (text === "bad") throw new Error("syntax error");
    if (text === "begin") this.inTransaction = true;
    if (text === "rollback" || text === "commit") this.inTransaction = false;
    return [`${text}, by connection ${this.number}`];
  }

  async ping(): Promise<boolean> {
    await later(1);
    return this.open;
  }

  async end(): Promise<void> {
    await later(1);
    this.open = false;
  }
}

declare global {
  type Connection = FakeConnection;
  var connect: (options?: { signal?: AbortSignal }) => Promise<Connection>;
  /** How the next connects fail, one each. */
  var failures: Error[];
}

let made = 0;
globalThis.failures = [];
globalThis.connect = async () => {
  await later(1);
  const failure = globalThis.failures.shift();
  if (failure !== undefined) throw failure;
  made += 1;
  return new FakeConnection(made);
};

function later(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export {};
