import "./module.js";

export * from "./clients-public.js";
