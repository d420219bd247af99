// Builds the npm package from the sources here and the glue that wasm-bindgen made:
//   node build.mjs --glue DIR --tenants-glue DIR --clients-glue DIR --out DIR --version V
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";

import { publishedNames, publishedTypes, shortNames } from "./short-names.mjs";

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
const EFFECTFUL = [
  "index", "workerd", "clients-index", "clients-workerd", "tenants-index", "tenants-workerd",
  "inline-tenants", "module-tenants",
];
const NODE_ENTRIES = Object.values(ENTRIES).map(({ node }) => node);
const WORKERD_ENTRIES = Object.values(ENTRIES).flatMap(({ workerd }) => workerd ?? []);
// What entries share comes in files of many sources each, as to find and read a file takes longer
// than to run it: those that these import and that no file before has.
const SHARED = {
  errors: ["errors"],
  pool: ["pool", "compile", "decode"],
  "shared-pool": ["shared-pool", "tenant-id"],
  tenants: ["tenants"],
  clients: ["clients"],
  "inline-tenants": ["inline-tenants"],
  "module-tenants": ["module-tenants"],
};

const sources = readdirSync(join(here, "src"))
  .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
  .map((name) => name.slice(0, -3));
const isWorkerdOnly = (name) => WORKERD_ENTRIES.includes(name) || name.startsWith("module");
const dist = join(out, "dist");

rmSync(out, { recursive: true, force: true });
mkdirSync(join(dist, "cjs"), { recursive: true });
const wasm = emitModule(glue, join(dist, "edgepool.wasm"));
const tenantsWasm = emitModule(tenantsGlue, join(dist, "tenants.wasm"));
const clientsWasm = readFileSync(join(clientsGlue, `${CLIENTS_GLUE}_bg.wasm`));
writeFileSync(join(dist, "clients.wasm"), clientsWasm);
emitTypes();
const imports = await importsOfAll();
const mangleCache = namesToShorten();
const files = filesOfAll();
await emit("esm", dist, files);
await emit("cjs", join(dist, "cjs"), files.filter((file) => !isWorkerdOnly(file.name)));
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
  // What is left is rid of what only that needed, and in the order that compresses best. The first
  // kilobyte is the far end of the stack, at which nothing has an address.
  const flags = ["-O3", "--low-memory-unused", "--strip-target-features"];
  binaryen("wasm-opt", [...flags, file, "-o", file]);
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
  const entries = ["public", "clients-public", "tenants-public"].map(source);
  const published = entries.flatMap((entry) => publishedTypes(entry, typesOf));
  const listed = execFileSync(TSC, [...TSC_ARGS, "--listFilesOnly"], { encoding: "utf8" });
  const libs = listed.split("\n").filter((file) => /\/lib\.[^/]*\.d\.ts$/.test(file));
  // The module with tenants has all that the other one has.
  const exported = WebAssembly.Module.exports(new WebAssembly.Module(tenantsWasm));
  const glueTypes = readFileSync(join(clientsGlue, `${CLIENTS_GLUE}.d.ts`), "utf8");
  const names = [...exported.map(({ name }) => name), glueTypes].join(" ");
  const outside = [...published, ...libs.map((file) => readFileSync(file, "utf8")), names];
  // What a pool alone has comes first: that is what is to be small.
  const first = importedBy("index");
  const others = sources.filter((name) => !first.has(name));
  return shortNames([[...first], others].map((names) => names.map(source)), outside,
    new Set([...entries, source("postgres")].flatMap(publishedNames)));
}

/** Finds what each source imports of the others, but for types. */
async function importsOfAll() {
  const entryPoints = sources.map((name) => join(here, "src", `${name}.ts`));
  const external = ["*.wasm", "*-base64.js", "*-glue.js"];
  const { metafile } = await build({
    absWorkingDir: join(here, "src"), entryPoints, bundle: true, external, format: "esm",
    outdir: dist, write: false, metafile: true, logLevel: "warning",
  });
  const inner = ({ imports }) => imports.filter(({ external }) => !external);
  const nameOf = (path) => basename(path, ".ts");
  const all = Object.entries(metafile.inputs);
  return new Map(all.map(([path, input]) =>
    [nameOf(path), inner(input).map((one) => nameOf(one.path))]));
}

/** Finds the sources that one imports, by way of others too, and itself. */
function importedBy(name, found = new Set()) {
  if (found.has(name)) return found;
  found.add(name);
  for (const next of imports.get(name)) importedBy(next, found);
  return found;
}

/** Tells of sources that leave nothing behind: they pass on what others export, or name numbers. */
function isNobodys(name) {
  return name.endsWith("public") || name === "codes";
}

