// Bad input: each wrong option is named, with what it takes.
import { Pool } from "edgepool";
import { ClientPool } from "edgepool/clients";

const create = () => ({});
const baseURL = "http://127.0.0.1:9/v1";

export default [
  {
    name: "every_wrong_option_is_named",
    run(t) {
      const wrong = [
        [undefined, /expected an object/],
        [null, /expected an object/],
        [[], /expected an object/],
        [{}, /"create" takes a function/],
        [{ create: 1 }, /"create" takes a function/],
        [{ create, close: "x" }, /"close" takes a function/],
        [{ create, max: 0 }, /"max" takes a whole number from 1 to 65535/],
        [{ create, max: 1.5 }, /"max"/],
        [{ create, max: "3" }, /"max"/],
        [{ create, maxWaiting: -1 }, /"maxWaiting"/],
        [{ create, acquireTimeout: -1 }, /"acquireTimeout" takes a number of ms/],
        [{ create, acquireTimeout: NaN }, /"acquireTimeout"/],
        [{ create, createTimeout: 0 }, /"createTimeout"/],
        [{ create, mode: "worker" }, /"mode" takes "edge" or "process"/],
        [{ create, leaseTtl: 0 }, /"leaseTtl"/],
        [{ create, leaseTtl: 100, heartbeat: 90 }, /"heartbeat" takes at most half/],
        [{ create, offerTimeout: 0 }, /"offerTimeout"/],
        [{ create, mode: "edge", maxWaiting: 9_001 }, /"maxWaiting" takes .* 9000/],
        [{ create, clock: { now: () => 0 } }, /"setTimer" takes a function/],
        [{ create, acquireTimeoutMs: 1 }, /unknown option "acquireTimeoutMs"; it takes create/],
      ];
      for (const [options, pattern] of wrong) t.throws(() => new Pool(options), pattern);
    },
  },
  {
    name: "wrong_options_of_an_acquire_reject",
    async run(t) {
      const wrong = [
        [{ timeout: "1" }, /"timeout"/],
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
          for (const call of [() => pool.acquire(options), () => pool.use(() => 1, options)]) {
            const error = await t.rejects(call());
            t.ok(error instanceof TypeError && pattern.test(error.message), `got ${error}`);
          }
        }
        t.equal(pool.stats().started, 0);
      }
    },
  },
  {
    name: "every_wrong_option_of_a_client_pool_is_named",
    run(t) {
      const provider = (more) => ({ providers: { p: { kind: "openai", baseURL, ...more } } });
      const wrong = [
        [undefined, /expected an object/],
        [{}, /providers: expected an object/],
        [{ providers: { p: {} } }, /"kind" takes openai, anthropic, ollama, http/],
        [provider({ kind: "azure" }), /"kind"/],
        [provider({ baseURL: "nope" }), /"baseURL" takes an http or https URL/],
        [provider({ baseURL: "ftp://h/" }), /"baseURL"/],
        [provider({ baseURL: undefined }), /"baseURL"/],
        [provider({ max: 0 }), /"max" takes/],
        [provider({ max: 65_536 }), /"max" takes/],
        [provider({ headersTimeout: 0 }), /"headersTimeout"/],
        [provider({ passClientKey: 1 }), /"passClientKey" takes true or false/],
        [provider({ onRefusal: "retry" }), /"onRefusal" takes "respond" or "throw"/],
        [provider({ keepAlive: true }), /unknown option "keepAlive"/],
        [{ ...provider({}), observer: 1 }, /"observer" takes a function/],
        [{ ...provider({}), retries: 2 }, /unknown option "retries"/],
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
