// Modules of the gateway's source, for what cannot be seen from outside of a process.

import { createRequire } from "node:module";
import { join } from "node:path";

import { ROOT } from "./process.mjs";

const { build } = createRequire(join(ROOT, "www/package.json"))("esbuild");

/** Imports a module of www/src, with what it imports. */
export async function importSource(name) {
  const entryPoints = [join(ROOT, "www/src", name)];
  const { outputFiles } = await build({ entryPoints, bundle: true, write: false, format: "esm" });
  const text = Buffer.from(outputFiles[0].contents).toString("base64");
  return import(`data:text/javascript;base64,${text}`);
}
