// Sends the load of one plan by one contender, and prints a JSON line of its figures:
//   client.mjs PLAN      (`cargo xtask bench load` starts it; PLAN is JSON)

import { join } from "node:path";

import { drive } from "./drive.mjs";
import { throughWorker } from "./workerd.mjs";

const plan = JSON.parse(process.argv[2]);
try {
  console.log(JSON.stringify({ figures: await measure() }));
} catch (error) {
  console.log(JSON.stringify({ failed: String(error) }));
}
// What is under way still is of no interest.
process.exit(0);

async function measure() {
  if (plan.place === "workerd") return throughWorker(plan, (send) => drive(plan, send));
  const url = `${plan.backend}/v1/chat/completions`;
  const { makeSender } = await import(join(plan.project, "load/senders", `${plan.sender}.mjs`));
  const send = makeSender(plan);
  return drive(plan, ({ init, read }) => send({ url, init, read }));
}
