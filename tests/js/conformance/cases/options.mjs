// Bad input: each wrong option is named, with what it takes. And the errors, as they are told.
import * as edgepool from "edgepool";
import { ClientPool } from "edgepool/clients";
import { each, settle } from "../lib/harness.mjs";
import { World, fails } from "../lib/world.mjs";

const { Pool } = edgepool;
const create = () => ({});
const check = () => true;
const baseURL = "http://127.0.0.1:9/v1";

const NOT_A_FUNCTION = [1, "x", {}, true, null];
const NOT_A_COUNT = [-1, 0.5, NaN, "3", {}, true, null, 1n, -Infinity];
const NOT_A_TIME = [-1, NaN, "1", {}, true, null, 1n, -Infinity];
const NOT_A_SWITCH = [1, 0, "yes", {}, null];

/** What each option of a pool does not take. */
const WRONG = {
  create: [undefined, ...NOT_A_FUNCTION],
  check: NOT_A_FUNCTION,
  reset: NOT_A_FUNCTION,
  close: NOT_A_FUNCTION,
  observer: NOT_A_FUNCTION,
  random: NOT_A_FUNCTION,
  max: [0, 65_536, ...NOT_A_COUNT],
  minIdle: [65_536, ...NOT_A_COUNT],
  maxWaiting: NOT_A_COUNT,
  maxUses: [0, ...NOT_A_COUNT],
  maxChecks: [0, ...NOT_A_COUNT],
  breaker: [0, ...NOT_A_COUNT],
  lifetimeJitter: [101, Infinity, ...NOT_A_COUNT.filter((value) => value !== 0.5)],
  acquireTimeout: NOT_A_TIME,
  checkAfter: NOT_A_TIME,
  slowAcquire: NOT_A_TIME,
  createTimeout: [0, ...NOT_A_TIME],
  checkTimeout: [0, ...NOT_A_TIME],
  resetTimeout: [0, ...NOT_A_TIME],
  closeTimeout: [0, ...NOT_A_TIME],
  idleTimeout: [0, ...NOT_A_TIME],
  maxLifetime: [0, ...NOT_A_TIME],
  checkInterval: [0, ...NOT_A_TIME],
  ageing: [0, ...NOT_A_TIME],
  longHold: [0, ...NOT_A_TIME],
  leaseTtl: [0, ...NOT_A_TIME],
  heartbeat: [0, ...NOT_A_TIME],
  offerTimeout: [0, ...NOT_A_TIME],
  waitTimes: NOT_A_SWITCH,
  holdTimes: NOT_A_SWITCH,
  trackLeases: NOT_A_SWITCH,
  reuse: ["random", "LIFO", 1, true, null],
  mode: ["worker", "Edge", 1, null],
  backoff: [true, 1, "x", null, [], { base: 0 }, { cap: 0 }, { base: -1 }, { base: "1" },
    { base: 10, cap: 5 }, { bse: 1 }],
  clock: [1, "x", null, {}, { now: () => 0 }, { now: 1, setTimer() {}, clearTimer() {} }],
  setAlarm: NOT_A_FUNCTION,
};

/** Options that contradict each other, and the one that is named. */
const CONTRADICTIONS = [
  ["minIdle", { max: 2, minIdle: 3 }],
  ["idleTimeout", { idleTimeout: 2_000, maxLifetime: 1_000 }],
  ["checkInterval", { check, checkInterval: 2_000, maxLifetime: 1_000 }],
  ["breaker", { breaker: 5, backoff: false }],
  ["checkAfter", { checkAfter: 1_000 }],
  ["checkInterval", { checkInterval: 1_000 }],
  ["maxChecks", { maxChecks: 2 }],
  ["heartbeat", { mode: "process", heartbeat: 100 }],
  ["heartbeat", { leaseTtl: 100, heartbeat: 90 }],
  ["offerTimeout", { mode: "process", offerTimeout: 100 }],
  ["setAlarm", { mode: "process", setAlarm: () => undefined }],
  ["maxWaiting", { mode: "edge", maxWaiting: 500_001 }],
];

