import type { Clock } from "./clock.js";
import { PoolError } from "./errors.js";
import type { PoolEvent } from "./events.js";
import type { Job } from "./jobs.js";
import {
  checkNames, readCount, readDuration, readFunction, readWord, wrong,
} from "./options.js";
import type { Mode } from "./runtime.js";
import {
  type Backoff, MOST_RESOURCES, type PoolOptions, type Settings, defaultMinIdle, readSettings,
} from "./settings.js";
import { LONGEST, type Tenant, checkId, ownName } from "./tenant-id.js";
import type { TenantState } from "./tenant-member.js";

/** How tenants are kept apart, and how many connections there are. */
export type TenantStrategy = {
  /** One pool for all: `enter` puts a tenant's context on a connection, `reset` takes it off. */
  readonly shared: {
    /** The most connections. Default 20. */
    readonly size?: number | undefined;
  };
} | {
  /** A pool for each tenant, for whose connections `create` chooses the tenant's schema. */
  readonly perTenant: {
    /** The most pools at once. Default 100, or `budget` if that is less. */
    readonly maxPools?: number | undefined;
    /** The most connections of each. Default 5, or `budget` if that is less. */
    readonly poolSize?: number | undefined;
  };
} | {
  /** A pool for each tenant, which has a database to itself. */
  readonly perDatabase: {
    /** The most databases at once. Default 100, or `budget` if that is less. */
    readonly maxDatabases?: number | undefined;
    /** The most connections to each. Default 5, or `budget` if that is less. */
    readonly poolSize?: number | undefined;
  };
};

/** What one tenant has that the others have not. */
export interface TenantOptions {
  /** The most connections that it has at once, in place of `poolSize`; with `shared`, of `size`. */
  max?: number | undefined;
  /** The most of its callers that wait, in place of `maxWaiting`; with `shared`, of all those. */
  maxWaiting?: number | undefined;
  /**
   * Its share where not all have what they want, from 1 to 1,000,000; it needs a `budget`, or the
   * strategy `shared`. Default 1.
   */
  weight?: number | undefined;
  /** With `perTenant`, the name of its schema. */
  schema?: string | undefined;
  /** With `perDatabase`, the name of its database. */
  database?: string | undefined;
}

/** Something that happened to a tenant. */
export type TenantEvent = PoolEvent | {
  /** Its pool was opened, is ready, is to be closed, or has closed. */
  type: "state";
  /** What it is from now on. */
  state: TenantState;
};

/** How the connections of one tenant are made and looked after: as `pgFactory` gives it, too. */
export interface TenantFactory<T>
  extends Pick<PoolOptions<T>, "create" | "check" | "reset" | "close" | "checkAfter"> {}

/** The options of a pool that are not the same for those of tenants. */
type Other = "create" | "max" | "minIdle" | "idleTimeout" | "observer" | "setAlarm";

/**
 * The options of {@link TenantPools}. Those of a `Pool` hold for the pool of each tenant. Durations
 * in ms; `Infinity` is no limit, or never.
 */
export interface TenantPoolsOptions<T> extends Omit<PoolOptions<T>, Other> {
  /** How tenants are kept apart. */
  strategy: TenantStrategy;
  /**
   * Makes a connection for a tenant, as the `create` of a `Pool` does; with `shared` for whoever
   * may have it: the tenant's id is empty then.
   */
  create?: ((tenant: Tenant, job: Job) => T | PromiseLike<T>) | undefined;
  /**
   * With `shared`, puts a tenant's context on a connection before its caller is given it, who waits
   * for that. If it throws, rejects or takes longer than the caller has time, the connection is
   * closed, and the caller gets the error; after `breaker` failures in a row the tenant's callers
   * are refused with an UnavailableError, for as long as `backoff` says. It needs `reset`, which
   * takes the context off: if that fails, the connection is closed too. The other strategies do not
   * call it, as each connection has one tenant there.
   */
  enter?: ((connection: T, tenant: Tenant, job: Job) => unknown) | undefined;
  /**
   * Says how a tenant's connections are made and looked after, in place of `create`, `check`,
   * `reset`, `close` and `checkAfter`. It is asked when the tenant's pool is opened, with `shared`
   * once for all, and after `invalidate` for the next connection: a connection is looked after by
   * what it was made by.
   * Which of them there are, and `checkAfter`, stay as they were when the pool was opened.
   */
  factory?: ((tenant: Tenant) => TenantFactory<T>) | undefined;
  /**
   * How many connections are made when a pool is opened; with `shared`, how many are kept ready.
   * Default 1; in Workers and objects 0.
   */
  warmUp?: number | undefined;
  /**
   * How long a tenant is not asked for before its pool is closed, and a connection before it is.
   * Default 300,000.
   */
  idleTimeout?: number | undefined;
  /** The most connections of all pools together; with `shared` that is `size`. Default no limit. */
  budget?: number | undefined;
  /**
   * What becomes of a tenant that `tenants` does not name: `create` opens a pool for it, `refuse`
   * refuses its callers. Default `create`.
   */
  unknown?: "create" | "refuse" | undefined;
  /** The tenants that have something of their own, by their ids. */
  tenants?: Record<string, TenantOptions> | undefined;
  /** Is told what happens, and to which tenant. What it throws is dropped. */
  observer?: ((event: TenantEvent, tenant: Tenant) => void) | undefined;
  /** Durable-object mode: asks for `tick()` at a time in ms since 1970. */
  setAlarm?: ((at: number) => unknown) | undefined;
}

