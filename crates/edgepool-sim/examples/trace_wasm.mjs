// Prints the hash of simulated schedules as wasm computes it, in the same line as the native
// example `trace`: node trace_wasm.mjs MODULE.wasm [--seeds N] [--from SEED]
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "0" },
  },
});
if (positionals.length !== 1) {
  console.error("usage: node trace_wasm.mjs MODULE.wasm [--seeds N] [--from SEED]");
  process.exit(2);
}
const module = new WebAssembly.Module(await readFile(positionals[0]));
const imports = WebAssembly.Module.imports(module);
if (imports.length > 0) {
  console.error("the module must need nothing from its host, and asks for", imports);
  process.exit(1);
}
const { exports } = new WebAssembly.Instance(module, {});
const hash = exports.trace_hash(BigInt(values.from), BigInt(values.seeds));
const digits = BigInt.asUintN(64, hash).toString(16).padStart(16, "0");
console.log(`seeds ${values.seeds} from ${values.from} hash ${digits}`);