/** Fails unless making a pool throws a TypeError that names the option and what it takes. */
function refuses(t, name, options) {
  let told;
  try {
    told = Object.entries(options).map(([key, value]) => `${key}: ${String(value)}`).join(", ");
  } catch {
    told = name;
  }
  try {
    new Pool(options);
  } catch (error) {
    t.ok(error instanceof TypeError, `{ ${told} }: expected a TypeError, got ${error}`);
    const { message } = error;
    const names = message.includes(`"${name}"`) || message.startsWith(`Pool: ${name}:`);
    t.ok(names, `{ ${told} }: it names ${name}: ${message}`);
    t.ok(/takes|needs|at most|expected/.test(message), `and says what it takes: ${message}`);
    return;
  }
  t.ok(false, `{ ${told} } was accepted`);
}

/** What goes with an option so that it is looked at for itself. */
function company(name) {
  const checks = ["check", "checkAfter", "checkInterval", "maxChecks", "checkTimeout"];
  return {
    create,
    ...(checks.includes(name) && { check }),
    ...(name === "resetTimeout" && { reset: create }),
    ...(["heartbeat", "offerTimeout"].includes(name) && { mode: "edge" }),
    ...(name === "setAlarm" && { mode: "durable-object" }),
  };
}

/** Fails unless each call with what it does not take rejects, and does nothing. */
async function rejectsAll(t, calls) {
  for (const [pattern, call] of calls) {
    const error = await t.rejects((async () => call())());
    t.ok(error instanceof TypeError, `${call}: expected a TypeError, got ${error}`);
    t.ok(pattern.test(error.message), `${call}: ${error.message} does not match ${pattern}`);
  }
}

