/** The module's bytes; the build writes it. */
export declare const clientsBase64: string;
