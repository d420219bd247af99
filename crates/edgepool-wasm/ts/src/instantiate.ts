import { initSync } from "./glue.js";
import type { Core } from "./core.js";

/** Instantiates the module, in one synchronous step, and gives its raw exports. */
export function instantiate(module: WebAssembly.Module | BufferSource): Core {
  return initSync({ module }) as unknown as Core;
}
