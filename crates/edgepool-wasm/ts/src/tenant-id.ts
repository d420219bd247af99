import { PoolError } from "./errors.js";
import { wrong } from "./options.js";

/** Whose connections they are: what `create` is told. */
export interface Tenant {
  /** What callers name it by. */
  readonly id: string;
  /** With `perTenant`, the schema that is its own. Default `tenant_` and the id. */
  readonly schema: string | undefined;
  /** With `perDatabase`, the database that is its own. Default `tenant_` and the id. */
  readonly database: string | undefined;
}

/** PostgreSQL cuts off what is more, and two names that begin alike would be the same. */
export const LONGEST = 63;
const GOOD = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
const STRANGE = /[^A-Za-z0-9_.-]/u;
const TAKES = `an id has 1 to ${LONGEST} ASCII letters, digits, "_", "-" and ".", and begins with `
  + "a letter or a digit";

/**
 * Throws unless a tenant can have this id. What is wrong with it is told without it: it may be
 * long, and come from anyone.
 */
export function checkId(id: unknown, where = "TenantPools"): asserts id is string {
  if (typeof id !== "string") throw wrong(where, "tenant", "an id, which is a text", id);
  if (GOOD.test(id)) return;
  throw invalid(`${fault(id)}; ${TAKES}`);
}

function fault(id: string): string {
  if (id === "") return "it is empty";
  if (id.length > LONGEST) return `it has ${id.length} characters`;
  const at = id.search(STRANGE);
  return at < 0 ? `it begins with "${id[0]}"` : `it has ${show(id, at)} at ${at}`;
}

/** Shows a character by its number, if it is none that is plain to read. */
function show(id: string, at: number): string {
  const code = id.codePointAt(at) ?? 0;
  if (code > 0x20 && code < 0x7f) return JSON.stringify(String.fromCharCode(code));
  return `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}

/** Says that there can be no such tenant. */
export function invalid(why: string): PoolError {
  return new PoolError("invalid_tenant", `no tenant can have this id: ${why}`);
}

/**
 * Gives the name of what a tenant has to itself. An id is all ASCII: its length is that in bytes.
 */
export function ownName(id: string): string {
  const name = `tenant_${id}`;
  if (name.length <= LONGEST) return name;
  const text = `its schema or database would be named by ${name.length} characters, and names have `
    + `at most ${LONGEST}; give it a name of its own by the option "tenants"`;
  throw invalid(text);
}
