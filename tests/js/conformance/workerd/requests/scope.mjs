// What a pool does before there is a request, and what it takes for one request's code.
import assert from "node:assert/strict";
import { sleep } from "../../../lib/time.mjs";
import { json, open, poolAt, text } from "../client.mjs";

/** How often code is to run on that is looked at. */
const ENOUGH = 1_000;

export default [
  {
    name: "the_configuration_is_what_it_should_be",
    async run({ at, configuration }) {
      const { doorbell, requestSignal, signal, node, registry } = await json(`${at}/facts`);
      const { doorbell: bell, signal: wanted, node: compatible, date } = configuration;
      assert.deepEqual([doorbell, requestSignal, node], [bell, wanted, compatible]);
      assert.ok(signal, "every request has a signal; only the flag makes it fire");
      assert.equal(registry, date >= "2025-05-05");
    },
  },
  {
    name: "import_has_no_side_effects",
    async run({ at }) {
      const { calledAtImport, calledAtNew, refused, instancesAtImport } = await json(`${at}/facts`);
      assert.deepEqual(refused, ["setTimeout", "crypto.randomUUID"], "what workerd refuses there");
      assert.deepEqual(calledAtImport, [], "called by the import");
      // Math.random works at module scope in workerd 2026-11-17, beside what draws from crypto.
      const others = calledAtNew.filter((name) => name !== "random");
      assert.deepEqual(others, [], "called by `new Pool`");
      assert.equal(instancesAtImport, 0, "wasm instances made by the import alone");
      const early = poolAt(at, "early");
      const letGo = await early.occupy(2);
      const waiting = early.json("/wait");
      await early.until({ waiting: 1 });
      await letGo();
      const { waited } = await waiting;
      assert.ok(waited > 0, `the pool of module scope lends to two requests, waited ${waited}`);
    },
  },
  {
    name: "a_stretch_of_code_is_of_one_request",
    async run({ at }) {
      const lent = text(`${at}/lend-body`);
      await sleep(100);
      assert.equal(await text(`${at}/borrow-body`), "false", "another request is told apart");
      assert.equal(await lent, "true");
      const mingling = [];
      let seen = { joined: 0 };
      // Some are cut off, others die by themselves of what they do to each other.
      for (let round = 0; seen.joined < ENOUGH && round < 100; round += 1) {
        for (let i = 0; i < 4; i += 1) mingling.push(open(`${at}/mingle`));
        await sleep(100);
        for (const raw of mingling.splice(0, 2)) raw.reset();
        seen = await json(`${at}/mingled`);
      }
      for (const raw of mingling) raw.reset();
      const { joined, foreign } = seen;
      assert.ok(joined >= ENOUGH, `code ran on ${joined} times`);
      assert.equal(foreign, 0, `${foreign} of ${joined} times it was another request's`);
    },
  },
];
