// Who is connected, as the server says it.
//
// A connection that was closed or killed is gone for its pool at once, and so a new one may stand in
// its place; at the server its process takes some moments more to end, and is listed until then. So
// a look that finds more than there may be is followed by others, until those that it found and that
// are still there are few enough: processes that end do, connections that are too many stay.
import { beside } from "../drivers.mjs";
import { later, until } from "../lib.mjs";
import { POOL_SIZE } from "./fixtures.mjs";

/** How long a process may take to end, in ms. */
const LINGER = 1_000;
const PAUSE = 5;

/** Looks at the server until `isOver` says that all is over; connections are named by a prefix. */
export async function takeSamples(prefix, most, isOver) {
  const samples = { taken: 0, most: 0, over: [] };
  await beside(async (server) => {
    for (; !isOver(); await later(PAUSE)) await look(server, prefix, most, samples);
  });
  return samples;
}

async function look(server, prefix, most, samples) {
  const began = Date.now();
  let there = await backends(server, prefix);
  samples.taken += 1;
  for (let excess; (excess = excessOf(there, most)) !== undefined; ) {
    if (Date.now() - began > LINGER) {
      samples.over.push(excess);
      return;
    }
    await later(PAUSE);
    const now = new Set((await backends(server, prefix)).map(({ key }) => key));
    there = there.filter(({ key }) => now.has(key));
  }
  samples.most = Math.max(samples.most, there.length);
}

/** Lists the connections whose names begin so: the name, and what tells each from any other. */
export async function backends(server, prefix) {
  const text = "SELECT application_name AS name, concat_ws(' ', pid, backend_start) AS key "
    + "FROM pg_stat_activity WHERE starts_with(application_name, $1) "
    + "AND backend_type = 'client backend'";
  return await server.run(text, [prefix]);
}

/** Tells what is more than there may be. */
function excessOf(there, most) {
  if (there.length > most) return `${there.length} connections of ${most}`;
  const each = new Map();
  for (const { name } of there) each.set(name, (each.get(name) ?? 0) + 1);
  const found = [...each].find(([, count]) => count > POOL_SIZE);
  return found && `${found[1]} connections of ${POOL_SIZE} by the name ${found[0]}`;
}

/** Waits until the server has none of the connections any more. */
export async function awaitNone(prefix) {
  const isNone = async (server) => (await backends(server, prefix)).length === 0;
  await beside((server) => until("none is left", () => isNone(server)));
}
