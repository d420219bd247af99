// A project with the packed package in it, and a file of each snippet.
import { cpSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { installByNpm, tarball } from "../../conformance/lib/install.mjs";
import { ROOT } from "../../lib/process.mjs";

const here = dirname(dirname(fileURLToPath(import.meta.url)));
const { transformSync } = createRequire(join(ROOT, "www/package.json"))("esbuild");

/** What snippets import beside the package: dev dependencies of tests, by their folder. */
const BESIDE = {
  "": ["generic-pool", "tarn", "openai", "@anthropic-ai", "@types", "@cloudflare", "undici-types"],
  sdks: ["@ai-sdk", "@langchain", "ai", "ollama"],
};

/** Installs the tarball as a user would, and puts preludes and types beside it. */
export function install(folder) {
  installByNpm(folder, tarball(ROOT));
  for (const [of, names] of Object.entries(BESIDE)) {
    const modules = join(dirname(here), of, "node_modules");
    for (const name of names) symlinkSync(join(modules, name), join(folder, "node_modules", name));
  }
  mkdirSync(join(folder, "preludes"));
  for (const name of readdirSync(join(here, "preludes"))) {
    const code = readFileSync(join(here, "preludes", name), "utf8");
    writeFileSync(join(folder, "preludes", name), code);
    writeFileSync(join(folder, "preludes", `${basename(name, ".ts")}.js`), toJs(code));
  }
  return folder;
}

/** Writes a snippet as TypeScript, as it stands but for its prelude, and as JavaScript. */
export function write(folder, snippet) {
  const name = snippet.place.replace(/\W+/g, "-");
  const prelude = snippet.prelude;
  // In the line of the snippet's own first, so that lines of an error are those of the page.
  const before = (kind) =>
    prelude === undefined ? "" : `import "./preludes/${prelude}.${kind}"; `;
  const code = `${snippet.code}\nexport {};\n`;
  // A file of its own has the name that other snippets import it by.
  for (const base of [name, ...(snippet.file === undefined ? [] : [snippet.file])]) {
    writeFileSync(join(folder, `${base}.ts`), before("ts") + code);
    writeFileSync(join(folder, `${base}.js`), toJs(before("js") + code));
  }
  return name;
}

/** Compiles for the oldest runtime there is, Node 20. */
function toJs(code) {
  const js = transformSync(code, { loader: "ts", format: "esm", target: "es2022" }).code;
  return js.replace(/(from|import) "(\.\/[\w-]+)\.ts"/g, '$1 "$2.js"');
}
