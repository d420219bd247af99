// Child processes: started with a mark, read line by line, and always ended by their own id.

import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { sleep, within } from "./time.mjs";

export const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
export const XTASK = process.env.EDGEPOOL_XTASK ?? `${ROOT}target/debug/xtask`;
export const RUNTIME = process.env.EDGEPOOL_RUNTIME ?? "workerd";
/** What the gateway's limits hold for; undefined is the default. */
export const SCOPE = process.env.EDGEPOOL_SCOPE;

const running = new Set();
process.on("exit", () => {
  for (const child of running) child.process.kill("SIGKILL");
});

/** A child process and everything that it printed. */
export class Child {
  constructor(command, args, { env = {}, cwd = ROOT } = {}) {
    // Grandchildren inherit the mark, so that those left behind can be found.
    this.mark = randomUUID();
    this.output = "";
    this.stdout = "";
    this.code = undefined;
    this.process = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env, EDGEPOOL_TEST_MARK: this.mark },
      stdio: ["ignore", "pipe", "pipe"],
    });
    running.add(this);
    this.listeners = new Set();
    for (const name of ["stdout", "stderr"]) {
      this.process[name].setEncoding("utf8").on("data", (text) => this.#printed(name, text));
    }
    this.ended = new Promise((done) => {
      this.process.on("error", (error) => this.#printed("stderr", `${error}\n`));
      this.process.on("close", (code, signal) => {
        this.code = code ?? signal ?? "not started";
        running.delete(this);
        this.#tell();
        done(this.code);
      });
    });
  }

  #printed(name, text) {
    this.output += text;
    if (name === "stdout") this.stdout += text;
    this.#tell();
  }

  #tell() {
    for (const listener of this.listeners) listener();
  }

  /** Waits until a line of stdout matches; gives the match. */
  async line(pattern, ms) {
    let listener;
    const found = new Promise((done, fail) => {
      listener = () => {
        const whole = this.stdout.slice(0, this.stdout.lastIndexOf("\n") + 1);
        const match = whole.match(pattern);
        if (match) done(match);
        else if (this.code !== undefined) fail(new Error(`ended by ${this.code}: ${this.output}`));
      };
      this.listeners.add(listener);
      listener();
    });
    try {
      return await within(ms, `a line like ${pattern} of\n${this.output}`, found);
    } finally {
      this.listeners.delete(listener);
    }
  }

  /** Asks for an end by `signal`, insists after `ms`, and gives the exit code. */
  async stop(signal = "SIGTERM", ms = 10_000) {
    if (this.code === undefined) this.process.kill(signal);
    try {
      return await within(ms, `the end of ${this.process.pid} by ${signal}`, this.ended);
    } catch (error) {
      this.process.kill("SIGKILL");
      for (const { pid } of this.left()) process.kill(pid, "SIGKILL");
      throw error;
    }
  }

  /** Lists the live processes that carry this child's mark: itself and its descendants. */
  left() {
    return processes().filter(({ environ }) => environ.includes(this.mark));
  }

  /** Waits until no marked process is left; gives those that stayed. */
  async leftAfter(ms) {
    for (const end = Date.now() + ms; Date.now() < end; await sleep(25)) {
      if (this.left().length === 0) return [];
    }
    return this.left();
  }
}

/** Reads the memory of a process that is not of files, in MB; 0 once it has ended. */
export function residentMb(pid) {
  try {
    const [, kb] = readFileSync(`/proc/${pid}/status`, "utf8").match(/^RssAnon:\s+(\d+) kB/m);
    return Math.round(kb / 1024);
  } catch {
    return 0;
  }
}

function processes() {
  const found = [];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const [cmdline, environ] = ["cmdline", "environ"].map((name) =>
        readFileSync(`/proc/${pid}/${name}`, "utf8"),
      );
      found.push({ pid: Number(pid), cmdline: cmdline.replaceAll("\0", " "), environ });
    } catch {
      // It ended meanwhile, or belongs to somebody else.
    }
  }
  return found;
}
