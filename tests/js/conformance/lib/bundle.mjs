// Bundles what a user wrote for workerd, as a user would, with one of several bundlers.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";

/** The conditions of the package's exports under which a Worker is bundled. */
const CONDITIONS = ["workerd", "worker", "module"];
const BUNDLERS = { esbuild, rolldown, vite };

/**
 * Bundles `workerd/worker.mjs` of the project, and writes `modules.txt`: what of a Worker's
 * configuration names its modules.
 */
export async function bundle(project, root, bundler = "esbuild") {
  const entry = join(project, "workerd/worker.mjs");
  const { files, inputs } = await BUNDLERS[bundler](project, entry, root);
  if (inputs.some((name) => name.endsWith("wasm-base64.js"))) {
    throw new Error("the Worker's bundle has the module as text");
  }
  for (const { name, bytes } of files) writeFileSync(join(project, name), bytes);
  const modules = files.map(({ name }) =>
    name.endsWith(".wasm")
      ? `(name = "${name}", wasm = embed "${name}")`
      : `(name = "${name}", esModule = embed "${name}")`,
  );
  // The main module comes first.
  modules.sort((a, b) => Number(a.includes("wasm =")) - Number(b.includes("wasm =")));
  writeFileSync(join(project, "modules.txt"), modules.join(", "));
}

async function esbuild(project, entry, root) {
  const { build } = createRequire(join(root, "www/package.json"))("esbuild");
  const { outputFiles, metafile } = await build({
    absWorkingDir: project,
    entryPoints: [entry],
    outdir: "bundle",
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    target: "es2022",
    conditions: CONDITIONS,
    external: ["node:*"],
    loader: { ".wasm": "copy" },
    logLevel: "error",
  });
  const files = outputFiles.map((file) => ({ name: basename(file.path), bytes: file.contents }));
  return { files, inputs: Object.keys(metafile.inputs) };
}

async function rolldown(project, entry) {
  const { rolldown: open } = await import("rolldown");
  const made = await open({
    cwd: project, input: entry, platform: "neutral", external: [/^node:/],
    plugins: [wasmModules()], resolve: { conditionNames: [...CONDITIONS, "import"] },
  });
  try {
    return written(await made.generate({ format: "esm", codeSplitting: false }));
  } finally {
    // Else its own threads may keep this process going for ever.
    await made.close();
  }
}

async function vite(project, entry) {
  const { build } = await import("vite");
  const made = await build({
    root: project, configFile: false, logLevel: "error", plugins: [wasmModules()],
    ssr: { target: "webworker", noExternal: true, resolve: { conditions: CONDITIONS } },
    build: {
      ssr: entry, ssrEmitAssets: true, write: false, target: "es2022",
      rolldownOptions: { external: [/^node:/], output: { codeSplitting: false } },
    },
  });
  return written(made);
}

/** Builds the page with Vite, without its import map, and gives the folder to serve. */
export async function bundlePage(project) {
  const { build } = await import("vite");
  const input = join(project, "page.html");
  const page = readFileSync(input, "utf8");
  writeFileSync(input, page.replace(/<script type="importmap">[^]*?<\/script>/, ""));
  await build({
    root: project, configFile: false, logLevel: "error",
    // The cases look for names of functions in stacks.
    build: { outDir: "built", target: "es2022", minify: false, rolldownOptions: { input } },
  });
  return join(project, "built");
}

/**
 * Leaves what ends in `.wasm` beside the bundle, as a compiled module that is imported. Wrangler
 * and the plugin of Cloudflare do the same; these bundlers alone would instantiate it.
 */
function wasmModules() {
  return {
    name: "wasm-modules",
    enforce: "pre",
    async resolveId(source, importer) {
      if (!source.endsWith(".wasm")) return undefined;
      const { id } = await this.resolve(source, importer, { skipSelf: true });
      const fileName = basename(id);
      this.emitFile({ type: "asset", fileName, source: readFileSync(id) });
      return { id: `./${fileName}`, external: true };
    },
  };
}

function written({ output }) {
  const files = output.map((file) => ({ name: file.fileName, bytes: file.source ?? file.code }));
  return { files, inputs: output.flatMap((file) => file.moduleIds ?? []) };
}