/** What holds for all tenants; see the options of the same names. */
export interface TenantPoolsConfig {
  /** Which strategy it is. */
  readonly strategy: "shared" | "perTenant" | "perDatabase";
  /**
   * The most pools at once: `maxPools` or `maxDatabases`, or `budget` if that is less. With
   * `shared` any number of tenants may have a share.
   */
  readonly maxPools: number;
  /** The most connections of each pool; with `shared`, of the one. */
  readonly poolSize: number;
  /** How many connections are made when a pool is opened. */
  readonly warmUp: number;
  /** How long a tenant's pool is kept that nobody asks for, in ms. */
  readonly idleTimeout: number;
  /** The most connections of all pools together. */
  readonly budget: number;
  /** What becomes of a tenant that is not configured. */
  readonly unknown: "create" | "refuse";
}

/** A tenant, and what it may have. */
export interface Terms {
  tenant: Tenant;
  max: number;
  maxWaiting: number;
  weight: number;
}

/** The settings of tenants after validation. */
export interface TenantSettings<T> extends TenantPoolsConfig {
  /** What the pool of each tenant has in common with the others. */
  pool: PoolOptions<T>;
  factory: (tenant: Tenant) => TenantFactory<T>;
  enter: TenantPoolsOptions<T>["enter"];
  observer: TenantPoolsOptions<T>["observer"];
  setAlarm: TenantPoolsOptions<T>["setAlarm"];
  mode: Mode;
  doorbell: boolean;
  clock: Clock;
  acquireTimeout: number;
  maxWaiting: number;
  breaker: number;
  backoff: Required<Backoff>;
  random: () => number;
  named: Map<string, Terms>;
}

const WHERE = "TenantPools";
const OWN = [
  "strategy", "create", "enter", "factory", "warmUp", "idleTimeout", "budget", "unknown", "tenants",
  "observer", "setAlarm",
] as const;
const SHARED = [
  "check", "reset", "close", "maxWaiting", "maxUses", "acquireTimeout", "createTimeout",
  "checkTimeout", "resetTimeout", "closeTimeout", "maxLifetime", "lifetimeJitter", "checkAfter",
  "checkInterval", "maxChecks", "backoff", "breaker", "ageing", "reuse", "waitTimes", "holdTimes",
  "slowAcquire", "longHold", "trackLeases", "mode", "leaseTtl", "heartbeat", "offerTimeout",
  "clock", "random",
] as const satisfies (keyof TenantPoolsOptions<unknown>)[];
const MOST_POOLS = 1_000_000;

/** Validates the options of tenants. Throws a TypeError that names what is wrong. */
export function readTenants<T>(options: TenantPoolsOptions<T>): TenantSettings<T> {
  checkNames(WHERE, options, [...OWN, ...SHARED]);
  const factory = readFactory(options);
  const enter = readFunction<TenantSettings<T>["enter"]>(WHERE, "enter", options.enter, false);
  if (enter !== undefined && options.factory === undefined && options.reset === undefined) {
    throw needReset('"reset"');
  }
  const observer = readFunction<TenantSettings<T>["observer"]>(
    WHERE, "observer", options.observer, false);
  const budget = options.budget === undefined || options.budget === Infinity
    ? Infinity : readCount(WHERE, "budget", options.budget, undefined, 1, MOST_POOLS);
  const caps = readStrategy(options.strategy, budget);
  const idleTimeout = readDuration(WHERE, "idleTimeout", options.idleTimeout, 300_000, 1);
  const pool: PoolOptions<T> = {
    ...commonOf(options),
    create: () => undefined as T,
    // What a factory brings is looked at with its pool.
    ...(options.factory && { check: () => true, reset: () => true, close: () => true }),
    max: caps.poolSize,
    minIdle: 0,
    // A connection that would outlive this leaves for its age.
    idleTimeout: Math.min(idleTimeout, options.maxLifetime ?? 1_800_000),
    setAlarm: options.setAlarm,
  };
  // Each pool reads them for itself: here they are looked at before there is one.
  const {
    mode, clock, doorbell, acquireTimeout, maxWaiting, breaker, backoff, random,
  } = readPool(WHERE, pool);
  const usual = Math.min(defaultMinIdle(mode, 1), caps.poolSize);
  const settings = {
    ...caps, pool, factory, enter, observer, mode, clock, doorbell, acquireTimeout, maxWaiting,
    budget, idleTimeout, breaker, backoff, random,
    warmUp: readCount(WHERE, "warmUp", options.warmUp, usual, 0, caps.poolSize),
    unknown: readWord(WHERE, "unknown", options.unknown, "create", ["create", "refuse"]),
    setAlarm: options.setAlarm,
    named: new Map<string, Terms>(),
  };
  readNamed(options.tenants, settings);
  return settings;
}

