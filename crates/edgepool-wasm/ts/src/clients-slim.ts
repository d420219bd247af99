export * from "./clients-public.js";
