// Makes a project with the package in it.
import { execFileSync } from "node:child_process";
import { cpSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Installs the tarball into an empty project, and puts the cases beside it. */
export function install(project, cases, tarball) {
  const manifest = { name: "edgepool-user", private: true, type: "module" };
  writeFileSync(join(project, "package.json"), JSON.stringify(manifest));
  const flags = ["--offline", "--no-audit", "--no-fund", "--loglevel=error"];
  execFileSync("npm", ["install", ...flags, tarball], { cwd: project, stdio: "pipe" });
  const files = ["main.mjs", "exits.mjs", "import.mjs", "page.html"];
  for (const name of ["cases", "lib", "types", "workerd", ...files]) {
    cpSync(join(cases, name), join(project, name), { recursive: true });
  }
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
    say(`FAIL  ${name}: ${error.message}`);
  }
}
