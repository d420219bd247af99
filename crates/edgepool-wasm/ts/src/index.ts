/**
 * The pool, with its module inside: in workerd as a `.wasm` file, elsewhere as text.
 *
 * @module edgepool
 */
import "./inline.js";

export * from "./public.js";
