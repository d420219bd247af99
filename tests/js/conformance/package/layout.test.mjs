// What is in the package, and what each resolver finds there.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";

import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { publint } from "publint";
import { formatMessage } from "publint/utils";

import { ROOT, TARBALL, userProject } from "./lib.mjs";

const project = userProject();
const { installed, manifest } = project;
after(project.remove);

/** Runs code in the project, as a module or for `require`, and gives what it prints. */
function run(extension, code) {
  const file = join(project.folder, `script.${extension}`);
  writeFileSync(file, code);
  const options = { cwd: project.folder, encoding: "utf8" };
  return execFileSync(process.execPath, [file], options).trim();
}

test("publint finds nothing", async () => {
  const { messages } = await publint({ pkgDir: installed, strict: true, pack: false });
  assert.deepEqual(messages.map((message) => formatMessage(message, manifest)), []);
});

test("the types are right for every resolver of TypeScript", async () => {
  const data = new Uint8Array(readFileSync(TARBALL));
  const { problems, entrypoints } = await checkPackage(createPackageFromTarballData(data));
  const tell = (problem) => [problem.kind, problem.entrypoint, problem.resolutionKind].join(" ");
  // The oldest resolver knows no `exports`; TypeScript has dropped it.
  const found = problems.filter(({ resolutionKind }) => resolutionKind !== "node10").map(tell);
  // A wasm module is imported, and never required.
  const modules = ["./clients.wasm", "./edgepool.wasm", "./tenants.wasm"];
  const expected = modules.map((module) => `CJSResolvesToESM ${module} node16-cjs`);
  assert.deepEqual(found.sort(), expected);
  assert.deepEqual(Object.keys(entrypoints).sort(), Object.keys(manifest.exports).sort());
});

test("every file that the manifest names is there, with its types first", () => {
  const conditions = (path, value) => {
    if (typeof value === "string") {
      assert.ok(existsSync(join(installed, value)), `${path}: there is no ${value}`);
      return;
    }
    const keys = Object.keys(value);
    if (keys.includes("types")) assert.equal(keys[0], "types", `${path}: types come first`);
    else if (keys.length > 0) assert.equal(keys.at(-1), "default", `${path}: default comes last`);
    for (const key of keys) conditions(`${path} ${key}`, value[key]);
  };
  conditions("exports", { ...manifest.exports, default: manifest.exports["."] });
  for (const file of [manifest.main, manifest.module, manifest.types, ...manifest.sideEffects]) {
    assert.ok(existsSync(join(installed, file)), `there is no ${file}`);
  }
  for (const [path, value] of Object.entries(manifest.exports)) {
    if (path === "./package.json") continue;
    assert.match(JSON.stringify(value), /"types"/, `${path} has no types`);
  }
});

test("nothing is installed with it, and nothing runs when it is", () => {
  const fields = ["dependencies", "peerDependencies", "optionalDependencies", "scripts", "bin"];
  for (const field of fields) {
    assert.equal(manifest[field], undefined, `the manifest has ${field}`);
  }
  const modules = readdirSync(join(project.folder, "node_modules"));
  assert.deepEqual(modules.filter((name) => !name.startsWith(".")), ["edgepool"]);
});

test("only what is used is in it", () => {
  const top = readdirSync(installed).sort();
  const expected = ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "dist", "package.json"];
  assert.deepEqual(top, expected);
  const files = readdirSync(join(installed, "dist"), { recursive: true, withFileTypes: true });
  const strange = files.filter((entry) => entry.isFile() && !/\.(js|d\.ts|wasm)$/.test(entry.name));
  assert.deepEqual(strange.map(({ name }) => name), ["package.json"]);
});

test("the package says which it is to whoever asks", () => {
  const asked = 'console.log(require("edgepool/package.json").version)';
  assert.equal(run("cjs", asked), manifest.version);
  const workspace = readFileSync(join(ROOT, "Cargo.toml"), "utf8");
  assert.match(workspace, new RegExp(`^version = "${manifest.version}"$`, "m"));
});

const USE = `const pool = new Pool({ create: () => "it works" });
  pool.use((value) => console.log(value));`;

test("slim takes the module that its caller has, in both kinds of modules", () => {
  const bytes = 'readFileSync("node_modules/edgepool/dist/edgepool.wasm")';
  for (const module of [bytes, `new WebAssembly.Module(${bytes})`]) {
    const esm = `import { readFileSync } from "node:fs"; import { init, Pool } from "edgepool/slim";
      init(${module}); ${USE}`;
    assert.equal(run("mjs", esm), "it works");
    const cjs = `const { readFileSync } = require("node:fs");
      const { init, Pool } = require("edgepool/slim"); init(${module}); ${USE}`;
    assert.equal(run("cjs", cjs), "it works");
  }
});

