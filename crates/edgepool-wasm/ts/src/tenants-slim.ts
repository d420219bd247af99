/**
 * What `edgepool/tenants` has, without its module: give that to {@link initTenants}.
 *
 * @module edgepool/slim/tenants
 */
import { compiling } from "./compile.js";
import type { CompiledModule } from "./slim.js";
import { provideTenants } from "./tenant-core.js";

export * from "./tenants-public.js";

/**
 * Says which compiled module the pools of tenants use, or its bytes: `edgepool/tenants.wasm`. Call
 * it once before the first of them is made; later calls change nothing.
 */
export function initTenants(module: CompiledModule | ArrayBuffer | ArrayBufferView): void {
  provideTenants(compiling(() => module as WebAssembly.Module | BufferSource));
}
