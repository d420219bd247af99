// Who is connected, as the server says it.
//
// A connection that was closed or killed is gone for its pool at once, and so a new one may stand in
// its place; at the server its process takes some moments more to end, and is listed until then. So
// a look that finds more than there may be is followed by others, until those that it found and that
// are still there are few enough: processes that end do, connections that are too many stay.
import { beside } from "../drivers.mjs";
import { later, until } from "../lib.mjs";

/** How long a process may take to end, in ms. */
const LINGER = 1_000;
const PAUSE = 5;

/**
 * Looks at the server until `isOver` says that all is over, at the connections whose names begin so:
 * there may be `all` of them, and `each` by one name.
 */
export async function takeSamples(prefix, caps, isOver) {
  const samples = { taken: 0, most: 0, over: [] };
  await beside(async (server) => {
    for (; !isOver(); await later(PAUSE)) await look(server, prefix, caps, samples);
  });
  return samples;
}

async function look(server, prefix, caps, samples) {
  const began = Date.now();
  let there = await backends(server, prefix);
  samples.taken += 1;
  for (let excess; (excess = excessOf(there, caps)) !== undefined; ) {
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
async function backends(server, prefix) {
  const text = "SELECT application_name AS name, concat_ws(' ', pid, backend_start) AS key "
    + "FROM pg_stat_activity WHERE starts_with(application_name, $1) "
    + "AND backend_type = 'client backend'";
  return await server.run(text, [prefix]);
}

/** Tells what is more than there may be. */
function excessOf(there, { all, each }) {
  if (there.length > all) return `${there.length} connections of ${all}`;
  const counts = new Map();
  for (const { name } of there) counts.set(name, (counts.get(name) ?? 0) + 1);
  const found = [...counts].find(([, count]) => count > each);
  return found && `${found[1]} connections of ${each} by the name ${found[0]}`;
}

/** Waits until the server has none of the connections any more. */
export async function awaitNone(prefix) {
  const isNone = async (server) => (await backends(server, prefix)).length === 0;
  await beside((server) => until("none is left", () => isNone(server)));
}
