import type { Core } from "./core.js";

/** Makes a fresh instance of a module, in one synchronous step, and gives its raw exports. */
export function instantiate(module: WebAssembly.Module): Core {
  // Its functions are of numbers alone, and it asks for none of its host.
  return new WebAssembly.Instance(module).exports as unknown as Core;
}
