// Builds the npm package from the sources here and the glue that wasm-bindgen made:
//   node build.mjs --glue DIR --tenants-glue DIR --clients-glue DIR --out DIR --version V
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";

import { publishedTypes, shortNames } from "./short-names.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, "../../..");
const names = ["glue", "tenants-glue", "clients-glue", "out", "version"];
const options = Object.fromEntries(names.map((name) => [name, { type: "string" }]));
const { values } = parseArgs({ options });
if (names.some((name) => !values[name])) {
  const flags = names.map((name) => `--${name} ${name === "version" ? "V" : "DIR"}`);
  console.error(`usage: node build.mjs ${flags.join(" ")}`);
  process.exit(2);
}
const { glue, "tenants-glue": tenantsGlue, "clients-glue": clientsGlue, out, version } = values;

const GLUE = "edgepool_wasm";
const CLIENTS_GLUE = "edgepool_clients";
const TSC = join(here, "node_modules", ".bin", "tsc");
const TSC_ARGS = ["--project", join(here, "tsconfig.json")];
// The entries, by the part of the package's name after the slash. Only these and the modules that
// name the wasm do anything when they are imported: they say where the module comes from.
const ENTRIES = {
  ".": { node: "index", workerd: "workerd" },
  "./clients": { node: "clients-index", workerd: "clients-workerd" },
  "./postgres": { node: "postgres" },
  "./tenants": { node: "tenants-index", workerd: "tenants-workerd" },
  "./slim": { node: "slim" },
  "./slim/clients": { node: "clients-slim" },
  "./slim/tenants": { node: "tenants-slim" },
};
// The modules by the names of their files.
const MODULES = ["edgepool", "tenants", "clients"];
const WORKERD_ONLY = [
  "workerd", "clients-workerd", "tenants-workerd", "module", "module-clients", "module-tenants",
];
const EFFECTFUL = [
  "index", "workerd", "clients-index", "clients-workerd", "tenants-index", "tenants-workerd",
  "inline", "inline-clients", "inline-tenants", "module", "module-clients", "module-tenants",
];

const sources = readdirSync(join(here, "src"))
  .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
  .map((name) => name.slice(0, -3));
const dist = join(out, "dist");

rmSync(out, { recursive: true, force: true });
mkdirSync(join(dist, "cjs"), { recursive: true });
const wasm = emitModule(glue, join(dist, "edgepool.wasm"));
const tenantsWasm = emitModule(tenantsGlue, join(dist, "tenants.wasm"));
const clientsWasm = readFileSync(join(clientsGlue, `${CLIENTS_GLUE}_bg.wasm`));
writeFileSync(join(dist, "clients.wasm"), clientsWasm);
emitTypes();
const mangleCache = namesToShorten();
await emit("esm", dist, sources);
await emit("cjs", join(dist, "cjs"), sources.filter((name) => !WORKERD_ONLY.includes(name)));
writeFileSync(join(dist, "cjs", "package.json"), '{ "type": "commonjs" }\n');
writeFileSync(join(out, "package.json"), `${JSON.stringify(manifest(), null, 2)}\n`);
cpSync(join(here, "README.md"), join(out, "README.md"));
for (const licence of ["LICENSE-MIT", "LICENSE-APACHE"]) {
  if (existsSync(join(root, licence))) cpSync(join(root, licence), join(out, licence));
}

/**
 * Writes a module of the pool with its own functions and its memory, and returns it. What
 * wasm-bindgen adds is for values that are no numbers, which it has none of.
 */
function emitModule(folder, file) {
  cpSync(join(folder, `${GLUE}_bg.wasm`), file);
  const all = WebAssembly.Module.exports(new WebAssembly.Module(readFileSync(file)));
  const names = all.map(({ name }) => name).filter((name) => !name.startsWith("__"));
  const graph = names.map((name) => ({ name: `used ${name}`, export: name }));
  graph.push({ name: "outside", root: true, reaches: graph.map(({ name }) => name) });
  const graphFile = join(out, "exports.json");
  writeFileSync(graphFile, JSON.stringify(graph));
  binaryen("wasm-metadce", ["--graph-file", graphFile, file, "-o", file]);
  rmSync(graphFile);
  // What is left is rid of what only that needed, and in the order that compresses best.
  binaryen("wasm-opt", ["-O3", "--strip-target-features", file, "-o", file]);
  return readFileSync(file);
}

function binaryen(tool, args) {
  const program = join(here, "node_modules/binaryen/bin", tool);
  execFileSync(process.execPath, [program, ...args], { stdio: ["ignore", "ignore", "inherit"] });
}

