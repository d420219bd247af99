/**
 * What kept a connection from being made, or kept:
 *
 * - `unreachable`: the server did not answer, or broke off;
 * - `denied`: it refuses the user, the password or the database;
 * - `busy`: it has no place for a connection now, or is starting or stopping;
 * - `refused`: it refused the connection for another reason;
 * - `lost`: the connection ended;
 * - `reset`: the connection could not be cleaned;
 * - `context`: one that tenants share could not be made one of a tenant.
 */
export type PostgresErrorKind =
  | "unreachable" | "denied" | "busy" | "refused" | "lost" | "reset" | "context";

const WORDS: Record<PostgresErrorKind, string> = {
  unreachable: "PostgreSQL cannot be reached",
  denied: "PostgreSQL denies access",
  busy: "PostgreSQL takes no connection now",
  refused: "PostgreSQL refused the connection",
  lost: "the connection was lost",
  reset: "the connection could not be cleaned",
  context: "the connection could not be made one of the tenant",
};

// `severity` tells what the server said from what the system did.
interface Told {
  code?: unknown;
  message?: unknown;
  severity?: unknown;
}

/**
 * Why there is no connection; the `cause` of a pool's `CreateError`. It has neither the password nor
 * the driver's error, which may: that of an address that cannot be read shows it.
 */
export class PostgresError extends Error {
  /** What happened. */
  readonly kind: PostgresErrorKind;
  /** What the server called it, such as `28P01`, or else the system, such as `ECONNREFUSED`. */
  readonly code: string | undefined;

  /** @internal */
  constructor(kind: PostgresErrorKind, error: unknown, secrets: readonly string[]) {
    const { code, message } = (error ?? {}) as Told;
    const said = secrets.reduce(
      (text, secret) => text.replaceAll(secret, "***"), String(message ?? ""));
    const word = typeof code === "string" ? code : undefined;
    const rest = [said && `: ${said}`, word && ` (${word})`].filter(Boolean).join("");
    super(`${WORDS[kind]}${rest}`);
    this.name = "PostgresError";
    this.kind = kind;
    this.code = word;
  }
}

const KINDS: Record<string, PostgresErrorKind> = {
  "28P01": "denied", "28000": "denied", "3D000": "denied", "42501": "denied",
  "53300": "busy", "57P03": "busy", "57P01": "busy", "57P02": "busy",
};

/** Sorts the failure of an attempt to connect. */
export function sort(error: unknown, secrets: readonly string[]): PostgresError {
  const { code, message, severity } = (error ?? {}) as Told;
  const named = KINDS[String(code)];
  // Without a word of the server, a login fails where the password is missing.
  const login = /^SASL|password/i.test(String(message ?? "")) ? "denied" : "unreachable";
  return new PostgresError(named ?? (severity === undefined ? login : "refused"), error, secrets);
}

/** Finds what must not be shown of how connections are made. */
export function secretsOf(config: string | object | undefined): readonly string[] {
  const options = (typeof config === "object" ? config : {}) as Record<string, unknown>;
  const found = new Set<string>();
  for (const name of ["password", "pass"]) {
    const text = options[name];
    if (typeof text === "string") found.add(text);
  }
  for (const text of [config, options["connectionString"]]) {
    if (typeof text !== "string") continue;
    found.add(text);
    const inUser = /^[^/]*\/\/[^:]*:(.*)@/s.exec(text)?.[1];
    const inQuery = /[?&]password=([^&#]*)/.exec(text)?.[1];
    for (const part of [inUser, inQuery]) {
      if (part !== undefined) found.add(part).add(decoded(part));
    }
  }
  found.delete("");
  return [...found].sort((a, b) => b.length - a.length);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
