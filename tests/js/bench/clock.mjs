// Tells a Worker how much time the processors have given to its workerd: its own clock goes in
// whole ms, and goes on while others have the processors.

import { readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:http";

/** Starts to tell, at an address of this machine: GET /PID answers with ms. */
export async function startClock() {
  const server = createServer(({ url }, response) => response.end(String(timeOf(url.slice(1)))));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();
  return { address: `127.0.0.1:${server.address().port}`, stop: () => server.close() };
}

/** What all threads of a process have had; where the system does not tell, the time of the day. */
function timeOf(pid) {
  try {
    const tasks = readdirSync(`/proc/${pid}/task`);
    const read = (task) => readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8");
    // The first of its numbers, in ns.
    return tasks.reduce((sum, task) => sum + Number.parseInt(read(task), 10), 0) / 1e6;
  } catch {
    return performance.now();
  }
}
