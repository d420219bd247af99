// Every case of several real requests to one Worker, in the order in which they run.
import contexts from "./requests/contexts.mjs";
import cutOffs from "./requests/cut-offs.mjs";
import flood from "./requests/flood.mjs";
import leases from "./requests/leases.mjs";
import scope from "./requests/scope.mjs";
import tenants from "./requests/tenants.mjs";
import trap from "./requests/trap.mjs";
import waiting from "./requests/waiting.mjs";

/** Cases that mostly wait, which several Workers of one process may run at once. */
export const patient = [...scope, ...waiting, ...leases, ...cutOffs, ...tenants];
/** Cases that want the processor for themselves. */
export const heavy = flood;
/** Cases that want the isolate for themselves. */
export const last = [...trap, ...contexts];
