// The README's Workers, word for word: installed from the tarball, bundled, and run in workerd.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { freePort } from "../lib/ports.mjs";
import { Child, ROOT } from "../lib/process.mjs";
import { slowBackend } from "../lib/servers.mjs";
import { eventually } from "../lib/time.mjs";

const tarball = process.env.EDGEPOOL_TARBALL;
const workerd = process.env.EDGEPOOL_WORKERD;
const { build } = createRequire(join(ROOT, "www", "package.json"))("esbuild");

/** Finds the first code block of a language below a heading of the README. */
function example(heading, language) {
  const text = readFileSync(join(ROOT, "README.md"), "utf8");
  const section = text.split(`## ${heading}\n`)[1]?.split("\n## ")[0];
  const code = section?.match(new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``))?.[1];
  assert.ok(code, `the README has a ${language} example below "${heading}"`);
  return code;
}

/** Does what a user would: installs the package, and bundles the Worker for workerd. */
async function bundle(folder, code) {
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
  execFileSync("npm", ["install", "--no-audit", "--no-fund", "--offline", tarball], { cwd: folder });
  writeFileSync(join(folder, "source.js"), code);
  await build({
    entryPoints: [join(folder, "source.js")],
    outfile: join(folder, "worker.js"),
    bundle: true,
    format: "esm",
    conditions: ["workerd"],
    external: ["cloudflare:*"],
    loader: { ".wasm": "copy" },
    assetNames: "[name]",
  });
}

/** What the Worker with an object has beside the other. */
const OBJECT = {
  binding: '(name = "CALLS", durableObjectNamespace = "Calls"),',
  more: `durableObjectNamespaces = [(className = "Calls", uniqueKey = "calls")],
  durableObjectStorage = (inMemory = void),`,
};

/** Names each module of wasm that the Worker imports, which is beside it. */
function wasmIn(folder) {
  const names = readdirSync(folder).filter((name) => name.endsWith(".wasm"));
  return names.map((name) => `(name = "${name}", wasm = embed "${name}"),`).join("\n    ");
}

function configuration(folder, port, backend, { binding = "", more = "" }) {
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "internet", network = (allow = ["private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")]
);
const main :Workerd.Worker = (
  modules = [
    (name = "worker.js", esModule = embed "worker.js"),
    ${wasmIn(folder)}
  ],
  bindings = [${binding} (name = "BACKEND", text = "${backend}")],
  ${more}
  compatibilityDate = "2026-11-01",
);
`;
}

async function checkFourAtATime(heading, more) {
  const folder = mkdtempSync(join(tmpdir(), "edgepool-readme-"));
  const { seen, server } = await slowBackend();
  const port = await freePort();
  await bundle(folder, example(heading, "js"));
  const config = configuration(folder, port, server.url, more);
  writeFileSync(join(folder, "config.capnp"), config);
  const child = new Child(workerd, ["serve", join(folder, "config.capnp")]);
  const url = `http://127.0.0.1:${port}/`;
  try {
    const first = () => fetch(url).then((response) => response.text()).catch(() => undefined);
    const { seen: text } = await eventually(10_000, "the Worker answers", first);
    assert.equal(text, "GET answered");
    const answers = await Promise.all(
      Array.from({ length: 40 }, () => fetch(url, { method: "POST", body: "x" })),
    );
    const texts = await Promise.all(answers.map((answer) => answer.text()));
    assert.deepEqual(new Set(texts), new Set(["POST answered"]));
    assert.equal(seen.peak, 4);
  } finally {
    await child.stop();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

test("the README's Worker lets four requests through at a time", { timeout: 60_000 }, () =>
  checkFourAtATime("In a Worker", {}));

test("the README's Durable Object does so as well", { timeout: 60_000 }, () =>
  checkFourAtATime("In a Durable Object", OBJECT));
