// Where the SDKs are tried.
import { DENO, NODE } from "./processes.mjs";
import { WORKERD } from "./worker.mjs";

/** `program` is the command, and `run` makes every attempt there and gives each row. */
export const RUNTIMES = { node: NODE, deno: DENO, workerd: WORKERD };
