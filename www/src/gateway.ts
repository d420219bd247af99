import page from "edgepool-page";

import { readBody } from "./bodies.js";
import { BURST_PATH } from "./burst-shape.js";
import { burst } from "./burst.js";
import type { GatewayConfig, ProviderConfig } from "./config.js";
import { operationOf } from "./conventions.js";
import { hostCheck } from "./hosts.js";
import { METRICS_TYPE, metricsText } from "./metrics.js";
import { Observer, type ObservedCall } from "./observe.js";
import { Pools } from "./pools.js";
import { json, refuse } from "./refuse.js";
import { type Caller, Tenants, anyone } from "./tenants.js";
import { climbs, endToEnd, requestHeaders } from "./upstream.js";

/** What the gateway is told of the runtime that it is in. */
export interface GatewayEnv {
  /** The runtime's name, as `/stats` tells it. */
  runtime: string;
  /** The address that it listens on; the default is loopback. */
  host?: string | undefined;
  /** Reads a variable of the environment: the keys are there. */
  variable(name: string): string | undefined;
}

/** What a Worker's handler gets beside the request; other runtimes have nothing like it. */
export interface RequestContext {
  waitUntil(promise: Promise<unknown>): void;
}

/** The gateway: one handler for every runtime. */
export interface Gateway {
  fetch(request: Request, ctx?: RequestContext): Promise<Response>;
}

/** Answers what can only be read. */
type Handler = (url: URL) => Response;

interface Parts {
  config: GatewayConfig;
  pools: Pools;
  observer: Observer;
  /** Without it, no request is a tenant's. */
  tenants: Tenants | undefined;
}

const WELL: Record<string, Handler> = {
  "/healthz": () => new Response("ok\n", { headers: { "cache-control": "no-store" } }),
  "/favicon.svg": () => new Response(page.icon, { headers: { "content-type": "image/svg+xml" } }),
  "/": () => new Response(page.html, {
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": page.policy,
      "cache-control": "no-cache",
      "referrer-policy": "no-referrer",
      "x-content-type-options": "nosniff",
    },
  }),
};

/**
 * Makes the gateway for a checked configuration. Make it inside a request where the runtime has no
 * clock outside of one.
 */
export function createGateway(config: GatewayConfig, env: GatewayEnv): Gateway {
  let observer: Observer | undefined;
  const pools = new Pools(config, env, (event) => observer?.handle(event));
  const tenants = config.tenants && new Tenants(config.tenants);
  observer = new Observer(config, env.runtime, pools, tenants?.rejections);
  const parts: Parts = { config, pools, observer, tenants };
  const own = ownRoutes(parts);
  const checkedUrl = hostCheck(env.host, config.hosts);
  return {
    fetch: async (request, ctx) => {
      const url = checkedUrl(request);
      if (!url) return misdirected(request);
      const route = own.get(url.pathname);
      if (!route) return ask(parts, request, url, ctx);
      if (request.method === "GET" || request.method === "HEAD") return route(url);
      const message = `${url.pathname} can only be read: ask with GET`;
      return refuse(405, "method_not_allowed", message, { allow: "GET, HEAD" });
    },
  };
}

/** Asks providers for whoever a request comes from. */
async function ask(
  parts: Parts, request: Request, url: URL, ctx?: RequestContext,
): Promise<Response> {
  const { pathname } = url;
  const caller = await parts.tenants?.callerOf(request.headers, pathname) ?? anyone(pathname);
  if (caller instanceof Response) return caller;
  if (caller.path !== BURST_PATH) return forward(parts, caller, request, url, ctx);
  if (isForeignPage(request, url)) return foreign();
  return burst(request, parts.config.providers, (inner, body) => {
    const to = new URL(inner.url);
    return forward(parts, { ...caller, path: to.pathname }, inner, to, ctx, body);
  });
}

/** Refuses a name that a page elsewhere may have pointed at this machine. */
export function misdirected(request: Request): Response {
  const host = JSON.stringify(request.headers.get("host") ?? "");
  const message = `the gateway is not known as ${host}; use the address that it listens on, or `
    + "add the name to hosts in [gateway] of its configuration file";
  return refuse(421, "unknown_host", message);
}

function ownRoutes({ observer }: Parts): Map<string, Handler> {
  const since = (url: URL) => Math.max(0, Number(url.searchParams.get("since")) || 0);
  return new Map<string, Handler>([
    ...Object.entries(WELL),
    ["/stats", () => json(observer.stats())],
    ["/stats/history", (url) => json(observer.history(since(url)))],
    ["/metrics", () => new Response(metricsText(observer), {
      headers: { "content-type": METRICS_TYPE, "cache-control": "no-store" },
    })],
  ]);
}

/**
 * Forwards `/{provider}/...` or `/{route}/...`, and holds a place at the provider until the answer
 * has ended. `body` is that of a request of the gateway's own.
 */
