/**
 * The pool without its module, for who compiles that elsewhere: give it to {@link init}.
 *
 * @module edgepool/slim
 */
import { compiling } from "./compile.js";
import { Home, provideCore } from "./core.js";

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
  provideCore(new Home(compiling(() => module as WebAssembly.Module | BufferSource)));
}
