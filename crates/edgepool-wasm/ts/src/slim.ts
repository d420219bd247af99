/**
 * The pool without its module, for who compiles that elsewhere: give it to {@link init}.
 *
 * @module edgepool/slim
 */
import { provideCore } from "./core.js";
import { instantiate } from "./instantiate.js";

export * from "./public.js";

/** A `WebAssembly.Module`, where the types of the runtime know of it: those of Node may not. */
export type CompiledModule = typeof globalThis extends {
  WebAssembly: { Module: { prototype: infer M } };
} ? M : object;

/**
 * Says which compiled module to use, or its bytes. Call it once before the first pool is made;
 * later calls change nothing.
 */
export function init(module: CompiledModule | ArrayBuffer | ArrayBufferView): void {
  provideCore(() => instantiate(() => module as WebAssembly.Module | BufferSource));
}
