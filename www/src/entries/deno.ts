import { type GatewayEnv, createGateway } from "../gateway.js";
import { readSettings, start } from "./process.js";

/** What is used of Deno's own API. */
declare const Deno: {
  env: { get(name: string): string | undefined };
  exit(code: number): never;
  serve(
    options: { hostname: string; port: number; onListen(): void },
    handler: (request: Request) => Promise<Response>,
  ): unknown;
};

const variable = (name: string) => Deno.env.get(name);

start(() => {
  const { config, host, port } = readSettings(variable);
  const env: GatewayEnv = { runtime: "deno", host, variable };
  const gateway = createGateway(config, env);
  Deno.serve({ hostname: host, port, onListen: () => undefined },
    (request) => gateway.fetch(request));
}, Deno.exit);