test("slim clients take a module of their own, and that with tenants", () => {
  const code = `import { readFileSync } from "node:fs";
    import { ClientPool, initClients, initTenants } from "edgepool/slim/clients";
    const read = (name) => readFileSync("node_modules/edgepool/dist/" + name + ".wasm");
    const providers = { p: { kind: "http", baseURL: "http://127.0.0.1:9" } };
    const make = () => new ClientPool({ providers }).providerNames();
    for (const init of [() => initClients(read("clients")), () => initTenants(read("tenants"))]) {
      try { make(); } catch (error) { console.log(error.message); }
      init();
    }
    console.log(make());`;
  const [first, second, third] = run("mjs", code).split("\n");
  assert.match(first, /initClients/);
  assert.match(second, /initTenants/);
  assert.equal(third, "[ 'p' ]");
});

test("slim tenants take a module of their own, which serves any pool", () => {
  const code = `import { readFileSync } from "node:fs"; import { Pool } from "edgepool/slim";
    import { SharedPool, TenantPools, initTenants } from "edgepool/slim/tenants";
    const options = { strategy: { perTenant: {} }, create: ({ schema }) => ({ schema }) };
    const use = () => new TenantPools(options).use("acme", ({ schema }) => schema);
    console.log(await use().catch((error) => error.message));
    const make = () => new SharedPool({ create: () => 7 });
    try { make(); } catch (error) { console.log(error.message); }
    initTenants(readFileSync("node_modules/edgepool/dist/tenants.wasm")); console.log(await use());
    const tenant = (pool) => pool.use((value) => value, { tenant: pool.tenant({ weight: 2 }) });
    console.log(await tenant(make()), await new Pool({ create: () => 8 }).use((value) => value));`;
  const [first, second, ...rest] = run("mjs", code).split("\n");
  assert.match(first, /init/);
  assert.match(second, /initTenants/);
  assert.deepEqual(rest, ["tenant_acme", "7 8"]);
});

test("whichever of the pools is imported first, and used before the other is, both work", () => {
  const make = {
    edgepool: "new (await import('edgepool')).Pool({ create: () => 1 })",
    "edgepool/tenants": "new (await import('edgepool/tenants')).SharedPool({ create: () => 1 })",
  };
  for (const names of [Object.keys(make), Object.keys(make).reverse()]) {
    const code = `const instances = [];
      const { Instance } = WebAssembly;
      WebAssembly.Instance = class extends Instance {
        constructor(...args) { super(...args); instances.push("open_tenant" in this.exports); }
      };
      const pools = [];
      for (const make of [${names.map((name) => `async () => ${make[name]}`)}]) {
        const pool = await make();
        console.log(await pool.use((one) => one, pool.tenant && { tenant: pool.tenant() }));
        pools.push(pool);
      }
      for (const pool of pools) await pool.use((one) => one);
      console.log(instances.join());`;
    const isPlainFirst = names[0] === "edgepool";
    // The module with tenants serves both, if it is there when the first pool is made.
    const expected = ["1", "1", isPlainFirst ? "false,true" : "true"];
    assert.deepEqual(run("mjs", code).split("\n"), expected, names.join(" before "));
    const cjs = code.replaceAll(/await import\(/g, "require(");
    assert.deepEqual(run("cjs", `(async () => { ${cjs} })();`).split("\n"), expected);
  }
});

test("the types that are shipped are those that the entries lead to", () => {
  const inDist = (text) => [...text.matchAll(/dist\/([\w./-]+)\.d\.ts/g)].map(([, name]) => name);
  const entries = inDist(JSON.stringify(manifest.exports)).map((name) => `${name}.d.ts`);
  for (const folder of ["", "cjs/"]) {
    const reached = new Set();
    const follow = (file) => {
      if (reached.has(file)) return;
      reached.add(file);
      const text = readFileSync(join(installed, "dist", folder, file), "utf8");
      for (const [, name] of text.matchAll(/["']\.\/([^"']+)\.js["']/g)) follow(`${name}.d.ts`);
    };
    const all = readdirSync(join(installed, "dist", folder));
    const types = all.filter((file) => file.endsWith(".d.ts"));
    entries.filter((file) => types.includes(file)).forEach(follow);
    assert.ok(reached.size > 20, `${folder}: ${reached.size} files`);
    assert.deepEqual(types.filter((file) => !reached.has(file)), [], folder);
  }
});

test("slim without its module says what to call", () => {
  const code = `import { Pool } from "edgepool/slim";
    try { new Pool({ create: () => 1 }); } catch (error) { console.log(error.message); }`;
  assert.match(run("mjs", code), /init/);
});

test("required and imported in one program, both work", () => {
  const code = `import { createRequire } from "node:module"; import { Pool } from "edgepool";
    const required = createRequire(import.meta.url)("edgepool");
    const use = (Pool) => new Pool({ create: () => 2, max: 1 }).use((value) => value);
    console.log(await use(Pool) + await use(required.Pool));`;
  assert.equal(run("mjs", code), "4");
});
