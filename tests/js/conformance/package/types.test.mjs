// The types as they are published, for a user of each kind of modules.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

import { ROOT, userProject } from "./lib.mjs";

const project = userProject();
after(project.remove);
const here = dirname(fileURLToPath(import.meta.url));
const tsc = join(ROOT, "crates/edgepool-wasm/ts/node_modules/.bin/tsc");
const OPTIONS = [
  "--noEmit", "--strict", "--skipLibCheck", "false", "--target", "es2022", "--types", "",
  "--lib", "esnext,esnext.disposable,dom,dom.iterable",
];

for (const [kind, extension, module, resolution] of [
  ["a bundler", "ts", "esnext", "bundler"],
  ["Node's modules", "mts", "nodenext", "nodenext"],
  ["Node's require", "cts", "nodenext", "nodenext"],
]) {
  test(`they compile for a user of ${kind}, and are themselves without an error`, () => {
    const file = `consumer.${extension}`;
    cpSync(join(here, "consumer.ts"), join(project.folder, file));
    const options = [...OPTIONS, "--module", module, "--moduleResolution", resolution, file];
    try {
      execFileSync(tsc, options, { cwd: project.folder, encoding: "utf8" });
    } catch (error) {
      assert.fail(`tsc found in ${file}:\n${error.stdout}`);
    }
  });
}