export default [
  {
    name: "every_wrong_option_is_named",
    run(t) {
      for (const options of [undefined, null, [], 1, "x", () => 1]) {
        t.throws(() => new Pool(options), /expected an object/);
      }
      for (const [name, values] of Object.entries(WRONG)) {
        for (const value of values) refuses(t, name, { ...company(name), [name]: value });
      }
      t.throws(() => new Pool({ create, acquireTimeoutMs: 1 }),
        /unknown option "acquireTimeoutMs"; it takes create/);
    },
  },
  {
    name: "options_that_contradict_each_other_are_named",
    run(t) {
      for (const [name, options] of CONTRADICTIONS) refuses(t, name, { create, ...options });
      const fine = [
        { minIdle: 2, max: 2 }, { idleTimeout: 1_000, maxLifetime: 1_000 }, { backoff: false },
        { breaker: Infinity, backoff: false }, { maxLifetime: 10 }, { check, maxLifetime: 10 },
        { mode: "process", leaseTtl: 300, heartbeat: 100 }, { mode: "edge", leaseTtl: 300 },
        { max: 1 }, { maxUses: Infinity, ageing: Infinity }, { backoff: { base: 5 } },
        { backoff: { cap: 200 } }, { backoff: {} }, { check, checkInterval: Infinity },
        { check: undefined, reset: undefined, close: undefined, max: undefined, mode: undefined },
      ];
      for (const options of fine) t.equal(new Pool({ create, ...options }).stats().size, 0);
    },
  },
  {
    name: "wrong_options_of_an_acquire_reject",
    async run(t) {
      const wrong = [
        [{ timeout: "1" }, /"timeout"/],
        [{ timeout: -1 }, /"timeout"/],
        [{ timeout: NaN }, /"timeout"/],
        [{ priority: "highest" }, /"priority" takes .*"urgent"/],
        [{ priority: 1 }, /"priority"/],
        [null, /expected an object/],
        [1, /expected an object/],
        [{ signal: {} }, /"signal" takes an AbortSignal/],
        [{ tiemout: 5 }, /unknown option "tiemout"/],
        [{ ctx: {} }, /"ctx" takes a request's context/],
        [{ ctx: null }, /"ctx"/],
        [{ ctx: { waitUntil: 1 } }, /"ctx"/],
        [{ request: {} }, /"request" takes a Request/],
        [{ request: null }, /"request"/],
        [{ request: { signal: 1 } }, /"request"/],
      ];
      for (const mode of ["process", "edge"]) {
        const pool = new Pool({ create, mode });
        for (const [options, pattern] of wrong) {
          const calls = [
            () => pool.acquire(options), () => pool.use(() => 1, options),
            () => pool.acquireMany(1, options),
          ];
          for (const call of calls) {
            const error = await t.rejects(call());
            t.ok(error instanceof TypeError && pattern.test(error.message), `got ${error}`);
          }
        }
        t.equal(pool.stats().started, 0);
      }
    },
  },
  {
    name: "wrong_arguments_of_an_operator_are_named",
    run: each(async (t, mode) => {
      const it = new World({ mode, max: 4, minIdle: 2 });
      const { pool } = it;
      await rejectsAll(t, [
        ...["2", 1.5, -1, NaN, null, {}].flatMap((n) => [
          [/acquireMany/, () => pool.acquireMany(n)],
          [/warmUp/, () => pool.warmUp(n)],
          [/minIdle/, () => pool.setMinIdle(n)],
          [/"?max"?/, () => pool.resize(n)],
        ]),
        [/acquireMany/, () => pool.acquireMany()],
        [/acquireMany.*from 1/, () => pool.acquireMany(0)],
        [/warmUp.*from 0 to 4/, () => pool.warmUp(5)],
        [/"?max"?/, () => pool.resize(0)],
        [/minIdle/, () => pool.resize(1)],
        [/max/, () => pool.setMinIdle(5)],
        [/"parallel"/, () => pool.warmUp(1, { parallel: 0 })],
        [/"onProgress" takes a function/, () => pool.warmUp(1, { onProgress: 1 })],
        [/"signal" takes an AbortSignal/, () => pool.warmUp(1, { signal: {} })],
        [/unknown option "paralel"/, () => pool.warmUp(1, { paralel: 1 })],
        [/retain.*function/, () => pool.retain()],
        [/use.*function/, () => pool.use()],
        [/"deadline"/, () => pool.close({ deadline: -1 })],
        [/"force" takes true or false/, () => pool.close({ force: 1 })],
        [/unknown option "timeout"/, () => pool.close({ timeout: 1 })],
      ]);
      await settle();
      const { max, size, started } = pool.stats();
      t.equal([max, size, started, pool.isClosed], [4, 0, 0, false], "nothing has happened");
      const lease = await pool.acquire();
      await rejectsAll(t, ["1", -1, NaN, 0].map((ttl) => [/ttl/, () => lease.renew(ttl)]));
      t.ok(lease.release());
    }),
  },
  {
    name: "each_error_says_what_happened_and_what_to_do",
    run: each(async (t, mode) => {
      const { PoolError } = edgepool;
      const errors = {};
      const keep = async (name, promise) => {
        errors[name] = await t.rejects(promise);
      };
      const it = new World({ mode, maxWaiting: 1, createTimeout: 100 });
      it.plans.create.push(fails("refused"), () => new Promise(() => undefined));
      await keep("CreateError create_failed", it.pool.acquire());
      const slow = keep("CreateError create_timeout", it.pool.acquire());
      await it.clock.advance(100);
      await slow;
      const lease = await it.pool.acquire();
      const late = keep("AcquireTimeoutError acquire_timeout", it.pool.acquire({ timeout: 10 }));
      await keep("QueueFullError queue_full", it.pool.acquire());
      await it.clock.advance(10);
      await late;
      await keep("TooManyError too_many", it.pool.acquireMany(2));
      const stop = new AbortController();
      const aborted = keep("AbortError aborted", it.pool.acquire({ signal: stop.signal }));
      // Some runtimes give no reason.
      Object.defineProperty(stop.signal, "reason", { value: undefined });
      stop.abort();
      await aborted;
      lease.release();
      await keep("PoolError lease_ended", (async () => lease.info)());
      void it.pool.close();
      await keep("PoolClosedError pool_closed", it.pool.acquire());
      const down = new World({ mode, backoff: { base: 60_000, cap: 60_000 }, breaker: 1 });
      down.always.create = fails("refused");
      await t.rejects(down.pool.acquire());
      await keep("UnavailableError unavailable", down.pool.acquire());
      await keep("WarmUpError warm_up_failed", down.pool.warmUp(1));
      for (const [words, error] of Object.entries(errors)) {
        const [name, code] = words.split(" ");
        t.equal([error.name, error.code], [name, code]);
        t.ok(error instanceof edgepool[name], `${name} is exported`);
        t.ok(error instanceof PoolError && error instanceof Error, `${name} is a PoolError`);
        t.ok(typeof error.stack === "string" && error.message.length > 10, error.message);
      }
      const says = (words, pattern) => {
        const { message } = errors[words];
        t.ok(pattern.test(message), `${words}: "${message}" does not match ${pattern}`);
      };
      says("CreateError create_failed", /refused/);
      says("CreateError create_timeout", /100 ms.*createTimeout/s);
      says("AcquireTimeoutError acquire_timeout", /10 ms.*(raise|max|acquireTimeout)/s);
      says("QueueFullError queue_full", /1 .*maxWaiting/s);
      says("TooManyError too_many", /at most 1, or raise max/);
      says("UnavailableError unavailable", /refused/);
      says("PoolError lease_ended", /info: the lease had ended; .*leaseTtl/);
      says("PoolClosedError pool_closed", /closed.*no more/);
    }),
  },
  {
    name: "every_wrong_option_of_a_client_pool_is_named",
    run(t) {
      const provider = (more) => ({ providers: { p: { kind: "openai", baseURL, ...more } } });
      const wrong = [
        [undefined, /expected an object/],
        [{}, /providers: expected an object/],
        [{ providers: { p: {} } }, /"kind" takes one of .*openai.*, anthropic, ollama, http/],
        [provider({ kind: "gopher" }), /"kind"/],
        [provider({ baseURL: "nope" }), /"baseURL" .*takes an http or https URL/],
        [provider({ baseURL: "ftp://h/" }), /"baseURL"/],
        [provider({ kind: "http", baseURL: undefined }), /"baseURL"/],
        [provider({ max: 0 }), /"max" takes/],
        [provider({ max: 65_536 }), /"max" takes/],
        [provider({ headersTimeout: 0 }), /"headersTimeout"/],
        [provider({ passClientKey: 1 }), /"passClientKey" takes true or false/],
        [provider({ onRefusal: "retry" }), /"onRefusal" takes one of respond, throw/],
        [provider({ keepAlive: true }), /"keepAlive" is no option of provider/],
        [{ ...provider({}), observer: 1 }, /"observer" takes a function/],
        [{ ...provider({}), retries: 2 }, /unknown option "retries"/],
        [{ ...provider({}), leaseTtl: 0 }, /"leaseTtl" takes/],
        [{ ...provider({}), mode: "process", heartbeat: 100 }, /"heartbeat" needs a leaseTtl/],
      ];
      for (const [options, pattern] of wrong) t.throws(() => new ClientPool(options), pattern);
    },
  },
  {
    name: "a_wrong_key_is_not_told",
    run(t) {
      try {
        new ClientPool({ providers: { p: { kind: "openai", baseURL, apiKey: "very secret" } } });
      } catch (error) {
        t.ok(!error.message.includes("very secret"), "the message has the key");
        return;
      }
      t.ok(false, "a key with a space was accepted");
    },
  },
];
