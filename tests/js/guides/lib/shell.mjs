// The commands of a page, in an empty folder, with a registry that has the package.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";

import { Child, ROOT } from "../../lib/process.mjs";
import { within } from "../../lib/time.mjs";
import { tarball } from "./project.mjs";
import { program } from "./run.mjs";
import { startRegistry } from "./registry.mjs";

const LIMIT = 60_000;

/** What some commands find in their folder. */
const PRELUDES = {
  "worker-file": {
    "worker.js": 'import { Pool } from "edgepool";\nexport default { fetch: () => new Response(Pool.name) };',
  },
};

/** Runs the lines of a snippet one after the other; each has to succeed. */
export async function runShell(snippet, installed) {
  const manifest = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
  const registry = await startRegistry(tarball(), manifest);
  // Far from any other project, which Deno would take it for a part of.
  const place = mkdtempSync(join(tmpdir(), "edgepool-shell-"));
  for (const [name, text] of Object.entries(PRELUDES[snippet.prelude] ?? {})) {
    writeFileSync(join(place, name), text);
  }
  const env = environment(place, registry.address);
  const child = new Child("sh", ["-euc", snippet.code], { cwd: place, env });
  try {
    await within(LIMIT, "the end of the commands", child.ended);
    if (child.code !== 0) throw new Error(`ended with ${child.code}:\n${child.output}`);
    const manifests = ["package.json", "deno.json"].map((name) => join(place, name));
    const texts = manifests.filter((path) => existsSync(path)).map((path) => readFileSync(path, "utf8"));
    if (!texts.some((text) => text.includes('"edgepool"'))) {
      throw new Error("the package is not among the dependencies after that");
    }
    return child.stdout;
  } finally {
    await child.stop();
    registry.stop();
    rmSync(place, { recursive: true, force: true });
  }
}

function environment(place, registry) {
  const programs = ["node", "deno", "bun"].map((name) => dirname(program(name)));
  const tools = join(ROOT, "www/node_modules/.bin");
  return {
    PATH: [...programs, process.env.PATH, tools].join(delimiter),
    NO_COLOR: "1",
    NPM_CONFIG_REGISTRY: registry,
    npm_config_registry: registry,
    npm_config_userconfig: join(place, ".none"),
    npm_config_cache: join(place, ".cache/npm"),
    npm_config_audit: "false",
    npm_config_fund: "false",
    DENO_DIR: join(place, ".cache/deno"),
    BUN_INSTALL_CACHE_DIR: join(place, ".cache/bun"),
  };
}
