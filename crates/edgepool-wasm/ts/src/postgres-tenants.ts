import { LONGEST, type Tenant } from "./tenant-id.js";

/** What a tenant's session is, under each strategy: what `pgTenants` is told beside the address. */
export interface PostgresContext {
  /** The name of the setting that has the tenant's id, with a point in it. Default `app.tenant`. */
  setting?: string | undefined;
  /**
   * The schemas in which a tenant finds what its own has not, such as `public`. Default none: a
   * table that is missing in a tenant's schema is missing.
   */
  sharedSchemas?: readonly string[] | undefined;
  /**
   * Says which role a tenant's connections have, if any: one that the user who logs in is a member
   * of. Default none.
   */
  role?: ((tenant: Tenant) => string | undefined) | undefined;
}

/** Where a driver is to connect to, and what it logs in with: of all tenants alike, or for each. */
export type PostgresAddress = object | ((tenant: Tenant) => object);

// The options of the drivers, by the names that they have there.
interface PgOptions {
  connectionString?: unknown;
  database?: string;
  options?: string;
}
interface SqlOptions {
  database?: string;
  connection?: Record<string, unknown>;
}

const SETTING = /^[a-z_]\w*(?:\.[a-z_]\w*)+$/i;

/** Throws a TypeError if the context cannot be that of any tenant. */
export function checkContext({ setting, sharedSchemas, role }: PostgresContext): void {
  if (setting !== undefined && !SETTING.test(String(setting))) {
    throw new TypeError("setting must be a name with a point in it, such as app.tenant");
  }
  if (sharedSchemas !== undefined && !Array.isArray(sharedSchemas)) {
    throw new TypeError("sharedSchemas must be an array of names");
  }
  for (const name of sharedSchemas ?? []) checkName("sharedSchemas", name);
  if (role !== undefined && typeof role !== "function") {
    throw new TypeError("role must be a function that gives the role of a tenant");
  }
}

/** Whether connections are meant that all tenants share. */
export function isNobody({ id }: Tenant): boolean {
  return id === "";
}

/** Gives the settings of a tenant's session. */
export function settingsOf(tenant: Tenant, context: PostgresContext): Record<string, string> {
  if (isNobody(tenant)) return {};
  const { setting = "app.tenant", sharedSchemas = [], role } = context;
  const settings: Record<string, string> = { [setting]: tenant.id };
  if (tenant.schema !== undefined) {
    checkName("schema", tenant.schema);
    settings["search_path"] = [tenant.schema, ...sharedSchemas].map(quoted).join(", ");
  }
  const own = role?.(tenant);
  if (own !== undefined) {
    checkName("role", own);
    // To PostgreSQL it is the one that logs in, who may do what every tenant may.
    if (own === "none") throw new TypeError('role: "none" is no role but that of the login');
    settings["role"] = own;
  }
  return settings;
}

/** Gives the options by which `pg` connects for a tenant. */
export function pgOptions(
  address: PostgresAddress, tenant: Tenant, context: PostgresContext,
): object {
  const given: PgOptions = addressOf(address, tenant);
  if (given.connectionString !== undefined) throw noString("connectionString");
  const words = Object.entries(settingsOf(tenant, context)).map(([name, value]) =>
    `-c ${escaped(`${name}=${value}`)}`);
  const options = [given.options, ...words].filter(Boolean).join(" ");
  const { database } = tenant;
  const begun: PgOptions = database === undefined ? { options } : { options, database };
  return { ...given, ...begun };
}

/** Gives the options by which `postgres` connects for a tenant. */
export function sqlOptions(
  address: PostgresAddress, tenant: Tenant, context: PostgresContext,
): object {
  const given: SqlOptions = addressOf(address, tenant);
  const connection = { ...given.connection, ...settingsOf(tenant, context) };
  const { database } = tenant;
  const begun: SqlOptions = database === undefined ? { connection } : { connection, database };
  return { ...given, ...begun };
}

function addressOf(address: PostgresAddress, tenant: Tenant): object {
  const given: unknown = typeof address === "function" ? address(tenant) : address;
  if (typeof given === "object" && given !== null) return given;
  throw noString("the address");
}

function noString(what: string): TypeError {
  const parts = "{ host, port, user, password, database }";
  return new TypeError(`${what} must be given in its parts, as ${parts}, or by a function that `
    + "gives those of a tenant: which database it is differs between tenants");
}

/** What PostgreSQL would cut off could be another tenant's, and `$user` is no name in a path. */
function checkName(where: string, name: unknown): asserts name is string {
  const isName = typeof name === "string" && /^[^\0]+$/.test(name) && name !== "$user"
    && new TextEncoder().encode(name).length <= LONGEST;
  if (isName) return;
  const text = JSON.stringify(String(name).slice(0, 2 * LONGEST));
  throw new TypeError(`${where}: ${text} is no name of 1 to ${LONGEST} bytes in UTF-8`);
}

/** Writes a name so that it is taken as it stands. */
function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Writes a setting as one word of those that a session begins with: white space would end it. */
function escaped(text: string): string {
  return text.replace(/[\\ \t\n\r\v\f]/g, "\\$&");
}
