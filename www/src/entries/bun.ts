import { createGateway } from "../gateway.js";
import { readSettings, start } from "./process.js";

/** What is used of Bun's own API. */
declare const Bun: {
  serve(options: {
    hostname: string;
    port: number;
    idleTimeout: number;
    development: boolean;
    fetch(request: Request): Promise<Response>;
  }): unknown;
};

const variable = (name: string) => process.env[name];

start(() => {
  const { config, host, port } = readSettings(variable);
  const gateway = createGateway(config, { runtime: "bun", decodesUnasked: true, variable });
  Bun.serve({
    hostname: host,
    port,
    // A queued or slow call is silent for long: the pool's own clocks bound it.
    idleTimeout: 0,
    development: false,
    fetch: (request) => gateway.fetch(request),
  });
}, process.exit);
