// What bundlers keep of the package: what is used, and no more.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { after, test } from "node:test";

import { rolldown } from "rolldown";
import { build as vite } from "vite";

import { esbuild, userProject } from "./lib.mjs";

const project = userProject();
after(project.remove);
const entry = join(project.folder, "entry.js");

/** Each bundles the entry as it comes, and gives the bytes that each module of the package left. */
const BUNDLERS = {
  async esbuild() {
    const { metafile } = await esbuild.build({
      absWorkingDir: project.folder, entryPoints: [entry], outdir: "out", bundle: true,
      format: "esm", write: false, metafile: true, logLevel: "error",
    });
    const [output] = Object.values(metafile.outputs);
    return Object.entries(output.inputs).map(([name, { bytesInOutput }]) => [name, bytesInOutput]);
  },
  async rolldown() {
    const made = await rolldown({ cwd: project.folder, input: entry, platform: "browser" });
    return kept(await made.generate({ format: "esm" }));
  },
  async vite() {
    const lib = { entry, formats: ["es"] };
    return kept(await vite({
      root: project.folder, configFile: false, logLevel: "error", build: { write: false, lib },
    }));
  },
};

function kept(made) {
  const chunks = [made].flat().flatMap(({ output }) => output).filter(({ modules }) => modules);
  const modules = chunks.flatMap((chunk) => Object.entries(chunk.modules));
  return modules.map(([name, { renderedLength }]) => [name, renderedLength]);
}

/** Bundles code, and names the package's modules of which something is left. */
async function modulesOf(bundler, code) {
  writeFileSync(entry, code);
  const all = await BUNDLERS[bundler]();
  const mine = all.filter(([name, bytes]) => name.includes("node_modules/edgepool/") && bytes > 0);
  return mine.map(([name]) => basename(name, ".js"));
}

const POOL_ALONE = "export { Pool } from 'edgepool';";
const CLIENTS = "export { ClientPool } from 'edgepool/clients';";
const TENANTS = "export { TenantPools } from 'edgepool/tenants';";
const SHARED = "export { SharedPool } from 'edgepool/tenants';";

for (const bundler of Object.keys(BUNDLERS)) {
  test(`${bundler}: a pool alone brings no client along`, async () => {
    const pool = await modulesOf(bundler, POOL_ALONE);
    assert.ok(pool.includes("pool") && pool.includes("wasm-base64"), `it has ${pool}`);
    const clients = await modulesOf(bundler, CLIENTS);
    for (const name of ["clients", "clients-glue", "clients-base64"]) {
      assert.ok(clients.includes(name), `a bundle of the clients has ${clients}`);
      assert.ok(!pool.includes(name), `a bundle of the pool alone has ${name}`);
    }
  });

  test(`${bundler}: a pool alone brings no tenant along, and tenants no client`, async () => {
    const pool = await modulesOf(bundler, POOL_ALONE);
    const tenants = await modulesOf(bundler, TENANTS);
    for (const name of ["pool", "tenants", "tenants-base64"]) {
      assert.ok(tenants.includes(name), `a bundle of tenants has ${tenants}`);
    }
    assert.deepEqual(pool.filter((name) => /tenant|share/.test(name)), []);
    assert.deepEqual(tenants.filter((name) => /client|wasm-base64/.test(name)), []);
    const shared = await modulesOf(bundler, SHARED);
    for (const name of ["pool", "shared-pool", "tenants-base64"]) {
      assert.ok(shared.includes(name), `a bundle of a pool that tenants share has ${shared}`);
    }
    assert.deepEqual(shared.filter((name) => /client|^tenants$|wasm-base64/.test(name)), []);
  });

  test(`${bundler}: slim brings no module along, and errors alone no pool`, async () => {
    const slim = await modulesOf(bundler, "export { init, Pool } from 'edgepool/slim';");
    assert.ok(slim.includes("pool") && !slim.includes("wasm-base64"), `it has ${slim}`);
    const errors = await modulesOf(bundler, "export { PoolClosedError } from 'edgepool/slim';");
    assert.deepEqual(errors, ["errors"]);
  });

  test(`${bundler}: what is imported and not used leaves nothing of the pool`, async () => {
    const code = "import { Pool } from 'edgepool/slim'; export const used = typeof 1;";
    assert.deepEqual(await modulesOf(bundler, code), []);
  });
}

for (const [format, extension] of [["esm", "mjs"], ["cjs", "cjs"]]) {
  test(`a bundle for Node as ${format} runs on its own`, async () => {
    const code = 'import { Pool } from "edgepool"; import { ClientPool } from "edgepool/clients";'
      + 'new Pool({ create: () => "ran" }).use((value) => console.log(value, typeof ClientPool));';
    writeFileSync(entry, code);
    const outfile = join(project.folder, `alone-${format}`, `bundle.${extension}`);
    await esbuild.build({
      entryPoints: [entry], outfile, bundle: true, platform: "node", format, logLevel: "error",
    });
    const options = { cwd: join(project.folder, `alone-${format}`), encoding: "utf8" };
    assert.equal(execFileSync(process.execPath, [outfile], options), "ran function\n");
  });
}

test("errors have their names in a bundle whose own names are short", async () => {
  const code = `import * as all from "edgepool";
    const pool = new all.Pool({ create: () => { throw new Error("no"); } });
    const failed = await pool.acquire().catch((error) => error);
    console.log(failed.name, failed instanceof all.CreateError, failed.constructor.name.length < 3);
    await pool.close();
    console.log((await pool.acquire().catch((error) => error)).name);`;
  writeFileSync(entry, code);
  const outfile = join(project.folder, "minified.mjs");
  await esbuild.build({
    entryPoints: [entry], outfile, bundle: true, platform: "node", format: "esm", minify: true,
  });
  const printed = execFileSync(process.execPath, [outfile], { encoding: "utf8" });
  assert.equal(printed, "CreateError true true\nPoolClosedError\n");
});
