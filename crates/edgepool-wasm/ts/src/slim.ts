/**
 * The pool without its module, for who compiles that elsewhere: give it to {@link init}.
 *
 * @module edgepool/slim
 */
import { provideCore } from "./core.js";
import { instantiate } from "./instantiate.js";

export * from "./public.js";

/**
 * Says which compiled module to use, or its bytes. Call it once before the first pool is made;
 * later calls change nothing.
 */
export function init(module: WebAssembly.Module | BufferSource): void {
  provideCore(() => instantiate(() => module));
}
