// What the cases have in common: waiting, and the server's keeper.
import assert from "node:assert/strict";
import { connect } from "node:net";

export const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until something holds. */
export async function until(what, holds, limit = 5_000) {
  const end = Date.now() + limit;
  while (!(await holds())) {
    assert.ok(Date.now() < end, `it is not so after ${limit} ms: ${what}`);
    await later(20);
  }
}

/** Tells the server's keeper to stop or start it. */
export async function ask(what) {
  const [host, control] = process.env.EDGEPOOL_POSTGRES_CONTROL.split(":");
  const socket = connect(Number(control), host);
  let answer = "";
  await new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.on("data", (data) => (answer += data));
    socket.on("end", resolve);
    socket.write(`${what}\n`);
  });
  socket.destroy();
  assert.equal(answer, "ok\n");
}
