// The commands of a page, in an empty folder, with a registry that has the package.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";

import { tarball } from "../../conformance/lib/install.mjs";
import { Child, ROOT } from "../../lib/process.mjs";
import { startRegistry } from "../../lib/registry.mjs";
import { within } from "../../lib/time.mjs";
import { program } from "./run.mjs";

const LIMIT = 60_000;

/** What some commands find in their folder. */
const PRELUDES = {
  "worker-file": {
    "worker.js": `import { Pool } from "edgepool";
export default { fetch: () => new Response(Pool.name) };
`,
  },
};

/** Runs the lines of a snippet one after the other; each has to succeed. */
export async function runShell(snippet) {
  const registry = await startRegistry(tarball(ROOT));
  // Far from any other project, which Deno would take it for a part of.
  const place = mkdtempSync(join(tmpdir(), "edgepool-shell-"));
  for (const [name, text] of Object.entries(PRELUDES[snippet.prelude] ?? {})) {
    writeFileSync(join(place, name), text);
  }
  const env = environment(place, registry);
  const child = new Child("sh", ["-euc", snippet.code], { cwd: place, env });
  try {
    await within(LIMIT, "the end of the commands", child.ended);
    if (child.code !== 0) throw new Error(`ended with ${child.code}:\n${child.output}`);
    const manifests = ["package.json", "deno.json"].map((name) => join(place, name));
    const written = manifests.filter((path) => existsSync(path));
    if (!written.some((path) => readFileSync(path, "utf8").includes('"edgepool"'))) {
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
    ...registry.env,
    PATH: [...programs, process.env.PATH, tools].join(delimiter),
    NO_COLOR: "1",
    npm_config_userconfig: join(place, ".none"),
    npm_config_cache: join(place, ".cache/npm"),
    npm_config_audit: "false",
    npm_config_fund: "false",
    DENO_DIR: join(place, ".cache/deno"),
    BUN_INSTALL_CACHE_DIR: join(place, ".cache/bun"),
  };
}
