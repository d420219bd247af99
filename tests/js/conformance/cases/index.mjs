// Every case that runs in every runtime. The one of traps comes first: it looks at each instance of
// the module from the first on.
import recovery from "./recovery.mjs";
import accounting from "./accounting.mjs";
import callbacks from "./callbacks.mjs";
import clientTenants from "./client-tenants.mjs";
import clients from "./clients.mjs";
import close from "./close.mjs";
import createErrors from "./create-errors.mjs";
import creation from "./creation.mjs";
import edge from "./edge.mjs";
import events from "./events.mjs";
import failures from "./failures.mjs";
import health from "./health.mjs";
import leases from "./leases.mjs";
import operators from "./operators.mjs";
import options from "./options.mjs";
import passing from "./passing.mjs";
import providers from "./providers.mjs";
import queue from "./queue.mjs";
import reuse from "./reuse.mjs";
import services from "./services.mjs";
import sharedPools from "./shared-pools.mjs";
import tenantCounts from "./tenant-counts.mjs";
import tenantLife from "./tenant-life.mjs";
import tenantOptions from "./tenant-options.mjs";
import tenantRemoval from "./tenant-removal.mjs";
import tenantShared from "./tenant-shared.mjs";
import tenantWaits from "./tenant-waits.mjs";
import tenants from "./tenants.mjs";
import time from "./time.mjs";

export default [
  ...queue, ...creation, ...createErrors, ...callbacks, ...failures, ...health, ...accounting,
  ...leases, ...reuse, ...operators, ...time, ...close, ...events, ...options, ...edge, ...clients,
  ...providers, ...clientTenants, ...passing, ...services, ...sharedPools, ...tenants, ...tenantOptions,
  ...tenantLife, ...tenantRemoval, ...tenantWaits, ...tenantCounts, ...tenantShared, ...recovery,
];
