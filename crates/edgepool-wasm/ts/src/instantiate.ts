import type { Core } from "./core.js";

let compiled: WebAssembly.Module | undefined;

/**
 * Instantiates the module, in one synchronous step, and gives its raw exports. A later call makes
 * a fresh instance of the same module.
 */
export function instantiate(module: () => WebAssembly.Module | BufferSource): Core {
  compiled ??= compile(module());
  // Its functions are of numbers alone, and it asks for none of its host.
  return new WebAssembly.Instance(compiled).exports as unknown as Core;
}

function compile(source: WebAssembly.Module | BufferSource): WebAssembly.Module {
  return source instanceof WebAssembly.Module ? source : new WebAssembly.Module(source);
}
