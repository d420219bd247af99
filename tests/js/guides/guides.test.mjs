// Every code block of the package's pages: marked, compiled, run, and printing what the page says;
// and every example in its reference.
//
// One page or snippet alone: EDGEPOOL_GUIDE=docs/workers.md or EDGEPOOL_GUIDE=README.md:20
// Browsers alone, or all but browsers: EDGEPOOL_GUIDES=chromium or EDGEPOOL_GUIDES=processes
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import { compile, denoCheck } from "./lib/check.mjs";
import { runInBrowser } from "./lib/chromium.mjs";
import { install, write } from "./lib/project.mjs";
import { program, runToEnd, serve } from "./lib/run.mjs";
import { runShell } from "./lib/shell.mjs";
import { examples, pages, snippetsOf, worldOf } from "./lib/snippets.mjs";
import { runWorker } from "./lib/workerd.mjs";

const folder = install(mkdtempSync(join(tmpdir(), "edgepool-guides-")));
after(() => rmSync(folder, { recursive: true, force: true }));

const WAYS = {
  all: () => true,
  chromium: (way) => way === "chromium",
  processes: (way) => way !== "chromium",
};
const ways = process.env.EDGEPOOL_GUIDES ?? "all";
const only = process.env.EDGEPOOL_GUIDE ?? "";
const snippets = [...pages().flatMap((page) => snippetsOf(page)), ...examples()]
  .filter(({ place }) => `${place} `.startsWith(only) || `${place} `.startsWith(`${only} `));
for (const snippet of snippets) {
  if (["ts", "js"].includes(snippet.language)) snippet.name = write(folder, snippet);
  else snippet.name = snippet.place.replace(/\W+/g, "-");
}

for (const world of ["node", "sdks", "browser", "workerd", "deno"]) {
  const those = snippets.filter((one) => one.language === "ts" && worldOf(one) === world);
  if (those.length === 0 || ways === "chromium") continue;
  test(`types: ${those.length} snippets in the world of ${world}`, async () => {
    const names = those.map(({ name }) => name);
    const told = world === "deno"
      ? await denoCheck(folder, program("deno"), names)
      : await compile(folder, world, names);
    assert.equal(told, "", "the snippets compile");
  });
}

/** Runs a snippet in one way; gives what it printed. */
async function run(snippet, way) {
  const { name, flags, code } = snippet;
  if (way === "json") return void JSON.parse(code);
  if (way === "chromium") return runInBrowser(folder, name, snippet);
  if (way === "sh") return runShell(snippet);
  if (way !== "workerd" && !way.endsWith("-serve")) return runToEnd(way, folder, name, flags);
  assert.ok(snippet.drive, "the comment before it names the drive that calls it");
  const drive = await import(`./drives/${snippet.drive}.mjs`);
  return way === "workerd"
    ? runWorker(folder, name, drive) : serve(way, folder, name, flags, drive);
}

for (const snippet of snippets) {
  for (const way of snippet.runs) {
    if (way === "types" || !WAYS[ways](way)) continue;
    test(`${snippet.place} in ${way}`, { timeout: 90_000 }, async () => {
      const printed = await run(snippet, way);
      if (snippet.output === undefined) return;
      assert.equal(printed.trim(), snippet.output.trim(), "it prints what the page says");
    });
  }
}

const wrong = {
  "a snippet without a comment": "```ts\nrun();\n```",
  "a comment that is not next to its snippet": "<!-- run: node -->\n\n```ts\nrun();\n```",
  "a runtime that does not run the language": "<!-- run: workerd -->\n```js\nrun();\n```",
  "a language that nothing runs": "<!-- run: node -->\n```python\nrun()\n```",
  "a snippet that is only compiled, without a reason": "<!-- run: types -->\n```ts\nrun();\n```",
  "a word that a comment does not have": "<!-- run: node; skip: yes -->\n```ts\nrun();\n```",
  "a block without an end": "<!-- run: node -->\n```ts\nrun();",
};
for (const [what, text] of ways === "chromium" ? [] : Object.entries(wrong)) {
  test(`refused: ${what}`, () => assert.throws(() => snippetsOf("page.md", text)));
}
