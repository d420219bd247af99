/**
 * What `edgepool/clients` has, without the module: give that to `init` of `edgepool/slim`.
 *
 * @module edgepool/slim/clients
 */
export * from "./clients-public.js";
