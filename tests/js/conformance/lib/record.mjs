// What the runs leave behind for the table of all of them: a file for each runtime.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tarball } from "./install.mjs";

/** Returns the folder of the records. */
export function recordFolder(root) {
  return join(root, "target/conformance");
}

/** Tells packages apart, so that no run of another one is taken for one of this. */
function printOf(tarball) {
  return createHash("sha256").update(readFileSync(tarball)).digest("hex");
}

/**
 * Takes down the lines of a run that tell of a case: `ok    [where: ]case[ (what it says)]`, or FAIL
 * for ok. Why it failed is in the lines after that.
 */
export class Record {
  #at;
  #print;
  #cases = {};

  constructor(at) {
    this.#at = at;
    // Now, as another package may be built while this one is tried.
    this.#print = printOf(at.tarball);
  }

  note(text) {
    const line = /^(ok {4}|FAIL {2})(?:(.+): )?(\w+)(?: \(.*\))?$/.exec(text.split("\n")[0]);
    if (line === null) return;
    const [, verdict, where, name] = line;
    (this.#cases[name] ??= []).push({ ok: verdict.trim() === "ok", where });
  }

  write(version) {
    const folder = recordFolder(this.#at.root);
    const record = { version, package: this.#print, cases: this.#cases };
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `${this.#at.name}.json`), `${JSON.stringify(record, null, 1)}\n`);
  }
}

/** Reads the record of a runtime: nothing, if it has not run with this package. */
export function readRecord(root, name) {
  const file = join(recordFolder(root), `${name}.json`);
  if (!existsSync(file)) return undefined;
  const record = JSON.parse(readFileSync(file, "utf8"));
  return record.package === printOf(tarball(root)) ? record : undefined;
}
