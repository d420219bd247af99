// Asks a Worker once that calls an object by RPC.
import { start as startHello } from "./hello.mjs";

export async function start() {
  return { ...(await startHello()), objects: { REPORTS: "Reports" } };
}
