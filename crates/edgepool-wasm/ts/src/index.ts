import "./inline.js";

export * from "./public.js";
