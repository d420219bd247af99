// Runs a snippet in a runtime, and gives what it printed.
import { binary } from "../../conformance/lib/processes.mjs";
import { freePort } from "../../lib/ports.mjs";
import { Child, ROOT } from "../../lib/process.mjs";
import { eventually, within } from "../../lib/time.mjs";

const LIMIT = 20_000;

/** Finds the program of a runtime: the one that is named, or that of the gateway's tools. */
export function program(name) {
  return name === "node" ? process.execPath : binary(ROOT, name.toUpperCase(), name);
}

const COMMANDS = {
  node: (name) => ["node", "--disable-warning=ExperimentalWarning", `${name}.js`],
  deno: (name, flags) => ["deno", "run", "--quiet", "--no-remote", ...flags, `${name}.ts`],
  bun: (name) => ["bun", "run", `${name}.ts`],
};

/** Runs a snippet that ends by itself: with code 0, and nothing on stderr. */
export async function runToEnd(runtime, folder, name, flags) {
  const [command, ...args] = COMMANDS[runtime](name, flags);
  const child = new Child(program(command), args, { cwd: folder, env: { NO_COLOR: "1" } });
  try {
    await within(LIMIT, `the end of ${name} in ${runtime}`, child.ended);
  } finally {
    await child.stop();
  }
  const errors = child.output === child.stdout ? "" : `\n${child.output}`;
  if (child.code !== 0 || errors !== "") throw new Error(`ended with ${child.code}:${errors}`);
  return child.stdout;
}

const SERVERS = {
  "deno-serve": (name, port, flags) =>
    ["deno", "serve", "--quiet", "--no-remote", "--host=127.0.0.1", `--port=${port}`, ...flags,
      `${name}.ts`],
  "bun-serve": (name) => ["bun", "run", `${name}.ts`],
};

/** Serves a snippet whose default export has `fetch`, and runs a drive against it. */
export async function serve(runtime, folder, name, flags, drive) {
  const port = await freePort();
  const { env, run, stop } = await drive.start();
  const [command, ...args] = SERVERS[runtime](name, port, flags);
  // Bun listens where these say.
  const where = { PORT: String(port), HOST: "127.0.0.1", NO_COLOR: "1" };
  const child = new Child(program(command), args, { cwd: folder, env: { ...where, ...env } });
  return driven(child, `http://127.0.0.1:${port}`, run, stop);
}

/** Waits until a server answers, has it driven, and ends it. */
export async function driven(child, url, run, stop) {
  try {
    const answers = async () => {
      if (child.code !== undefined) throw new Error(`it ended with ${child.code}`);
      const answer = await fetch(`${url}/ready`).catch(() => undefined);
      await answer?.text();
      return answer !== undefined;
    };
    await eventually(LIMIT, `${url} answers`, answers);
    const lines = [];
    const say = (line) => lines.push(line);
    await within(LIMIT, "the end of the drive", run({ url, say }));
    return `${lines.join("\n")}\n`;
  } catch (error) {
    throw new Error(`${error.message}\nthe server said:\n${child.output}`, { cause: error });
  } finally {
    await child.stop();
    await stop();
  }
}
