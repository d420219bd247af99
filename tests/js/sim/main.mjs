import { parseArgs } from "node:util";
import { load } from "./lib/core.mjs";
import { runSeed } from "./lib/run.mjs";

const options = { seeds: { type: "string", default: "1000" }, from: { type: "string", default: "1" }, replay: { type: "string" }, mode: { type: "string" } };
const { values } = parseArgs({ options });
const loaded = await load(process.env.EDGEPOOL_PACKAGE, process.env.EDGEPOOL_CHECKED_WASM);
process.on("unhandledRejection", (error) => { console.error("unhandled", error); process.exitCode = 1; });
const mode = values.mode;
if (values.replay) {
  try { const r = await runSeed(loaded, Number(values.replay), { keepLog: true, mode }); console.log(r.log.join("\n")); delete r.log; console.log(r); } catch (e) { console.log(e.log?.join("\n")); console.error(e.stack); process.exit(1); }
  process.exit(0);
}
const t = performance.now();
let steps = 0, served = 0, failed = 0, n = 0, kinds = new Map();
for (let s = +values.from; s < +values.from + +values.seeds; s++) {
  try { const r = await runSeed(loaded, s, {mode}); steps += r.steps; served += r.served; n++; for (const [k,v] of r.ends) kinds.set(k,(kinds.get(k)??0)+v); }
  catch (e) { failed++; if (failed <= 15) console.log(`seed ${s}: ${e.message.slice(0, 400)} ${e.name==="Violation"?"":e.stack}`); }
}
console.log(n, "ok", failed, "failed", steps, "steps", served, "served", ((performance.now() - t) / 1000).toFixed(1), "s", kinds);
