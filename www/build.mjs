// Bundles the gateway for each runtime: node build.mjs --package DIR --out DIR
//
// DIR of --package is the unpacked npm package `edgepool`. The result: worker.js with its .wasm
// beside it and manifest.json that lists both, node.mjs, deno.mjs, bun.mjs.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import * as esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const source = (path) => join(here, "src", path);

function readOptions() {
  const folder = { type: "string" };
  const { values } = parseArgs({ options: { package: folder, out: folder } });
  if (!values.package || !values.out) {
    throw new Error("usage: node build.mjs --package DIR --out DIR");
  }
  return { packageDir: resolve(values.package), out: resolve(values.out) };
}

/** Puts the live page into one document, whose policy allows its own script and style alone. */
async function buildPage() {
  const result = await esbuild.build({
    entryPoints: [source("page/main.tsx")],
    bundle: true,
    minify: true,
    write: false,
    outdir: "page",
    format: "iife",
    target: "es2022",
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none",
    charset: "utf8",
  });
  const text = (end) => result.outputFiles.find(({ path }) => path.endsWith(end)).text.trim();
  const script = text(".js").replaceAll("</script", "<\\/script");
  const style = text(".css");
  const html = readFileSync(source("page/index.html"), "utf8")
    .replace("/*style*/", () => style)
    .replace("/*script*/", () => script);
  const policy = [
    "default-src 'none'",
    `script-src '${hash(script)}'`,
    `style-src '${hash(style)}'`,
    "connect-src 'self'",
    "img-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
  return { html, policy, icon: readFileSync(source("page/icon.svg"), "utf8") };
}

const hash = (text) => `sha256-${createHash("sha256").update(text).digest("base64")}`;

/** Finds the two names that no folder of the project has: the package, and the page. */
function resolver(packageDir, page, conditions) {
  const { exports } = JSON.parse(readFileSync(join(packageDir, "package.json"), "utf8"));
  return {
    name: "edgepool",
    setup(build) {
      build.onResolve({ filter: /^edgepool(\/.*)?$/ }, ({ path }) => {
        const found = pick(exports[`.${path.slice("edgepool".length)}`], conditions);
        if (!found) return { errors: [{ text: `the package has no entry ${path}` }] };
        return { path: join(packageDir, found) };
      });
      build.onResolve({ filter: /^edgepool-page$/ }, ({ path }) => ({ path, namespace: "page" }));
      build.onLoad({ filter: /.*/, namespace: "page" }, () => ({
        contents: JSON.stringify(page),
        loader: "json",
      }));
    },
  };
}

/** Chooses from an entry of `exports` by conditions, in the order of the entry as Node does. */
function pick(entry, conditions) {
  if (typeof entry === "string") return entry;
  for (const [condition, inner] of Object.entries(entry ?? {})) {
    if (condition !== "default" && !conditions.includes(condition)) continue;
    const found = pick(inner, conditions);
    if (found) return found;
  }
  return undefined;
}

const COMMON = { bundle: true, format: "esm", target: "es2022", legalComments: "inline" };

/** workerd compiles no wasm at run time, so the module stays a file beside the script. */
async function buildWorker(packageDir, out, page) {
  const modules = ["worker.js"];
  const wasm = {
    name: "wasm",
    setup(build) {
      build.onResolve({ filter: /\.wasm$/ }, ({ path, resolveDir }) => {
        const name = basename(path);
        writeFileSync(join(out, name), readFileSync(resolve(resolveDir, path)));
        if (!modules.includes(name)) modules.push(name);
        return { path: `./${name}`, external: true };
      });
    },
  };
  const conditions = ["workerd", "worker", "import"];
  await esbuild.build({
    ...COMMON,
    entryPoints: [source("entries/workerd.ts")],
    outfile: join(out, "worker.js"),
    conditions,
    external: ["cloudflare:*"],
    plugins: [resolver(packageDir, page, conditions), wasm],
  });
  writeFileSync(join(out, "manifest.json"), `${JSON.stringify({ modules }, null, 2)}\n`);
}

async function buildProcess(runtime, packageDir, out, page) {
  const conditions = [runtime, "import"];
  await esbuild.build({
    ...COMMON,
    entryPoints: [source(`entries/${runtime}.ts`)],
    outfile: join(out, `${runtime}.mjs`),
    platform: runtime === "deno" ? "neutral" : "node",
    conditions,
    external: ["node:*"],
    // Libraries for Node in CommonJS ask for its own modules by `require`.
    banner: runtime === "node" ? { js: REQUIRE } : {},
    plugins: [resolver(packageDir, page, conditions)],
  });
}

const REQUIRE = 'import { createRequire } from "node:module";'
  + " const require = createRequire(import.meta.url);";

const { packageDir, out } = readOptions();
mkdirSync(out, { recursive: true });
const page = await buildPage();
await Promise.all([
  buildWorker(packageDir, out, page),
  ...["node", "deno", "bun"].map((runtime) => buildProcess(runtime, packageDir, out, page)),
]);