/** Finds which sources each file has: `{ name, sources }`. */
function filesOfAll() {
  const entries = [...NODE_ENTRIES, ...WORKERD_ENTRIES];
  const taken = new Set(entries);
  const ofOne = ([name, roots]) => {
    const all = roots.flatMap((root) => [...importedBy(root)]);
    const own = [...new Set(all)].filter((one) => one === name || !taken.has(one));
    const sources = own.filter((one) => !isNobodys(one));
    for (const one of sources) taken.add(one);
    return { name, sources };
  };
  return [...Object.entries(SHARED), ...entries.map((name) => [name, [name]])].map(ofOne);
}

/** Writes the files, and beside them the bytes of the wasm. */
async function emit(format, outdir, files) {
  const mangleProps = new RegExp(`^(?:${Object.keys(mangleCache).join("|")})$`);
  const common = { format, target: "es2022", legalComments: "none", logLevel: "warning" };
  // White space is left for people: whoever counts bytes has a bundler that takes it away.
  await Promise.all(files.map(({ name, sources }) => build({
    ...common, stdin: { contents: contentsOf(name, sources), resolveDir: join(here, "src") },
    outfile: join(outdir, `${name}.js`), bundle: true, platform: "neutral",
    tsconfig: join(here, "tsconfig.json"), plugins: [apartFrom(sources)], mangleProps, mangleCache,
  })));
  // Nothing of it is ours to give another name.
  const glue = join(clientsGlue, `${CLIENTS_GLUE}.js`);
  await build({ ...common, entryPoints: { "clients-glue": glue }, outdir });
  emitBytes(format, join(outdir, "wasm-base64.js"), "wasmBase64", wasm);
  emitBytes(format, join(outdir, "tenants-base64.js"), "tenantsBase64", tenantsWasm);
  emitBytes(format, join(outdir, "clients-base64.js"), "clientsBase64", clientsWasm);
}

/** An entry exports what its source does, and what entries share all that its sources do. */
function contentsOf(name, sources) {
  const exporting = name in SHARED ? sources : [name];
  return exporting.map((one) => `export * from "./${one}.js";\n`).join("");
}

/** Leaves out of a file what is in another, and what is not made of a source. */
function apartFrom(own) {
  const resolved = ({ path }) => {
    const name = basename(path, ".js");
    if (own.includes(name) || isNobodys(name)) {
      return { path: join(here, "src", `${name}.ts`) };
    }
    const other = files.find(({ sources }) => sources.includes(name))?.name;
    if (other === undefined) return { external: true };
    // What an entry does not export it cannot share.
    if (!(other in SHARED) && other !== name) throw new Error(`${other} has ${name} for itself`);
    return { path: `./${other}.js`, external: true, sideEffects: EFFECTFUL.includes(other) };
  };
  return { name: "apart", setup: ({ onResolve }) => onResolve({ filter: /^\.\// }, resolved) };
}

function emitBytes(format, file, name, bytes) {
  const left = format === "esm" ? `export const ${name}` : `exports.${name}`;
  writeFileSync(file, `${left} = "${bytes.toString("base64")}";\n`);
}

/** Writes the types that an entry's lead to, and none that nobody would read. */
function emitTypes() {
  execFileSync(TSC, [...TSC_ARGS, "--outDir", dist], { stdio: "inherit" });
  const needed = new Set();
  for (const name of [...NODE_ENTRIES, ...WORKERD_ENTRIES]) needTypes(name, needed);
  for (const file of readdirSync(dist).filter((file) => file.endsWith(".d.ts"))) {
    const name = file.slice(0, -5);
    if (!needed.has(name)) rmSync(join(dist, file));
    else if (!isWorkerdOnly(name)) cpSync(join(dist, file), join(dist, "cjs", file));
  }
  // What Workers see of a module that they import.
  const module = "declare const module: WebAssembly.Module;\nexport default module;\n";
  for (const name of MODULES) writeFileSync(join(dist, `${name}.wasm.d.ts`), module);
}

function needTypes(name, needed) {
  if (needed.has(name)) return;
  needed.add(name);
  const text = readFileSync(join(dist, `${name}.d.ts`), "utf8");
  for (const [, other] of text.matchAll(/["']\.\/([^"']+)\.js["']/g)) needTypes(other, needed);
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
      return isWorkerdOnly(name) ? both.slice(0, 1) : both;
    }),
    files: ["dist", "LICENSE-*"],
  };
}

function condition(name) {
  return { types: `./dist/${name}.d.ts`, default: `./dist/${name}.js` };
}
