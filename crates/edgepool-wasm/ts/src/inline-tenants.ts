import { compiling } from "./compile.js";
import { decode } from "./decode.js";
import { tenantsBase64 } from "./tenants-base64.js";
import { provideTenants } from "./tenant-core.js";

provideTenants(compiling(() => decode(tenantsBase64)));