async function forward(
  parts: Parts, caller: Caller, request: Request, url: URL, ctx?: RequestContext, body?: string,
): Promise<Response> {
  const { providers, routes = {} } = parts.config;
  const [, name = "", path = ""] = /^\/([^/]*)(.*)$/.exec(caller.path) ?? [];
  const route = Object.hasOwn(routes, name) ? (routes[name] as string[]) : [name];
  const [first = ""] = route;
  if (!Object.hasOwn(providers, first)) {
    const all = [...Object.keys(providers), ...Object.keys(routes)];
    const known = all.map((each) => `${caller.prefix}/${each}/`).join(", ");
    const message = `no provider is named "${name}"; the paths of those that are: ${known}`;
    return refuse(404, "unknown_provider", message);
  }
  if (climbs(path)) {
    const message = "the path has a step up (..) in it; write the path without one";
    return refuse(400, "invalid_path", message);
  }
  if (parts.pools.keyed.has(name) && isForeignPage(request, url)) return foreign();
  const target = (path || "/") + url.search;
  const asked = { name, target, tenant: caller.tenant };
  return send(parts, asked, providers[first] as ProviderConfig, request, ctx, body);
}

/**
 * Tells whether a browser sends this for a page that the gateway did not serve. Only browsers send
 * these headers; older ones, and any to an address that is not loopback, send `origin` alone.
 */
function isForeignPage({ headers }: Request, url: URL): boolean {
  const site = headers.get("sec-fetch-site");
  if (site !== null && site !== "same-origin" && site !== "none") return true;
  const origin = headers.get("origin");
  if (origin === null || origin === url.origin) return false;
  // Behind a proxy that ends TLS, the gateway's own page is of this origin.
  return site !== "same-origin" || origin !== `https://${url.host}`;
}

function foreign(): Response {
  const message = "a page of another origin asks, and the gateway would send a key or headers of "
    + "its own; ask from a program, or from a page of this origin";
  return refuse(403, "cross_site", message);
}

/** What is asked of whom, and for which tenant. */
interface Asked {
  /** A provider, or a route. */
  name: string;
  target: string;
  tenant: string | undefined;
}

/** Sends a request to a provider, or along a route that begins with it. */
async function send(
  { pools, observer, tenants }: Parts, { name, target, tenant }: Asked, provider: ProviderConfig,
  request: Request, ctx?: RequestContext, known?: string,
): Promise<Response> {
  const { method } = request;
  const operation = operationOf(provider.kind, method, target.replace(/\?.*$/, ""));
  const call: ObservedCall = { provider: name, method, operation, isStream: false, attempts: 0 };
  observer.begin(request, call);
  try {
    const body = known ?? (await readBody(request, operation !== undefined));
    const init = {
      method,
      headers: requestHeaders(request.headers, provider.passClientKey ?? false, tenants?.headers),
      body,
      redirect: "manual",
      signal: request.signal,
      request,
      ...(tenant === undefined ? {} : { tenant }),
      ...(body instanceof ReadableStream ? { duplex: "half" } : {}),
      ...(ctx ? { ctx } : {}),
    } as const;
    const answer = pools.fetch(name)(target, init);
    // It may wait now, of which there is no event.
    observer.advance();
    return withHeaders(await answer, call, pools);
  } catch (error) {
    return failed(name, error, request);
  }
}

const STREAMS = /^(text\/event-stream|application\/x-ndjson)\b/;

/**
 * Drops what was for the next hop alone, and keeps a provider's document from acting as one of the
 * gateway's own origin; the body stays the stream that it is.
 */
function withHeaders(answer: Response, call: ObservedCall, pools: Pools): Response {
  const { status, statusText } = answer;
  const headers = endToEnd(answer.headers);
  call.isStream = STREAMS.test(headers.get("content-type") ?? "");
  headers.set("x-edgepool-provider", call.provider);
  headers.set("x-edgepool-attempts", String(call.attempts));
  // Its number, as its address is for whoever runs the gateway.
  const endpoint = pools.endpointOf(call.provider, answer.url);
  if (endpoint > 0) headers.set("x-edgepool-endpoint", String(endpoint));
  // Beside the provider's own policies: a browser heeds all of them.
  headers.append("content-security-policy", "sandbox");
  headers.set("x-content-type-options", "nosniff");
  return new Response(answer.body, { status, statusText, headers });
}

function failed(name: string, error: unknown, request: Request): Response {
  if (request.signal.aborted) {
    return refuse(499, "client_gone", "the client went away before there was an answer");
  }
  const text = error instanceof Error ? error.message : String(error);
  // What `fetch` cannot send at all, such as CONNECT, or a GET with a body.
  if (error instanceof TypeError) {
    return refuse(501, "not_supported", `${request.method} cannot be forwarded as it is: ${text}`);
  }
  return refuse(502, "upstream_failed", `provider "${name}" could not be asked: ${text}`);
}
