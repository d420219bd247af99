// Runs the Worker of tests/rust-worker in workerd, at a compatibility date.
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { request as open } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { startOrigin } from "../conformance/lib/origin.mjs";
import { Child } from "../lib/process.mjs";

const glue = process.env.EDGEPOOL_RUST_WORKER;
const workerd = process.env.EDGEPOOL_WORKERD;
const MODULE = "edgepool_rust_worker";

/** By which the origin knows it. */
const NAME = "rust";

/** Starts the Worker and its origin; `provider` is where the provider of its clients is. */
export async function startWorker({ date, flags = [], provider = "" }) {
  const folder = mkdtempSync(join(tmpdir(), "edgepool-rust-worker-"));
  const origin = await startOrigin();
  const files = [`${MODULE}.js`, `${MODULE}_bg.wasm`];
  for (const file of [...files, "snippets"]) {
    cpSync(join(glue, file), join(folder, file), { recursive: true });
  }
  // What the crate `worker` brings along in JavaScript.
  const snippets = readdirSync(join(glue, "snippets"), { recursive: true })
    .filter((file) => file.endsWith(".js"))
    .map((file) => `snippets/${file}`);
  cpSync(fileURLToPath(new URL("worker.mjs", import.meta.url)), join(folder, "worker.mjs"));
  const text = config({ date, flags, provider, snippets, origin: `${origin.address}/${NAME}` });
  writeFileSync(join(folder, "config.capnp"), text);
  // It tells the port on the descriptor of its standard output.
  const child = new Child(workerd, ["serve", "--control-fd=1", "config.capnp"], { cwd: folder });
  const stop = async () => {
    // Asked to end, it would wait for the requests that never do.
    await child.stop("SIGKILL");
    origin.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  const [, port] = await child.line(/"port":(\d+)/, 20_000);
  const at = `http://127.0.0.1:${port}`;
  return { at, origin: origin.seen(NAME), child, stop, ask: (path, ms) => ask(at + path, ms) };
}

/** Asks with a body, which the Worker reads in its turn; gives the status and the text. */
async function ask(url, ms = 15_000) {
  const signal = AbortSignal.timeout(ms);
  const response = await fetch(url, { method: "POST", body: "mine", signal });
  return { status: response.status, text: await response.text() };
}

/** Asks, and resets the connection `ms` later. */
export function cut(url, ms) {
  return new Promise((done) => {
    const request = open(url, { agent: false, method: "POST" });
    request.on("error", () => {}).on("response", (response) => response.on("error", () => {}));
    request.end("mine");
    setTimeout(() => {
      request.socket.resetAndDestroy();
      done();
    }, ms);
  });
}

function config({ date, flags, provider, snippets, origin }) {
  const scripts = ["worker.mjs", `${MODULE}.js`, ...snippets];
  const module = (file) => `(name = "${file}", esModule = embed "${file}"),`;
  const list = flags.map((flag) => `"${flag}"`).join(", ");
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [
        ${scripts.map(module).join("\n        ")}
        (name = "${MODULE}_bg.wasm", wasm = embed "${MODULE}_bg.wasm"),
      ],
      compatibilityDate = "${date}",
      compatibilityFlags = [${list}],
      bindings = [
        (name = "ORIGIN", text = "${origin}"),
        (name = "PROVIDER", text = "${provider}"),
      ],
    )),
    (name = "internet", network = (allow = ["private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
`;
}
