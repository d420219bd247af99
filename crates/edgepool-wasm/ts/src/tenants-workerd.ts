import "./module.js";

export * from "./tenants-public.js";
