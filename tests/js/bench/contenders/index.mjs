// Who is measured. A module of this folder is loaded by its name, alone in its process, so that no
// contender's code is compiled for another one's sake.

/** Where a contender stands in the tables: this order. */
export const CONTENDERS = [
  {
    id: "bound", module: "ring", name: "ring by hand",
    settings: "The least that there can be: an array of resources, a ring of resolvers.",
  },
  {
    id: "edgepool", module: "edgepool", name: "edgepool",
    settings: "No option on that needs a clock. In workerd in edge mode.",
  },
  {
    id: "edgepool-defaults", module: "edgepool-defaults", name: "edgepool, defaults",
    settings: "As it comes, but for max and maxWaiting.",
  },
  {
    id: "lightning-pool", module: "lightning-pool", name: "lightning-pool",
    package: "lightning-pool", settings: "validation: false, idleTimeoutMillis: 0.",
  },
  {
    id: "generic-pool", module: "generic-pool", name: "generic-pool",
    package: "generic-pool", settings: "As it comes: no timeout, no eviction.",
  },
  {
    id: "tarn", module: "tarn", name: "tarn",
    package: "tarn", settings: "As it comes: its timeouts cannot be turned off.",
  },
  {
    id: "async-sema", module: "async-sema", name: "async-sema",
    package: "async-sema", settings: "Sema: lends numbers, and makes no resource.",
  },
  {
    id: "p-limit", module: "p-limit", name: "p-limit",
    package: "p-limit", settings: "Runs functions and lends nothing: a call is one empty function.",
  },
];
