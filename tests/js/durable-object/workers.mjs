// Two Workers of the gateway in one workerd: two isolates, each with a socket of its own. The
// objects of the first are bound to both.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Child, ROOT } from "../lib/process.mjs";
import { getJson } from "../lib/servers.mjs";
import { eventually } from "../lib/time.mjs";

const built = join(ROOT, "target/www");
const workerd = process.env.EDGEPOOL_WORKERD;

const NAMES = ["first", "second"];
const BROKEN = "export class GatewayObject { fetch() { throw new Error('it is broken'); } }"
  + " export default {};";

/** Starts both, with the gateway's configuration; `objects` is the service that has the objects. */
export async function startWorkers(config, { objects = "first" } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "edgepool-two-"));
  writeFileSync(join(folder, "broken.js"), BROKEN);
  const { modules } = JSON.parse(readFileSync(join(built, "manifest.json"), "utf8"));
  for (const name of modules) writeFileSync(join(folder, name), readFileSync(join(built, name)));
  writeFileSync(join(folder, "config.capnp"), text(config, modules, objects));
  // It tells the ports on the descriptor of its standard output.
  const child = new Child(workerd, ["serve", "--control-fd=1", "config.capnp"], { cwd: folder });
  const stop = async () => {
    await child.stop("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const urls = [];
    for (const name of NAMES) {
      const [, port] = await child.line(new RegExp(`"socket":"${name}","port":(\\d+)`), 20_000);
      urls.push(`http://127.0.0.1:${port}`);
    }
    const stats = () => Promise.all(urls.map((url) => getJson(`${url}/stats`)));
    /** Waits until nobody holds or waits. */
    const rest = (ms) =>
      eventually(ms, "the Workers are at rest", async () => {
        const all = (await stats()).map(({ total }) => total.in_use + total.waiting);
        return all.every((count) => count === 0);
      });
    return { urls, child, stats, rest, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function text(config, modules, objects) {
  const list = modules.map((name) => {
    const kind = name.endsWith(".wasm") ? "wasm" : "esModule";
    return `(name = "${name}", ${kind} = embed "${name}")`;
  });
  const worker = (own) => `(
  modules = [${list.join(", ")}],
  compatibilityDate = "2026-11-01",
  compatibilityFlags = ["enable_request_signal"],
  bindings = [
    (name = "EDGEPOOL_CONFIG", text = ${JSON.stringify(JSON.stringify(config))}),
    ${binding(objects)}
  ],
  ${own}
)`;
  const socket = (name) =>
    `(name = "${name}", address = "127.0.0.1:0", http = (), service = "${name}")`;
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "first", worker = .first),
    (name = "second", worker = .second),
    (name = "broken", worker = .broken),
    (name = "internet", network = (allow = ["private"])),
  ],
  sockets = [${NAMES.map(socket).join(", ")}],
);
const first :Workerd.Worker = ${worker(OBJECTS)};
const second :Workerd.Worker = ${worker("")};
const broken :Workerd.Worker = (
  modules = [(name = "broken.js", esModule = embed "broken.js")],
  compatibilityDate = "2026-11-01",
  ${OBJECTS}
);
`;
}

function binding(service) {
  if (service === null) return "";
  const designator = `(className = "GatewayObject", serviceName = "${service}")`;
  return `(name = "EDGEPOOL_OBJECT", durableObjectNamespace = ${designator}),`;
}

const OBJECTS = `durableObjectNamespaces = [(className = "GatewayObject", uniqueKey = "edgepool")],
  durableObjectStorage = (inMemory = void),`;
