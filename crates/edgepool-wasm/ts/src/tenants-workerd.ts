import "./module-tenants.js";

export * from "./tenants-public.js";