/** Reads what a pool reads too; what is wrong with it is told of whose option it is. */
function readPool<T>(where: string, pool: PoolOptions<T>): Settings<T> {
  try {
    return readSettings(pool);
  } catch (error) {
    throw new TypeError((error as Error).message.replace(/^Pool:/, `${where}:`));
  }
}

const OF_FACTORY = ["create", "check", "reset", "close", "checkAfter"] as const;

/** Reads how connections are made: by the options themselves, or for each tenant. */
function readFactory<T>(options: TenantPoolsOptions<T>): TenantSettings<T>["factory"] {
  const { create, factory, check, reset, close } = options;
  if (factory === undefined) {
    readFunction(WHERE, "create", create, true);
    return (tenant) => ({ create: (job) => create?.(tenant, job) as T, check, reset, close });
  }
  readFunction(WHERE, "factory", factory, true);
  const other = OF_FACTORY.find((name) => options[name] !== undefined);
  if (other !== undefined) {
    throw new TypeError(`${WHERE}: "${other}" is what "factory" gives; give one of them`);
  }
  return (tenant) => {
    const given = factory(tenant);
    checkNames(`${WHERE}: what "factory" gave`, given, OF_FACTORY);
    return given;
  };
}

/** Takes what all pools have in common; what is not given is left to their own defaults. */
function commonOf<T>(options: TenantPoolsOptions<T>): Partial<PoolOptions<T>> {
  const given = SHARED.filter((name) => options[name] !== undefined);
  return Object.fromEntries(given.map((name) => [name, options[name]])) as Partial<PoolOptions<T>>;
}

function readStrategy(
  strategy: unknown, budget: number,
): Pick<TenantPoolsConfig, "strategy" | "maxPools" | "poolSize"> {
  const names = Object.keys((strategy ?? {}) as object);
  const [name] = names;
  if (typeof strategy !== "object" || names.length !== 1 || !isStrategy(name)) {
    const accepted = "{ perTenant: { maxPools, poolSize } }, "
      + "{ perDatabase: { maxDatabases, poolSize } } or { shared: { size } }";
    throw wrong(WHERE, "strategy", accepted, strategy);
  }
  const where = `${WHERE}: "${name}"`;
  const given = (strategy as Record<string, Record<string, unknown>>)[name];
  if (name === "shared") {
    checkNames(where, given, ["size"]);
    if (budget < Infinity) throw new TypeError(`${where}: "budget" is its "size"; leave it out`);
    const poolSize = readCount(where, "size", given?.["size"], 20, 1, MOST_RESOURCES);
    return { strategy: name, maxPools: Infinity, poolSize };
  }
  const most = name === "perTenant" ? "maxPools" : "maxDatabases";
  checkNames(where, given, [most, "poolSize"]);
  const read = (option: string, fallback: number, high: number): number => {
    const value = given?.[option];
    const isOver = Number.isInteger(value) && (value as number) > budget;
    if (isOver) throw wrong(where, option, `at most budget (${budget})`, value);
    return readCount(where, option, value, Math.min(fallback, budget), 1, high);
  };
  return {
    strategy: name,
    maxPools: read(most, 100, MOST_POOLS),
    poolSize: read("poolSize", 5, MOST_RESOURCES),
  };
}

function isStrategy(name: unknown): name is TenantPoolsConfig["strategy"] {
  return name === "perTenant" || name === "perDatabase" || name === "shared";
}

/** Says that what is entered has to be left. */
export function needReset(what: string): TypeError {
  return new TypeError(`${WHERE}: "enter" needs ${what}, which takes off what it has put on`);
}

