/**
 * Tenants: a pool that they share by weight, or pools of connections for each: one for each schema,
 * or one for each database.
 *
 * @module edgepool/tenants
 */
import "./inline-tenants.js";

export * from "./tenants-public.js";
