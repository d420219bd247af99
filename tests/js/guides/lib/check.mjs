// Compiles the snippets, strictly, against the types of the packed package.
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { ROOT } from "../../lib/process.mjs";

const STRICT = {
  noEmit: true,
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  target: "es2022",
  module: "esnext",
  moduleResolution: "bundler",
  moduleDetection: "force",
  allowImportingTsExtensions: true,
};

// What a reader of the page has in the project. The package's own types are checked too, but where
// those of the runtime clash with what an SDK brings along.
const WORLDS = {
  node: { lib: ["es2023", "esnext.disposable"], types: ["node"] },
  // The types of these SDKs are not as strict as what is asked here.
  sdks: { lib: ["es2023", "esnext.disposable"], types: ["node"], skipLibCheck: true },
  browser: { lib: ["es2023", "esnext.disposable", "dom", "dom.iterable"], types: [] },
  workerd: { lib: ["es2023", "esnext.disposable"], types: ["@cloudflare/workers-types"],
    skipLibCheck: true },
};

/** Compiles the named files in a world of types; gives what the compiler says of them. */
export async function compile(folder, world, names) {
  const files = names.map((name) => `${name}.ts`);
  const config = `tsconfig.${world}.json`;
  const compilerOptions = { ...STRICT, ...WORLDS[world] };
  writeFileSync(join(folder, config), JSON.stringify({ compilerOptions, files }));
  const tsc = join(ROOT, "crates/edgepool-wasm/ts/node_modules/.bin/tsc");
  return told(tsc, ["--project", config, "--pretty", "false"], folder);
}

/** Has Deno check files against its own types. */
export function denoCheck(folder, deno, names) {
  const files = names.map((name) => `${name}.ts`);
  return told(deno, ["check", "--quiet", "--no-remote", ...files], folder);
}

function told(program, args, cwd) {
  const child = spawn(program, args, { cwd, stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (text += data));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      resolve(code === 0 ? "" : `${program} ended with ${code}:\n${text}`);
    });
  });
}
