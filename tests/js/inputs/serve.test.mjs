// Bad input to `serve`: an error that names the option and what it takes, at once, and nothing
// left running.

import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { Child, XTASK } from "../lib/process.mjs";
import { within } from "../lib/time.mjs";

/** Bad input is told before anything is built. */
const AT_ONCE_MS = 5_000;
let folder;

before(() => (folder = mkdtempSync(join(tmpdir(), "edgepool-inputs-"))));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Runs `serve`, which is expected to fail; gives its output. */
async function refused(args, { env = {}, ms = AT_ONCE_MS } = {}) {
  const child = new Child(XTASK, ["serve", ...args], { env });
  const ended = within(ms, `the refusal of ${args.join(" ")}`, child.ended);
  const code = await ended.catch(async (error) => {
    await child.stop();
    throw new Error(`${error.message}\n${child.output}`);
  });
  assert.ok(Number.isInteger(code) && code !== 0, `code ${code}: ${child.output}`);
  assert.doesNotMatch(child.output, /panicked|RUST_BACKTRACE/);
  assert.equal(child.stdout, "", "a refusal prints no address");
  assert.deepEqual(await child.leftAfter(2_000), [], "no process is left");
  return child.output;
}

function file(name, text) {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** What is wrong; the providers, other options or the file that say so; what the error says. */
const ROWS = [
  { what: "a URL that is none", args: ["a=openai,nonsense"], says: /"nonsense".*no URL/ },
  { what: "a URL of another scheme", args: ["a=openai,ftp://h"], says: /ftp:\/\/h.*http:/ },
  { what: "an unknown kind", args: ["a=gopher,http://h"], says: /gopher.*openai, anthropic/ },
  { what: "max=0", args: ["a=openai,http://h,max=0"], says: /max is 0.*1 to 65535/ },
  { what: "max=many", args: ["a=openai,http://h,max=many"], says: /max is "many"/ },
  { what: "a provider without a URL", args: ["a=openai"], says: /NAME=KIND,URL\[,max=N\]/ },
  {
    what: "a name given twice",
    args: ["a=openai,http://h", "a=http,http://i"],
    says: /provider a is named twice/,
  },
  { what: "a reserved name", args: ["stats=http,http://h"], says: /stats.*reserved.*healthz/ },
  { what: "a name with a slash", args: ["a/b=http,http://h"], says: /"a\/b".*no provider name/ },
  { what: "an unknown runtime", options: ["--runtime", "perl"], says: /--runtime[^]*workerd/ },
  { what: "a port past the last", options: ["--port", "65536"], says: /65536[^]*--port/ },
  { what: "a simulator of none", options: ["--sim-max", "0"], says: /--sim-max/ },
  { what: "an unknown option", options: ["--prot", "1"], says: /--prot[^]*--port/ },
  { what: "a missing file", options: ["--config", "/none/such"], says: /--config \/none\/such/ },
  { what: "an empty file", text: "", says: /--config[^]*empty[^]*\[providers\.NAME\]/ },
  { what: "a file of comments only", text: "# nothing\n", says: /--config[^]*empty/ },
  { what: "an empty table of providers", text: "[providers]\n", says: /\[providers\] is empty/ },
  { what: "a file that is no TOML", text: "what is this", says: /--config[^]*line 1/ },
  { what: "an unknown table", text: "[pools]\nmax = 1\n", says: /pools[^]*gateway[^]*providers/ },
  { what: "an unknown key", text: "[gateway]\nprot = 1\n", says: /prot[^]*runtime[^]*port/ },
  { what: "an unknown key of a provider", text: provider("maximum = 1"), says: /maximum[^]*max/ },
  { what: "max = 0 in the file", text: provider("max = 0"), says: /line 4[^]*max is 0[^]*65535/ },
  {
    what: "a URL that is none in the file",
    text: "[providers.a]\nkind = 'http'\nurl = 'h'\n",
    says: /providers\.a\.url[^]*no URL/,
  },
  {
    what: "an unknown kind in the file",
    text: "[providers.a]\nkind = 'ftp'\nurl = 'http://h'\n",
    says: /line 2: providers\.a: kind is "ftp"[^]*openai/,
  },
  {
    what: "a route to nobody",
    text: `${provider()}[routes.r]\nproviders = ['b']\n`,
    says: /line \d+: routes\.r\.providers\[0\]: no provider has this name; there are a/,
  },
  { what: "a table given twice", text: provider() + provider(), says: /duplicate|twice/ },
  {
    what: "a reserved name in the file",
    text: "[providers.metrics]\nkind = 'http'\nurl = 'http://h'\n",
    says: /metrics[^]*reserved/,
  },
  {
    what: "a time of zero",
    text: `[pool]\nacquire_timeout_ms = 0\n${provider()}`,
    says: /line 2[^]*1 to 2147483647/,
  },
  {
    what: "a time of zero for headers",
    text: `[pool]\nheaders_timeout_ms = 0\n${provider()}`,
    says: /line 2: pool: headers_timeout_ms is 0, and takes 1 to 2147483647/,
  },
  {
    what: "a total time of zero",
    text: `[pool]\ntotal_timeout_ms = 0\n${provider()}`,
    says: /--config.*line 2: pool: total_timeout_ms is 0, and takes more than 0/,
  },
  {
    what: "a kind that may be a key",
    text: "[providers.a]\nkind = 'sk-4711'\nurl = 'http://h'\n",
    says: /^(?![^]*4711)[^]*--config.*line 2: providers\.a: kind takes one of openai/,
  },
  {
    what: "a tenant of weight 0",
    text: `${provider()}[tenants]\nby = 'path'\n[tenants.named.acme]\nweight = 0\n`,
    says: /--config.*line 8: tenants\.named\.acme: weight is 0, and takes 1 to 1000000/,
  },
  {
    what: "a tenant of more places than any provider has",
    text: `${provider("max = 4")}[tenants]\nby = 'path'\ndefault = { max = 5 }\n`,
    says: /--config.*line 7: tenants\.default: max is 5, and takes 1 to 4.*no provider has more/,
  },
  {
    what: "tenants that nothing tells apart",
    text: `${provider()}[tenants]\nreport = 5\n`,
    says: /--config.*line 5: tenants: by is needed: it takes "key", "path" or \{ header = NAME \}/,
  },
  {
    what: "a tenant's key in clear",
    text: `${provider()}[tenants]\nby = 'key'\n[tenants.named.acme]\nkey = 'tk-4711'\n`,
    says: /^(?![^]*4711)[^]*--config.*line 8: tenants\.named\.acme: key is no option of a tenant/,
  },
  {
    what: "a tenant with quotes in its id",
    text: `${provider()}[tenants]\nby = 'path'\n[tenants.named."a'--"]\n`,
    says: /^(?![^]*'--)[^]*--config.*line 7: tenants\.named.*no tenant can have this id/,
  },
  {
    what: "a variable that is not set",
    text: provider("key_env = 'NOT_SET_ANYWHERE'"),
    says: /key_env[^]*NOT_SET_ANYWHERE/,
  },
];

function provider(more = "") {
  return `[providers.a]\nkind = 'http'\nurl = 'http://h'\n${more}\n`;
}

for (const [index, { what, args = [], options = [], text, says }] of ROWS.entries()) {
  test(`serve refuses ${what}`, async () => {
    const providers = args.flatMap((value) => ["--provider", value]);
    const config = text === undefined ? [] : ["--config", file(`row-${index}.toml`, text)];
    const said = await refused([...providers, ...options, ...config]);
    assert.match(said, says);
    if (args.length > 0 && !what.includes("twice")) assert.match(said, /--provider/);
  });
}

test("serve refuses a port in use, and names it", async () => {
  const taken = createServer();
  await new Promise((done) => taken.listen(0, "127.0.0.1", done));
  const { port } = taken.address();
  try {
    const said = await refused(["--port", String(port)]);
    assert.match(said, new RegExp(`port ${port}.*in use.*--port`));
  } finally {
    taken.close();
  }
});

/** Makes a folder with links to every program of the PATH except those that Node brings. */
function pathWithoutNode() {
  const bin = join(folder, "bin-without-node");
  mkdirSync(bin, { recursive: true });
  const skip = new Set(["node", "nodejs", "npm", "npx", "corepack"]);
  for (const from of process.env.PATH.split(":")) {
    for (const name of names(from).filter((name) => !skip.has(name))) {
      try {
        symlinkSync(join(from, name), join(bin, name));
      } catch (error) {
        // The first of a name is the one that counts.
        if (error.code !== "EEXIST") throw error;
      }
    }
  }
  return bin;
}

function names(path) {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

test("serve without Node says that it is missing, and how to get it", async () => {
  const said = await refused(["--port", "0"], { env: { PATH: pathWithoutNode() }, ms: 20_000 });
  assert.match(said, /Node\.js is missing.*`node`.*install Node\.js 20 or newer/);
});

test("serve with a Node that is too old names its version", async () => {
  const bin = join(folder, "old-node");
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, "node"), "#!/bin/sh\necho v18.0.0\n");
  chmodSync(join(bin, "node"), 0o755);
  const env = { PATH: `${bin}:${process.env.PATH}` };
  const said = await refused(["--port", "0"], { env, ms: 20_000 });
  assert.match(said, /v18\.0\.0 is too old.*Node\.js 20 or newer/);
});

for (const option of ["--max=0", "--chunks=0", "--max=65536", "--latency-ms=-1", "--port=65536"]) {
  test(`simulate refuses ${option}`, async () => {
    const child = new Child(XTASK, ["simulate", option]);
    assert.notEqual(await within(AT_ONCE_MS, option, child.ended), 0);
    assert.match(child.output, new RegExp(option.split("=")[0]));
  });
}

for (const runtime of ["workerd", "deno", "node", "bun"]) {
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]]) {
    test(`${signal} ends every process of serve in ${runtime}`, async (t) => {
      const child = new Child(XTASK, ["serve", "--runtime", runtime, "--port", "0"]);
      await child.line(/^ready$/m, 300_000);
      const before = child.left();
      assert.ok(before.length >= 3, `command, simulator, runtime: ${before.length}`);
      const url = child.stdout.match(/^gateway\s+(http:\S+)/m)[1];
      assert.equal((await fetch(new URL("/healthz", url))).status, 200);
      const start = performance.now();
      assert.equal(await child.stop(signal), code);
      assert.deepEqual(await child.leftAfter(3_000), []);
      const took = Math.round(performance.now() - start);
      t.diagnostic(`${before.length} processes gone in ${took} ms`);
      await assert.rejects(fetch(url), "nobody listens any more");
    });
  }
}

