// What a pool does before there is a request.
import assert from "node:assert/strict";
import { json, poolAt } from "../client.mjs";

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
];