/** Finds short names for the members that only the sources themselves name. */
function namesToShorten() {
  const source = (name) => readFileSync(join(here, "src", `${name}.ts`), "utf8");
  const typesOf = (name) => readFileSync(join(dist, `${name}.d.ts`), "utf8");
  const published = ["public", "clients-public", "tenants-public"].flatMap((entry) =>
    publishedTypes(source(entry), typesOf));
  const listed = execFileSync(TSC, [...TSC_ARGS, "--listFilesOnly"], { encoding: "utf8" });
  const libs = listed.split("\n").filter((file) => /\/lib\.[^/]*\.d\.ts$/.test(file));
  // The module with tenants has all that the other one has.
  const exported = WebAssembly.Module.exports(new WebAssembly.Module(tenantsWasm));
  const glueTypes = readFileSync(join(clientsGlue, `${CLIENTS_GLUE}.d.ts`), "utf8");
  const names = [...exported.map(({ name }) => name), glueTypes].join(" ");
  const outside = [...published, ...libs.map((file) => readFileSync(file, "utf8")), names];
  // What a pool alone has comes first: that is what is to be small.
  const first = importedBy("index", source);
  const others = sources.filter((name) => !first.has(name));
  return shortNames([[...first], others].map((names) => names.map(source)), outside);
}

/** Finds the sources that one imports, by way of others too, and itself. */
function importedBy(name, source, found = new Set()) {
  if (!sources.includes(name) || found.has(name)) return found;
  found.add(name);
  for (const [, next] of source(name).matchAll(/^(?:import|export|\}).*"\.\/(.+)\.js";$/gm)) {
    importedBy(next, source, found);
  }
  return found;
}

/** Writes the modules one by one, and beside them the bytes of the wasm. */
async function emit(format, outdir, names) {
  const entryPoints = names.map((name) => join(here, "src", `${name}.ts`));
  const mangleProps = new RegExp(`^(?:${Object.keys(mangleCache).join("|")})$`);
  // White space is left for people: whoever counts bytes has a bundler that takes it away.
  await build({
    format, entryPoints, outdir, outbase: join(here, "src"), target: "es2022", mangleProps,
    mangleCache, legalComments: "none", logLevel: "warning",
  });
  // Nothing of it is ours to give another name.
  await build({
    format, entryPoints: { "clients-glue": join(clientsGlue, `${CLIENTS_GLUE}.js`) }, outdir,
    target: "es2022", legalComments: "none", logLevel: "warning",
  });
  emitBytes(format, join(outdir, "wasm-base64.js"), "wasmBase64", wasm);
  emitBytes(format, join(outdir, "tenants-base64.js"), "tenantsBase64", tenantsWasm);
  emitBytes(format, join(outdir, "clients-base64.js"), "clientsBase64", clientsWasm);
}

function emitBytes(format, file, name, bytes) {
  const left = format === "esm" ? `export const ${name}` : `exports.${name}`;
  writeFileSync(file, `${left} = "${bytes.toString("base64")}";\n`);
}

function emitTypes() {
  execFileSync(TSC, [...TSC_ARGS, "--outDir", dist], { stdio: "inherit" });
  const types = readdirSync(dist).filter((name) => name.endsWith(".d.ts"));
  for (const name of types) {
    if (WORKERD_ONLY.includes(name.slice(0, -5))) continue;
    cpSync(join(dist, name), join(dist, "cjs", name));
  }
  // What Workers see of a module that they import.
  const module = "declare const module: WebAssembly.Module;\nexport default module;\n";
  for (const name of MODULES) writeFileSync(join(dist, `${name}.wasm.d.ts`), module);
}

function manifest() {
  const exported = {};
  for (const [path, { node, workerd }] of Object.entries(ENTRIES)) {
    exported[path] = {
      ...(workerd ? { workerd: condition(workerd) } : {}),
      import: condition(node),
      require: condition(`cjs/${node}`),
      default: condition(node),
    };
  }
  for (const name of MODULES) {
    const file = `./dist/${name}.wasm`;
    exported[`./${name}.wasm`] = { types: `${file}.d.ts`, default: file };
  }
  exported["./package.json"] = "./package.json";
  return {
    name: "edgepool",
    version,
    description: "One pool for Workers, Deno, Node, Bun and browsers: bounded, fair, never lost",
    license: "MIT OR Apache-2.0",
    repository: {
      type: "git",
      url: "git+https://github.com/edgepool/edgepool.git",
      // The links of the front page are relative to this.
      directory: "crates/edgepool-wasm/ts",
    },
    keywords: ["pool", "workers", "workerd", "deno", "bun", "wasm", "llm", "concurrency"],
    type: "module",
    engines: { node: ">=20" },
    exports: exported,
    types: "./dist/index.d.ts",
    main: "./dist/cjs/index.js",
    module: "./dist/index.js",
    sideEffects: EFFECTFUL.flatMap((name) => {
      const both = [`./dist/${name}.js`, `./dist/cjs/${name}.js`];
      return WORKERD_ONLY.includes(name) ? both.slice(0, 1) : both;
    }),
    files: ["dist", "LICENSE-*"],
  };
}

function condition(name) {
  return { types: `./dist/${name}.d.ts`, default: `./dist/${name}.js` };
}
