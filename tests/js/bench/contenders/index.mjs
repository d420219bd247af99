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

/** Who shares connections among tenants, for the cases of `fair.mjs`. */
export const SHARERS = [
  {
    id: "edgepool", module: "shared-pool", name: "edgepool, SharedPool",
    settings: "One pool with a tenant for each, by its weight.",
  },
  {
    id: "fifo", module: "one-queue", name: "edgepool, Pool",
    settings: "A pool without tenants: one queue for all, first come first served.",
  },
  {
    id: "p-queue", module: "p-queue", name: "p-queue for each tenant",
    package: "p-queue", settings: "Each tenant has its part of the connections, by its weight.",
  },
];

/** What the weights of tenants say. */
export const DUE = {
  id: "bound", name: "as the weights say", settings: "What is due to each tenant, by its weight.",
};
