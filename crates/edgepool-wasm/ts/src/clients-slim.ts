/**
 * What `edgepool/clients` has, without its modules: give that of the pools to {@link initTenants},
 * and that of the clients to {@link initClients}.
 *
 * @module edgepool/slim/clients
 */
import { provideProtocol } from "./protocol.js";
import type { CompiledModule } from "./slim.js";

export * from "./clients-public.js";
export { initTenants } from "./tenants-slim.js";

/**
 * Says which compiled module the clients use, or its bytes. Call it once before the first client
 * pool is made; later calls change nothing.
 */
export function initClients(module: CompiledModule | ArrayBuffer | ArrayBufferView): void {
  provideProtocol(() => module as WebAssembly.Module | BufferSource);
}
