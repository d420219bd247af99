// Forty requests at once to Workers whose limit is in a Durable Object, four at a time.
import { start as startBurst } from "./burst.mjs";

export async function start() {
  return { ...(await startBurst()), objects: { LIMIT: "Limit" }, flags: ["enable_request_signal"] };
}