test("Ctrl-C ends serve while a stream is open", async () => {
  const child = new Child(XTASK, ["serve", "--port", "0"]);
  await child.line(/^ready$/m, 300_000);
  const url = child.stdout.match(/^gateway\s+(http:\S+)/m)[1];
  const endless = await fetch(new URL("/sim/v1/chat/completions", url), {
    method: "POST",
    headers: { "content-type": "application/json", "x-sim-fault": "never-ends" },
    body: JSON.stringify({ model: "m", stream: true, messages: [{ role: "user", content: "x" }] }),
  });
  const reader = endless.body.getReader();
  await reader.read();
  assert.equal(await child.stop("SIGINT"), 130);
  assert.deepEqual(await child.leftAfter(3_000), []);
  const end = async () => {
    for (;;) if ((await reader.read()).done) return;
  };
  await within(5_000, "the end of the stream", end().catch(() => {}));
});

test("what serve has started ends even if serve is killed", async () => {
  const child = new Child(XTASK, ["serve", "--port", "0"]);
  await child.line(/^ready$/m, 300_000);
  child.process.kill("SIGKILL");
  const left = await child.leftAfter(5_000);
  for (const { pid } of left) process.kill(pid, "SIGKILL");
  assert.deepEqual(left.map(({ cmdline }) => cmdline), []);
});

test("a runtime that dies by itself ends serve with an error", async () => {
  const child = new Child(XTASK, ["serve", "--runtime", "node", "--port", "0"]);
  await child.line(/^ready$/m, 300_000);
  const runtime = child.left().find(({ cmdline }) => cmdline.includes("node.mjs"));
  process.kill(runtime.pid, "SIGKILL");
  assert.equal(await within(10_000, "the end of serve", child.ended), 1);
  assert.match(child.output, /node ended by itself/);
  assert.deepEqual(await child.leftAfter(3_000), []);
});
