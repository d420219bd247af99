// Judges the rows of a run, and makes the table of them: runtime, SDK, ending, slots in use after
// it, requests that reached the provider.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { sleep } from "../../lib/time.mjs";
import { ENDINGS, OWN_MODELS, TEXT } from "../cases/endings.mjs";
import { pairOf, pairs } from "../cases/pairs.mjs";
import { SDKS } from "../cases/sdks.mjs";
import { RUNTIMES } from "./runtimes.mjs";
import { GONE } from "./worker.mjs";

const LEGEND = "Slots in use after each ending / requests that reached the provider; – cannot be.";

/** What came of every attempt in a runtime. */
export class Report {
  passed = 0;
  failed = 0;
  #rows = [];
  #at;
  #print;
  #started = performance.now();

  constructor(at) {
    this.#at = at;
    this.#print = createHash("sha256").update(readFileSync(at.tarball)).digest("hex");
  }

  /** Judges a row, and says what is wrong with it. */
  async add(row) {
    const run = this.#at.provider.run(row.run ?? row.pair.join("."));
    await closed(run);
    const { sdk, ending } = row.pair ? pairOf(row.pair) : { sdk: SDKS[row.sdk], ending: row.gone };
    const requests = requestsOf(run);
    const { open, peak } = run;
    const wrong = judge({ ...row, requests, open, peak }, sdk, ending);
    if (wrong.length === 0) this.passed += 1;
    else {
      this.failed += 1;
      console.log(`FAIL  ${sdk.name}: ${ending.name}\n      ${wrong.join("\n      ")}`);
    }
    const { inUse, backMs, calls, saw } = row;
    const names = { sdk: sdk.name, ending: ending.name };
    const retries = ending.own ? sdk.retries ?? "as they come" : 0;
    const ok = wrong.length === 0;
    this.#rows.push({ ...names, retries, inUse, backMs, requests, calls, saw, ok });
  }

  /** Prints the table, and keeps it beside those of other runtimes. */
  finish(version, { write }) {
    const { root, name } = this.#at;
    const [number] = /\d[\d.-]*\d/.exec(version) ?? [version];
    const record = { version: number, package: this.#print, rows: this.#rows };
    console.log(`${LEGEND}\n\n${tableOf(name, record)}\n`);
    if (write) {
      const wanted = pairs().length + (name === "workerd" ? SDKS.length * GONE.length : 0);
      if (this.#rows.length !== wanted) {
        this.failed += 1;
        console.log(`FAIL  ${this.#rows.length} rows of ${wanted}`);
      }
      keep(join(root, "target/sdks"), name, record);
    }
    const seconds = ((performance.now() - this.#started) / 1_000).toFixed(1);
    const busy = this.#rows.filter(({ inUse }) => inUse > 0).length;
    const tried = `${SDKS.length} SDKs, ${this.#rows.length} endings in ${seconds} s`;
    console.log(`${tried}, ${busy} with a slot in use`);
    console.log(`${this.passed} passed, ${this.failed} failed`);
  }
}

/** Counts the requests, but for those of the test's own. */
function requestsOf({ models }) {
  const counted = Object.entries(models).filter(([model]) => !OWN_MODELS.includes(model));
  return counted.reduce((sum, [, count]) => sum + count, 0);
}

/** Waits for the end of connections that are broken off, for a moment. */
async function closed(run) {
  for (let left = 40; run.open > 0 && left > 0; left -= 1) await sleep(50);
}

/** Says what of a row is not as it should be. */
function judge(row, sdk, ending) {
  const wanted = { ...ending, ...ending.except?.[sdk.name] };
  const { requests = 1, calls = 1, sees = {} } = wanted;
  const wrong = [];
  const compare = (what, got, expected) => {
    const [left, right] = [JSON.stringify(got), JSON.stringify(expected)];
    const same = expected instanceof RegExp ? expected.test(got) : left === right;
    if (!same) wrong.push(`${what}: got ${left}, expected ${expected?.source ?? right}`);
  };
  compare("slots in use", row.inUse, 0);
  compare("callers that wait", row.waiting, 0);
  const { again = { text: TEXT } } = wanted;
  for (const [key, value] of Object.entries(again)) {
    compare(`${key} of a call after it`, row.again[key], value);
  }
  compare("requests at the provider", row.requests, requests);
  compare("requests left open", row.open, 0);
  if (row.peak > (wanted.most ?? 1)) wrong.push(`${row.peak} requests at once at the provider`);
  compare("calls of its fetch", row.calls, calls);
  if (row.ms < (wanted.least ?? 0)) wrong.push(`it took ${row.ms} ms, not ${wanted.least}`);
  for (const [key, value] of Object.entries(sees)) compare(key, row.saw?.[key], value);
  if (wrong.length > 0) wrong.push(`it saw ${JSON.stringify(row.saw ?? {}).slice(0, 500)}`);
  return wrong;
}

/** A row for each ending, a column for each SDK: slots in use after it / requests it took. */
function tableOf(name, { version, rows }) {
  const cell = (sdk, ending) => {
    const row = rows.find((one) => one.sdk === sdk && one.ending === ending);
    return row === undefined ? "–" : `${row.inUse}/${row.requests}${row.ok ? "" : " FAIL"}`;
  };
  const names = [...ENDINGS, ...GONE].map((ending) => ending.name)
    .filter((ending) => rows.some((row) => row.ending === ending));
  const line = (cells) => `| ${cells.join(" | ")} |`;
  const sdks = SDKS.map((sdk) => sdk.name);
  const lines = names.map((ending) => line([ending, ...sdks.map((sdk) => cell(sdk, ending))]));
  const head = [line([`${name} ${version}`, ...sdks]), line(["---", ...sdks.map(() => "---")])];
  return [...head, ...lines].join("\n");
}

/** Writes the record of this run, and the table of all runs with this package. */
function keep(folder, name, record) {
  mkdirSync(folder, { recursive: true });
  const file = (of) => join(folder, `${of}.json`);
  // Another runtime's run may read it at any time.
  const made = join(folder, `${name}.new`);
  writeFileSync(made, `${JSON.stringify(record, null, 1)}\n`);
  renameSync(made, file(name));
  const found = Object.keys(RUNTIMES).filter((of) => existsSync(file(of)))
    .map((of) => [of, JSON.parse(readFileSync(file(of), "utf8"))])
    .filter(([, { package: print }]) => print === record.package);
  const rows = found.flatMap(([runtime, one]) => one.rows.map((row) => ({ runtime, ...row })));
  writeFileSync(file("table"), `${JSON.stringify(rows, null, 1)}\n`);
  const tables = found.map(([of, one]) => tableOf(of, one));
  const parts = ["# The SDKs over the package", LEGEND, ...tables];
  writeFileSync(join(folder, "table.md"), `${parts.join("\n\n")}\n`);
}
