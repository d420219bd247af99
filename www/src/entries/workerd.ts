import { DurableObject, env as bindings } from "cloudflare:workers";

import { ConfigError, readConfig } from "../config.js";
import {
  type Gateway, type GatewayEnv, type RequestContext, createGateway, misdirected,
} from "../gateway.js";
import { hostCheck } from "../hosts.js";
import { refuse } from "../refuse.js";

/** What this uses of the binding to the objects of `GatewayObject`. */
interface Objects {
  getByName(name: string): { fetch(request: Request): Promise<Response> };
}

const OBJECT = "EDGEPOOL_OBJECT";

const variable = (name: string) => (bindings as Record<string, string | undefined>)[name];
const env: GatewayEnv = { runtime: "workerd", host: variable("EDGEPOOL_HOST"), variable };

// Read at the start, so that a wrong configuration is told then, and not to the first client.
const config = readConfig(variable("EDGEPOOL_CONFIG"));
const objects = (bindings as Record<string, Objects | undefined>)[OBJECT];
if (config.scope === "object" && objects === undefined) {
  throw new ConfigError(`scope "object" needs the binding ${OBJECT}, to objects of GatewayObject`);
}

/** The gateway of all isolates, where its scope is "object". */
export class GatewayObject extends DurableObject {
  private gateway: Gateway | undefined;

  fetch(request: Request): Promise<Response> {
    this.gateway ??= createGateway(config, env);
    return this.gateway.fetch(request);
  }
}

let gateway: Gateway | undefined;
const checkedUrl = hostCheck(env.host, config.hosts);

export default {
  fetch(request: Request, _: unknown, ctx: RequestContext): Promise<Response> {
    if (config.scope === "object") return pass(request);
    // Made in a request: outside of one the clock stands at zero.
    gateway ??= createGateway(config, env);
    return gateway.fetch(request, ctx);
  },
};

/** Sends everything through one object: its statistics are then those of all isolates as well. */
async function pass(request: Request): Promise<Response> {
  // The object checks it as well, but cannot be asked under a name that is none.
  if (!checkedUrl(request)) return misdirected(request);
  try {
    return await (objects as Objects).getByName("gateway").fetch(request);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return refuse(503, "object_unavailable", `the gateway's Durable Object failed: ${text}`);
  }
}
