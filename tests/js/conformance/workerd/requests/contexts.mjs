// What the package takes for the code of one request.
import assert from "node:assert/strict";
import { sleep } from "../../../lib/time.mjs";
import { json, open, text } from "../client.mjs";

/** How often code is to run on that is looked at. */
const ENOUGH = 1_000;

export default [
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
