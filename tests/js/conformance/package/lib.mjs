// A project with the package in it, and the paths that the tests of its layout need.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { installByNpm, tarball } from "../lib/install.mjs";


export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../../../..");
export const TARBALL = tarball(ROOT);
export const esbuild = createRequire(join(ROOT, "www/package.json"))("esbuild");

/** Installs the tarball into an empty folder; `remove` takes it away again. */
export function userProject() {
  const folder = mkdtempSync(join(tmpdir(), "edgepool-package-"));
  installByNpm(folder, TARBALL);
  const installed = join(folder, "node_modules/edgepool");
  const manifest = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  return { folder, installed, manifest, remove };
}
