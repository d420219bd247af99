/** The module's bytes; the build writes it. */
export declare const tenantsBase64: string;
