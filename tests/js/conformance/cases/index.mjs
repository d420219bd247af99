// Every case that runs in every runtime.
import clients from "./clients.mjs";
import creation from "./creation.mjs";
import edge from "./edge.mjs";
import leases from "./leases.mjs";
import options from "./options.mjs";
import queue from "./queue.mjs";

export default [...queue, ...creation, ...leases, ...options, ...edge, ...clients];
