// The package as it is packed: what the tests look at is what users get.
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const folder = process.env.EDGEPOOL_PACKAGE;
if (!folder) throw new Error("EDGEPOOL_PACKAGE does not name the built package");
const from = (file) => import(pathToFileURL(join(folder, "dist", file)).href);

export const { AcquireTimeoutError, CreateError, Pool, UnavailableError } = await from("index.js");
export const {
  PostgresError, pgFactory, pgTenants, postgresFactory, postgresTenants,
} = await from("postgres.js");
export const { TenantPools } = await from("tenants-index.js");
