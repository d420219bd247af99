import "./module.js";

export * from "./public.js";
