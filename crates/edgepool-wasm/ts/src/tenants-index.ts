/**
 * Pools of connections for tenants: one for each schema, or one for each database.
 *
 * @module edgepool/tenants
 */
import "./inline.js";

export * from "./tenants-public.js";
