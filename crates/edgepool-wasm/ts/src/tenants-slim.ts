/**
 * What `edgepool/tenants` has, without the module: give that to `init` of `edgepool/slim`.
 *
 * @module edgepool/slim/tenants
 */
export * from "./tenants-public.js";
