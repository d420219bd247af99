import { refuse } from "./refuse.js";
import { NOBODY, TENANT_PATH, faultOfId } from "./tenant-id.js";
import type { TenantBy, TenantsConfig } from "./tenants-config.js";
import { KEYS } from "./upstream.js";

/** Whose a request is, and what it asks for. */
export interface Caller {
  /** The tenant; there is none where nobody has tenants. */
  tenant: string | undefined;
  /** The path behind what names the tenant, and that: URLs that this caller may use begin so. */
  path: string;
  prefix: string;
}

/** What is asked where nobody has tenants. */
export function anyone(path: string): Caller {
  return { tenant: undefined, path, prefix: "" };
}

/** What a request tells of its tenant: an id, perhaps in its path, or a key, or nothing. */
type Told = { id: string; below?: Pick<Caller, "path" | "prefix"> } | { key: string } | undefined;

const PATH = new RegExp(`^(?<prefix>/${TENANT_PATH}/(?<id>[^/]*))(?<path>.*)$`);
const BEARER = /^bearer +(\S+) *$/i;

/** How many requests were refused as nobody knows whose they are, by the code that was told. */
export interface Rejections {
  tenant_required: number;
  invalid_tenant: number;
  unknown_tenant: number;
  unknown_key: number;
}

/**
 * Finds out whose requests are. What it refuses is told without the names of other tenants, and
 * without the key or the id that was sent.
 */
export class Tenants {
  /** The headers that are for the gateway, and for no provider. */
  readonly headers: readonly string[];
  readonly rejections: Rejections = {
    tenant_required: 0, invalid_tenant: 0, unknown_tenant: 0, unknown_key: 0,
  };
  private readonly config: TenantsConfig;
  private readonly digests: [id: string, digest: Uint32Array][];

  constructor(config: TenantsConfig) {
    const { by, named } = config;
    this.config = config;
    this.headers = typeof by === "object" ? [by.header] : [];
    this.digests = Object.entries(named).flatMap(([id, { keySha256: hex }]) =>
      (hex === undefined ? [] : [[id, words(hex)]]));
  }

  /** Tells whose a request is, or refuses it. */
  async callerOf(headers: Headers, pathname: string): Promise<Caller | Response> {
    const { by, without } = this.config;
    const told = read(by, headers, pathname);
    if (told === undefined) {
      return without === "nobody" ? { ...anyone(pathname), tenant: NOBODY } : this.missing();
    }
    if ("key" in told) {
      const tenant = await this.ofKey(told.key);
      return tenant instanceof Response ? tenant : { ...anyone(pathname), tenant };
    }
    const tenant = this.known(told.id);
    return tenant instanceof Response ? tenant : { ...anyone(pathname), ...told.below, tenant };
  }

  private known(id: string): string | Response {
    const fault = faultOfId(id);
    if (fault !== undefined) return this.reject(400, "invalid_tenant", fault);
    if (this.config.unknown === "create" || Object.hasOwn(this.config.named, id)) return id;
    return this.reject(403, "unknown_tenant", "this tenant is not known here");
  }

  /**
   * Finds whose key this is. Each digest is compared to its end, and all of them: the time that it
   * takes tells nothing of them.
   */
  private async ofKey(key: string): Promise<string | Response> {
    const given = new Uint32Array(
      await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key)),
    );
    let found: string | undefined;
    for (const [id, digest] of this.digests) {
      const differs = digest.reduce((all, word, at) => all | (word ^ (given[at] as number)), 0);
      if (differs === 0) found = id;
    }
    return found ?? this.reject(401, "unknown_key", "the key is no tenant's");
  }

  private missing(): Response {
    const { by } = this.config;
    if (by === "key") {
      const message = "a tenant's key is needed: send it as authorization: Bearer KEY, or as "
        + "x-api-key";
      return this.reject(401, "tenant_required", message);
    }
    const how = by === "path"
      ? `begin the path with /${TENANT_PATH}/TENANT/` : `send its id in the header ${by.header}`;
    return this.reject(403, "tenant_required", `the request tells no tenant: ${how}`);
  }

  private reject(status: number, code: keyof Rejections, message: string): Response {
    this.rejections[code] += 1;
    return refuse(status, code, message, status === 401 ? { "www-authenticate": "Bearer" } : {});
  }
}

function read(by: TenantBy, headers: Headers, pathname: string): Told {
  if (by === "key") return keyIn(headers);
  if (by === "path") {
    const { prefix = "", id = "", path = "" } = PATH.exec(pathname)?.groups ?? {};
    return prefix === "" ? undefined : { id, below: { path: path || "/", prefix } };
  }
  const id = headers.get(by.header);
  return id === null ? undefined : { id };
}

/** The key where a client puts one: as a bearer's, or in a header of its own. */
function keyIn(headers: Headers): Told {
  for (const name of KEYS) {
    const text = headers.get(name);
    const key = text !== null && name === "authorization" ? BEARER.exec(text)?.[1] : text;
    if (key) return { key };
  }
  return undefined;
}

/** Reads a digest as `crypto.subtle` gives it. */
function words(hex: string): Uint32Array {
  const bytes = hex.match(/../g) ?? [];
  return new Uint32Array(Uint8Array.from(bytes, (byte) => Number.parseInt(byte, 16)).buffer);
}
