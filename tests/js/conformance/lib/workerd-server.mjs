// One workerd process that serves one Worker in several configurations, each in an isolate of its
// own and at an address of its own.
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../../lib/ports.mjs";
import { within } from "../../lib/time.mjs";

/** How often other ports are tried where somebody was faster to take one. */
const TRIES = 5;

/** Starts the process, and waits until each of its Workers answers. */
export async function serve(settings) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await start(settings);
    } catch (error) {
      if (tries === TRIES || !error.message.includes("Address already in use")) throw error;
    }
  }
}

async function start({ project, program, origin, configurations, args = [], v8Flags = [] }) {
  const workers = [];
  for (const [i, configuration] of configurations.entries()) {
    const at = `http://127.0.0.1:${await freePort()}`;
    workers.push({ at, configuration, origin: origin.seen(`w${i}`), key: `w${i}` });
  }
  const text = config(project, { workers, origin: origin.address, v8Flags });
  writeFileSync(join(project, "config.capnp"), text);
  const flags = ["serve", "config.capnp", ...args];
  const child = spawn(program, flags, { cwd: project, stdio: "pipe" });
  let log = "";
  for (const pipe of [child.stderr, child.stdout]) pipe.on("data", (data) => (log += data));
  const ended = new Promise((resolve) => child.on("close", resolve));
  const ready = Promise.all(workers.map(({ at }) => answers(at)));
  try {
    const gone = ended.then(() => Promise.reject(new Error("it has ended")));
    await within(30_000, "workerd to answer", Promise.race([ready, gone]));
  } catch (error) {
    child.kill("SIGKILL");
    throw new Error(`workerd did not start: ${log}`, { cause: error });
  }
  const stop = () => {
    // A signal that it may heed would wait for requests that never end.
    child.kill("SIGKILL");
    return within(10_000, "the end of workerd", ended);
  };
  return { workers, log: () => log, pid: child.pid, stop };
}

async function answers(at) {
  for (;;) {
    try {
      await (await fetch(`${at}/facts`)).text();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

function config(project, { workers, origin, v8Flags }) {
  const modules = readFileSync(join(project, "modules.txt"), "utf8");
  const services = workers.map(({ key, configuration: { date, flags } }) => `(
      name = "${key}",
      worker = (
        modules = .modules,
        compatibilityDate = "${date}",
        compatibilityFlags = ${list(flags)},
        bindings = [(name = "ORIGIN", text = "${origin}/${key}")],
      ),
    )`);
  const sockets = workers.map(({ key, at }) =>
    `(name = "${key}", address = "${at.slice("http://".length)}", http = (), service = "${key}")`);
  return `using Workerd = import "/workerd/workerd.capnp";
const modules :List(Workerd.Worker.Module) = [${modules}];
const config :Workerd.Config = (
  v8Flags = ${list(v8Flags)},
  services = [
    ${services.join(",\n    ")},
    (name = "internet", network = (allow = ["private"])),
  ],
  sockets = [
    ${sockets.join(",\n    ")},
  ],
);
`;
}

const list = (words) => `[${words.map((word) => `"${word}"`).join(", ")}]`;
