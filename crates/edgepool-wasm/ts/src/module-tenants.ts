import { instantiate } from "./instantiate.js";
import { provideTenants } from "./tenant-core.js";
import module from "./tenants.wasm";

provideTenants(() => instantiate(module));
