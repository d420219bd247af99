/** The module's bytes; the build writes it. */
export declare const wasmBase64: string;
