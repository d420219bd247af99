// Makes a project with the package in it, and reads what the cases print there.
import { execFileSync } from "node:child_process";
import { cpSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const SCRIPTS = ["main.mjs", "exits.mjs", "import.mjs", "require.mjs", "page.html", "page.mjs"];

/** Copies the cases into an empty project. */
export function copyCases(project, cases) {
  for (const name of ["cases", "lib", "workerd", ...SCRIPTS]) {
    cpSync(join(cases, name), join(project, name), { recursive: true });
  }
}

/** Installs the tarball as a user does it with npm. */
export function installByNpm(project, tarball) {
  const manifest = { name: "edgepool-user", private: true, type: "module" };
  writeFileSync(join(project, "package.json"), JSON.stringify(manifest));
  const flags = ["--offline", "--no-audit", "--no-fund", "--loglevel=error"];
  execFileSync("npm", ["install", ...flags, tarball], { cwd: project, stdio: "pipe" });
}

/** Makes a project with the package and the cases in it. */
export function install(project, cases, tarball) {
  installByNpm(project, tarball);
  copyCases(project, cases);
}

/** Finds the packed package: named by the environment, or what was built last. */
export function tarball(root) {
  if (process.env.EDGEPOOL_TARBALL) return process.env.EDGEPOOL_TARBALL;
  const folder = join(root, "target/npm");
  const name = readdirSync(folder).find((file) => /^edgepool-.*\.tgz$/.test(file));
  if (name === undefined) throw new Error("no tarball in target/npm: run `cargo xtask build`");
  return join(folder, name);
}

/** Reads the lines that the cases printed, and the counts of the last one. */
export function readReport(text, say) {
  let result;
  for (const line of text.split("\n")) {
    const counts = /^RESULT (\d+) (\d+)$/.exec(line);
    if (counts) result = { passed: Number(counts[1]), failed: Number(counts[2]) };
    else if (line !== "") say(line);
  }
  return result;
}

/** Runs one more case, outside the runtime, and counts it. */
export async function also(counts, name, say, run) {
  try {
    await run();
    counts.passed += 1;
    say(`ok    ${name}`);
  } catch (error) {
    counts.failed += 1;
    say(`FAIL  ${name}\n      ${error.message}`);
  }
}
