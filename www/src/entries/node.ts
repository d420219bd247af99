import { serve } from "@hono/node-server";

import { createGateway } from "../gateway.js";
import { readSettings, start } from "./process.js";

const variable = (name: string) => process.env[name];

start(() => {
  const { config, host, port } = readSettings(variable);
  const gateway = createGateway(config, { runtime: "node", decodesUnasked: true, variable });
  const server = serve({
    fetch: (request) => gateway.fetch(request),
    hostname: host,
    port,
    // The bodies of real Responses are wrapped by the pool.
    overrideGlobalObjects: false,
    // An upload may take as long as its provider lets it: the pool's own clocks bound a call.
    serverOptions: { requestTimeout: 0 },
  });
  server.on("error", (error) => {
    console.error(`edgepool: ${error.message}`);
    process.exit(1);
  });
}, process.exit);
