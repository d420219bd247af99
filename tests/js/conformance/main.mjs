// Runs the cases in this process; the first argument tells nothing, the runtime is looked at.
import process from "node:process";
import cases from "./cases/index.mjs";
import processCases from "./cases/process.mjs";
import { runAll } from "./lib/harness.mjs";

// A trap rejects every waiter, and a case before may have left one that nobody looks at any more.
process.on("unhandledRejection", (error) => {
  if (error?.code !== "core_reset") throw error;
});

const { passed, failed } = await runAll([...cases, ...processCases], (line) => console.log(line));
console.log(`RESULT ${passed} ${failed}`);
