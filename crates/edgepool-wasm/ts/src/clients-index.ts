/**
 * A `fetch` for each provider, with a limit of its own.
 *
 * @module edgepool/clients
 */
import "./inline.js";

export * from "./clients-public.js";
