import "./module.js";
import "./module-clients.js";

export * from "./clients-public.js";
