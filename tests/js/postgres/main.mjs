// Runs every case with each driver, in the runtime that runs this, beside a PostgreSQL that the
// environment names:
//   cargo xtask postgres -- node tests/js/postgres/main.mjs [CASE]
import { CASES } from "./cases.mjs";
import { DRIVERS } from "./drivers.mjs";
import { READS, TENANT_CASES } from "./tenants/cases.mjs";

/** How long a case may take, in ms. */
const LIMIT = 60_000 + 3 * READS;
const only = process.argv[2];
const counts = { passed: 0, failed: 0 };

// A driver's promise that nobody hears must not end the run unnoticed.
process.on("unhandledRejection", (error) => {
  counts.failed += 1;
  console.log("FAIL  a rejection that nobody handled", error);
});

for (const [name, driver] of Object.entries(DRIVERS)) {
  for (const [title, run] of Object.entries({ ...CASES, ...TENANT_CASES })) {
    if (only !== undefined && only !== title) continue;
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not done in ${LIMIT} ms`)), LIMIT);
    });
    try {
      const told = await Promise.race([run(driver, `${name} ${title}`.slice(0, 60)), late]);
      counts.passed += 1;
      console.log(`ok    ${name}: ${title}${told ? ` (${told})` : ""}`);
    } catch (error) {
      counts.failed += 1;
      console.log(`FAIL  ${name}: ${title}\n`, error);
    }
    clearTimeout(timer);
  }
}
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exit(counts.failed === 0 ? 0 : 1);
