import { passHeadersBy } from "./body.js";
import type { Instantiate } from "./core.js";
import { boundHeaders } from "./decoded.js";
import { instantiate } from "./instantiate.js";

/**
 * Makes instances of a module that is compiled when the first of them is made, as everywhere but in
 * Workers. Those have theirs compiled, and a runtime that looks after the encoding of answers.
 */
export function compiling(source: () => WebAssembly.Module | BufferSource): Instantiate {
  passHeadersBy(boundHeaders);
  let compiled: WebAssembly.Module | undefined;
  return () => instantiate(compiled ??= compile(source()));
}

function compile(source: WebAssembly.Module | BufferSource): WebAssembly.Module {
  return source instanceof WebAssembly.Module ? source : new WebAssembly.Module(source);
}
