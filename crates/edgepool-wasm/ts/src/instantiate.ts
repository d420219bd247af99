import { __wbg_reset_state, initSync } from "./glue.js";
import type { Core } from "./core.js";

let isInstantiated = false;

/**
 * Instantiates the module, in one synchronous step, and gives its raw exports. A later call makes
 * a fresh instance of the same module.
 */
export function instantiate(module: () => WebAssembly.Module | BufferSource): Core {
  if (isInstantiated) __wbg_reset_state();
  const exports = initSync({ module: isInstantiated ? undefined : module() });
  isInstantiated = true;
  return exports as unknown as Core;
}
