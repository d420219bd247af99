import "./module-clients.js";
import "./module-tenants.js";

export * from "./clients-public.js";