/** Says what a tenant may have. Throws if there can be none of this id, or none is wanted. */
export function termsOf<T>(id: string, settings: TenantSettings<T>): Terms {
  checkId(id);
  const named = settings.named.get(id);
  if (named !== undefined) return named;
  if (settings.unknown === "refuse") {
    const advice = `name it in the option "tenants", or set "unknown" to "create"`;
    throw new PoolError("unknown_tenant", `tenant "${id}" is not known; ${advice}`);
  }
  return { tenant: nameAs(id, undefined, settings), ...usualCaps(settings), weight: 1 };
}

/** Names what a tenant has to itself. */
function nameAs<T>(
  id: string, name: string | undefined, { strategy }: TenantSettings<T>,
): Tenant {
  const own = strategy === "shared" ? undefined : name ?? ownName(id);
  return {
    id, schema: strategy === "perTenant" ? own : undefined,
    database: strategy === "perDatabase" ? own : undefined,
  };
}

/** What a tenant may have that nothing is said of; of what is shared that is no less than all. */
function usualCaps<T>(
  { strategy, poolSize, maxWaiting }: TenantSettings<T>,
): Pick<Terms, "max" | "maxWaiting"> {
  const isShared = strategy === "shared";
  return { max: isShared ? Infinity : poolSize, maxWaiting: isShared ? Infinity : maxWaiting };
}

/** Names what a tenant has to itself. */
export function nameOf({ schema, database }: Tenant): string {
  return schema ?? database ?? "";
}

function readNamed<T>(tenants: unknown, settings: TenantSettings<T>): void {
  if (tenants === undefined) return;
  checkNames(`${WHERE}: "tenants"`, tenants, Object.keys((tenants ?? {}) as object));
  const owners = new Map<string, string>();
  for (const [id, given] of Object.entries(tenants as Record<string, TenantOptions>)) {
    const terms = readTenant(id, given, settings);
    const name = nameOf(terms.tenant);
    const owner = owners.get(name);
    if (name !== "" && owner !== undefined) {
      const text = `tenants "${owner}" and "${id}" would both have ${JSON.stringify(name)}`;
      throw new TypeError(`${WHERE}: ${text}; give each a name of its own`);
    }
    owners.set(name, id);
    settings.named.set(id, terms);
  }
}

function readTenant<T>(id: string, given: TenantOptions, settings: TenantSettings<T>): Terms {
  try {
    checkId(id);
  } catch (error) {
    throw new TypeError(`${WHERE}: "tenants": ${(error as Error).message}`);
  }
  const where = `${WHERE}: tenant "${id}"`;
  const { strategy, budget, poolSize, maxWaiting, pool } = settings;
  checkNames(where, given, ["max", "maxWaiting", "weight", "schema", "database"]);
  const { max, weight } = given;
  const own = strategy === "shared" ? undefined : OWN_NAME[strategy];
  for (const [need, name] of Object.entries(OWN_NAME)) {
    if (name === own || given[name] === undefined) continue;
    throw new TypeError(`${where}: "${name}" needs the strategy ${need}`);
  }
  if (weight !== undefined && budget === Infinity && own !== undefined) {
    throw new TypeError(`${where}: "weight" needs a budget, of which it is a share`);
  }
  const [most, size] = own === undefined ? ["size", poolSize] : ["budget", budget];
  if (Number.isInteger(max) && (max as number) > (size as number)) {
    throw wrong(where, "max", `at most ${most} (${size})`, max);
  }
  const name = own && given[own];
  if (own !== undefined && name !== undefined && !isName(name)) {
    throw wrong(where, own, `a name of 1 to ${LONGEST} bytes in UTF-8`, name);
  }
  const usual = usualCaps(settings);
  const read = readPool(where, { ...pool, max: 1, maxWaiting: given.maxWaiting ?? maxWaiting });
  return {
    tenant: nameAs(id, name, settings),
    max: readCount(where, "max", max, usual.max, 1, MOST_RESOURCES),
    maxWaiting: given.maxWaiting === undefined ? usual.maxWaiting : read.maxWaiting,
    weight: readCount(where, "weight", weight, 1, 1, 1_000_000),
  };
}

/** What a tenant has to itself, by the strategies that give it that. */
const OWN_NAME = { perTenant: "schema", perDatabase: "database" } as const;

/** Whether a database can have this name as it is: half a character has no bytes of its own. */
function isName(name: unknown): name is string {
  if (typeof name !== "string" || !/^[^\0\p{Cs}]+$/u.test(name)) return false;
  return new TextEncoder().encode(name).length <= LONGEST;
}
