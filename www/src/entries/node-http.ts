import { serve } from "@hono/node-server";

import { type GatewayEnv, createGateway } from "../gateway.js";
import { readSettings, start } from "./process.js";

/** Serves the gateway over node:http, with the settings of the process's environment. */
export function serveOverNodeHttp(runtime: string): void {
  const variable = (name: string) => process.env[name];
  start(() => {
    const { config, host, port } = readSettings(variable);
    const env: GatewayEnv = { runtime, host, variable };
    const gateway = createGateway(config, env);
    const server = serve({
      fetch: (request) => gateway.fetch(request),
      hostname: host,
      port,
      // The pool makes real Responses around the bodies.
      overrideGlobalObjects: false,
      // An upload may take as long as its provider lets it: the pool's own clocks bound a call.
      serverOptions: { requestTimeout: 0 },
    });
    server.on("error", (error) => {
      console.error(`edgepool: ${error.message}`);
      process.exit(1);
    });
  }, process.exit);
}
