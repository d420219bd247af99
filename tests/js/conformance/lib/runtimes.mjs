// Every runtime that the package is tried in, and how a script is run there as a user would.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { startRegistry } from "../../lib/registry.mjs";
import { bundlePage } from "./bundle.mjs";
import { runChromium } from "./chromium.mjs";
import { installByNpm } from "./install.mjs";
import { LIMIT, binary, execute, runProcess } from "./processes.mjs";
import { runWorkerd } from "./workerd.mjs";

const script = (prepare, name, files) => ({
  run: runProcess, prepare, files, version: versionOf(name),
});
const worker = (bundler, briefly) => ({
  run: runWorkerd, bundler, briefly, version: versionOf("workerd"),
});
const page = (bundle) => ({ run: runPage, bundle, version: chromiumVersion });

/**
 * `run` runs all cases. For processes `prepare` installs the package and gives the command for a
 * script of the cases; `files` are there, so that `require` works. A `skip` says why not here.
 */
export const RUNTIMES = {
  ...Object.fromEntries([20, 22, 24, 26].map((major) => [`node${major}`, node(major)])),
  deno: script(deno, "deno", true),
  "deno-npm": script(denoNpm, "deno", true),
  bun: script(bun, "bun", true),
  "bun-build": script(bunBuild, "bun", false),
  "bun-compile": script(bunCompile, "bun", false),
  workerd: worker("esbuild", false),
  "workerd-vite": worker("vite", true),
  "workerd-rolldown": worker("rolldown", true),
  chromium: page((project) => project),
  "chromium-vite": page(bundlePage),
};

/** A release of Node: npm carries the programs for one platform; elsewhere it may be this one. */
function node(major) {
  const own = Number(process.versions.node.split(".")[0]) === major;
  const file = `tests/js/conformance/node_modules/node${major}/bin/node`;
  const packed = ({ root }) => join(root, file);
  const find = (at) => (existsSync(packed(at)) ? packed(at) : own ? process.execPath : undefined);
  const platform = `${process.platform}-${process.arch}`;
  return {
    run: runProcess,
    files: true,
    skip: (at) => find(at) ? undefined : `there is no npm package of Node ${major} for ${platform}`,
    prepare(at) {
      installByNpm(at.project, at.tarball);
      return (name) => [find(at), `${name}.mjs`];
    },
    version: (at) => execute([find(at), "--version"], at.project),
  };
}

/** No permission beyond the default, which is none. */
function deno({ project, root, tarball }) {
  installByNpm(project, tarball);
  return (name) => [binary(root, "DENO", "deno"), "run", "--quiet", "--no-prompt", `${name}.mjs`];
}

/** By `npm:` alone, from a registry that has only this package: there is no node_modules. */
async function denoNpm(at) {
  const { project, root, tarball } = at;
  const registry = await startRegistry(tarball);
  at.env = { ...registry.env, DENO_DIR: join(project, ".deno") };
  try {
    const add = [binary(root, "DENO", "deno"), "add", "--quiet", "npm:edgepool"];
    await execute(add, project, at.env);
  } finally {
    registry.stop();
  }
  if (existsSync(join(project, "node_modules"))) throw new Error("there are node_modules");
  return (name) => [binary(root, "DENO", "deno"), "run", "--quiet", "--no-prompt", `${name}.mjs`];
}

function bun({ project, root, tarball }) {
  installByNpm(project, tarball);
  return (name) => [binary(root, "BUN", "bun"), "run", `${name}.mjs`];
}

async function bunBuild({ project, root, tarball }) {
  installByNpm(project, tarball);
  const entries = ["main.mjs", "exits.mjs", "import.mjs"];
  const options = ["--target=bun", "--splitting", "--outdir=built"];
  await execute([binary(root, "BUN", "bun"), "build", ...entries, ...options], project);
  return (name) => [binary(root, "BUN", "bun"), "run", `built/${name}.js`];
}

async function bunCompile({ project, root, tarball }) {
  installByNpm(project, tarball);
  for (const name of ["main", "exits", "import"]) {
    const options = ["--compile", `--outfile=compiled/${name}`];
    await execute([binary(root, "BUN", "bun"), "build", `${name}.mjs`, ...options], project);
  }
  return (name) => [join(project, "compiled", name)];
}

/** The package as plain modules, no bundler between them, or what a bundler made of them. */
async function runPage({ project, tarball, bundle, say }) {
  installByNpm(project, tarball);
  const flags = ["--js-flags=--expose-gc"];
  return runChromium({ project, folder: await bundle(project), say, flags, limit: LIMIT });
}

function versionOf(name) {
  return async ({ root, project }) => {
    const text = await execute([binary(root, name.toUpperCase(), name), "--version"], project);
    return /\d[\d.-]*\d/.exec(text)?.[0] ?? text;
  };
}

async function chromiumVersion({ project }) {
  const text = await execute([process.env.EDGEPOOL_CHROMIUM ?? "chromium", "--version"], project);
  return /\d[\d.]*\d/.exec(text)?.[0] ?? text;
}
