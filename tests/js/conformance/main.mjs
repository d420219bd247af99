// Runs the cases in this process; the first argument tells nothing, the runtime is looked at.
import cases from "./cases/index.mjs";
import processCases from "./cases/process.mjs";
import { runAll } from "./lib/harness.mjs";

const { passed, failed } = await runAll([...cases, ...processCases], (line) => console.log(line));
console.log(`RESULT ${passed} ${failed}`);
