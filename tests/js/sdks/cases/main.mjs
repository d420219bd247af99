// Makes every attempt in a process, some at once, and prints a row of JSON for each.
import { after, attempt } from "./attempt.mjs";
import { pairs } from "./pairs.mjs";

const AT_ONCE = 24;
const [origin, only = ""] = process.argv.slice(2);
// Its warnings are of no use here.
globalThis.AI_SDK_LOG_WARNINGS = false;
const queue = pairs().filter((pair) => only === "" || only.split("+").includes(pair.join(".")));

async function work() {
  for (let pair = queue.shift(); pair !== undefined; pair = queue.shift()) {
    const run = pair.join(".");
    const row = { pair, ...await attempt({ pair, origin, run }), ...await after({ run }) };
    console.log(`ROW ${JSON.stringify(row)}`);
  }
}

await Promise.all(Array.from({ length: AT_ONCE }, work));
process.exit();
