import { env as bindings } from "cloudflare:workers";

import { readConfig } from "../config.js";
import { type Gateway, type GatewayEnv, type RequestContext, createGateway } from "../gateway.js";

const variable = (name: string) => (bindings as Record<string, string | undefined>)[name];
const env: GatewayEnv = { runtime: "workerd", host: variable("EDGEPOOL_HOST"), variable };

// Read at the start, so that a wrong configuration is told then, and not to the first client.
const config = readConfig(variable("EDGEPOOL_CONFIG"));
let gateway: Gateway | undefined;

export default {
  fetch(request: Request, _: unknown, ctx: RequestContext): Promise<Response> {
    // Made in a request: outside of one the clock stands at zero.
    gateway ??= createGateway(config, env);
    return gateway.fetch(request, ctx);
  },
};
