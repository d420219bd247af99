// The first steps of the package's README, word for word, each in an empty folder: what installs
// it, from a registry on loopback that has the tarball, and then the first example.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { test } from "node:test";

import { tarball } from "../conformance/lib/install.mjs";
import { binary, execute } from "../conformance/lib/processes.mjs";
import { ROOT } from "../lib/process.mjs";
import { startRegistry } from "../lib/registry.mjs";

const readme = readFileSync(join(ROOT, "crates/edgepool-wasm/ts/README.md"), "utf8");
const blocks = [...readme.matchAll(/^```(\w+)\n([^]*?)^```$/gm)].map(([, language, code]) => {
  return { language, code };
});
const first = blocks.findIndex(({ code }) => code.includes('from "edgepool";'));

/** The driver that the README leaves to its reader. */
const DRIVER = `let connections = 0;
const connect = async () => {
  const id = ++connections;
  const query = async (text) => [\`\${text}, by connection \${id}\`];
  return { query, ping: async () => true, end: async () => undefined };
};
`;

const deno = binary(ROOT, "DENO", "deno");
const bun = binary(ROOT, "BUN", "bun");
const TOOLS = {
  npm: { programs: [process.execPath], run: [process.execPath] },
  deno: { programs: [deno], run: [deno, "run", "--quiet"] },
  bun: { programs: [bun], run: [bun, "run"] },
};

/** Everything that a client keeps is in the folder, as on a machine that never saw the package. */
function environment(folder, registry, programs) {
  return {
    ...registry.env,
    PATH: [...programs.map(dirname), process.env.PATH].join(delimiter),
    NO_COLOR: "1",
    npm_config_cache: join(folder, ".cache/npm"),
    npm_config_audit: "false",
    npm_config_fund: "false",
    DENO_DIR: join(folder, ".cache/deno"),
    BUN_INSTALL_CACHE_DIR: join(folder, ".cache/bun"),
  };
}

for (const [tool, { programs, run }] of Object.entries(TOOLS)) {
  const name = `the README's words install and run the package with ${tool}`;
  test(name, { timeout: 60_000 }, async () => {
    const install = blocks.find(({ language, code }) => language === "sh" && code.startsWith(tool));
    assert.ok(install, `the README says how to install the package with ${tool}`);
    assert.ok(first >= 0, "the README has an example that imports the package");
    const expected = blocks[first + 1];
    assert.equal(expected?.language, "text", "after its first example stands what that prints");

    const folder = mkdtempSync(join(tmpdir(), `edgepool-${tool}-`));
    const registry = await startRegistry(tarball(ROOT));
    try {
      const env = environment(folder, registry, programs);
      await execute(["sh", "-euc", install.code], folder, env);
      const made = readdirSync(folder).filter((name) => /^(package|deno)\.json$/.test(name));
      assert.equal(made.length, 1, `${tool} has written a manifest, and only one: ${made}`);
      writeFileSync(join(folder, "main.mjs"), DRIVER + blocks[first].code);
      const printed = await execute([...run, "main.mjs"], folder, env);
      assert.equal(printed, expected.code.trim());
    } finally {
      registry.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  });
}
