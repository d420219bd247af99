// The package as `require` sees it, with each of its parts.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { Pool } = require("edgepool");
const { ClientPool } = require("edgepool/clients");
assert.equal(await new Pool({ create: () => "r" }).use((value) => value), "r");
const providers = { p: { kind: "http", baseURL: "http://127.0.0.1:9" } };
assert.deepEqual(new ClientPool({ providers }).providerNames(), ["p"]);
const { SharedPool, TenantPools } = require("edgepool/tenants");
const shared = new SharedPool({ create: () => "s" });
assert.equal(await shared.use((value) => value, { tenant: shared.tenant() }), "s");
const tenants = new TenantPools({ strategy: { perTenant: {} }, create: ({ id }) => ({ id }) });
assert.equal(await tenants.use("acme", ({ id }) => id), "acme");
await tenants.close();
assert.equal(require("edgepool/package.json").name, "edgepool");
assert.equal(typeof require("edgepool/slim").init, "function");
assert.equal(typeof require("edgepool/slim/clients").initClients, "function");
assert.equal(typeof require("edgepool/slim/tenants").TenantPools, "function");
assert.match(require.resolve("edgepool/edgepool.wasm"), /\.wasm$/);
assert.match(require.resolve("edgepool/clients.wasm"), /\.wasm$/);
assert.match(require.resolve("edgepool/tenants.wasm"), /\.wasm$/);
console.log("required");
