// Addresses for servers that cannot choose their own port and tell it.

import { createServer } from "node:net";

/** Finds a port on loopback that nobody listens at; somebody else may be faster to take it. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
