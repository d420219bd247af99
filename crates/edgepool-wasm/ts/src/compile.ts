import type { Instantiate } from "./core.js";
import { instantiate } from "./instantiate.js";

/** Makes instances of a module that is compiled when the first of them is made. */
export function compiling(source: () => WebAssembly.Module | BufferSource): Instantiate {
  let compiled: WebAssembly.Module | undefined;
  return () => instantiate(compiled ??= compile(source()));
}

function compile(source: WebAssembly.Module | BufferSource): WebAssembly.Module {
  return source instanceof WebAssembly.Module ? source : new WebAssembly.Module(source);
}
