/** The part of the generated glue that is used; the build puts the glue itself beside it. */
export declare function initSync(module: { module: WebAssembly.Module | BufferSource }): unknown;
