/** The part of the generated glue that is used; the build puts the glue itself beside it. */
export declare function initSync(
  module: { module: WebAssembly.Module | BufferSource | undefined },
): unknown;
/** Makes a fresh instance of the module, which `initSync` gives from then on. */
export declare function __wbg_reset_state(): void;
