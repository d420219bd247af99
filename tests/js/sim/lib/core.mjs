// The package's wasm, as the simulation needs it: with the ledger's invariants among its exports, a
// list of the pools that it holds, and traps at will.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** The instance that the package uses now; after a trap it is another. */
export class Core {
  exports = undefined;
  instances = 0;
  /** The numbers of the pools that it holds. */
  open = new Set();
  /** After how many calls of the module the next trap is, and what kind. */
  fuse = Infinity;
  kind = "before";
  trapped = 0;

  /** Takes the place of an instance's exports. */
  wrap(exports) {
    this.exports = exports;
    this.instances += 1;
    this.open = new Set();
    const wrapped = {};
    for (const [name, one] of Object.entries(exports)) {
      // Opening is left alone, so that there is always an end to a recovery.
      const plain = typeof one !== "function" || name.startsWith("__") || name === "set_option";
      wrapped[name] = plain ? one : this.#guard(exports, one);
    }
    const { open } = this;
    wrapped.pool_open = (...options) => {
      const pool = exports.pool_open(...options);
      if (pool >= 0) open.add(pool);
      return pool;
    };
    wrapped.pool_drop = (pool) => {
      open.delete(pool);
      exports.pool_drop(pool);
    };
    return wrapped;
  }

  #guard(exports, call) {
    return (a, b, c, d, e) => {
      if (this.fuse === Infinity) return call(a, b, c, d, e);
      this.fuse -= 1;
      if (this.fuse > 0) return call(a, b, c, d, e);
      this.fuse = Infinity;
      this.trapped += 1;
      if (this.kind === "after") call(a, b, c, d, e);
      if (this.kind !== "real") throw new WebAssembly.RuntimeError("unreachable");
      new Uint8Array(exports.memory.buffer).fill(0xff);
      call(a, b, c, d, e);
      throw new WebAssembly.RuntimeError("a call into memory of rubbish came back");
    };
  }
}

/** Loads the package with a module of the simulation's own. */
export async function load(packageFolder, wasm) {
  const core = new Core();
  const { Instance } = WebAssembly;
  WebAssembly.Instance = function (module) {
    const { exports } = new Instance(module, unused(module));
    return "pool_open" in exports ? { exports: core.wrap(exports) } : { exports };
  };
  const api = await import(pathToFileURL(join(packageFolder, "dist/slim.js")).href);
  api.init(new WebAssembly.Module(readFileSync(wasm)));
  return { api, core };
}

/** What a module asks for that is as wasm-bindgen made it, and does not need for numbers. */
function unused(module) {
  const imports = {};
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    (imports[from] ??= {})[name] = () => undefined;
  }
  return imports;
}
