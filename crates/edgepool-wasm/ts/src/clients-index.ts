import "./inline.js";

export * from "./clients-public.js";
