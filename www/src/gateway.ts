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

type Handler = (request: Request, url: URL, ctx?: RequestContext) => Response | Promise<Response>;

interface Parts {
  config: GatewayConfig;
  pools: Pools;
  observer: Observer;
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
  observer = new Observer(config, env.runtime, () => pools.stats());
  const parts: Parts = { config, pools, observer };
  const own = ownRoutes(parts);
  const checkedUrl = hostCheck(env.host, config.hosts);
  return {
    fetch: async (request, ctx) => {
      const url = checkedUrl(request);
      if (!url) return misdirected(request);
      const route = own.get(url.pathname);
      if (!route) return forward(parts, request, url, ctx);
      if (url.pathname === BURST_PATH) return route(request, url, ctx);
      if (request.method === "GET" || request.method === "HEAD") return route(request, url, ctx);
      const message = `${url.pathname} can only be read: ask with GET`;
      return refuse(405, "method_not_allowed", message, { allow: "GET, HEAD" });
    },
  };
}

/** Refuses a name that a page elsewhere may have pointed at this machine. */
export function misdirected(request: Request): Response {
  const host = JSON.stringify(request.headers.get("host") ?? "");
  const message = `the gateway is not known as ${host}; use the address that it listens on, or `
    + "add the name to hosts in [gateway] of its configuration file";
  return refuse(421, "unknown_host", message);
}

function ownRoutes(parts: Parts): Map<string, Handler> {
  const { observer } = parts;
  const since = (url: URL) => Math.max(0, Number(url.searchParams.get("since")) || 0);
  return new Map<string, Handler>([
    ...Object.entries(WELL),
    ["/stats", () => json(observer.stats())],
    ["/stats/history", (_, url) => json(observer.history(since(url)))],
    ["/metrics", () => new Response(metricsText(observer), {
      headers: { "content-type": METRICS_TYPE, "cache-control": "no-store" },
    })],
    [BURST_PATH, (request, url, ctx) => {
      if (isForeignPage(request, url)) return foreign();
      return burst(request, parts.config.providers, (inner, body) =>
        forward(parts, inner, new URL(inner.url), ctx, body));
    }],
  ]);
}

/**
 * Forwards `/{provider}/...` or `/{route}/...`, and holds a place at the provider until the answer
 * has ended. `body` is that of a request of the gateway's own.
 */
async function forward(
  parts: Parts, request: Request, url: URL, ctx?: RequestContext, body?: string,
): Promise<Response> {
  const { providers, routes = {} } = parts.config;
  const [, name = "", path = ""] = /^\/([^/]*)(.*)$/.exec(url.pathname) ?? [];
  const route = Object.hasOwn(routes, name) ? (routes[name] as string[]) : [name];
  const [first = ""] = route;
  if (!Object.hasOwn(providers, first)) {
    const all = [...Object.keys(providers), ...Object.keys(routes)];
    const known = all.map((each) => `/${each}/`).join(", ");
    const message = `no provider is named "${name}"; the paths of those that are: ${known}`;
    return refuse(404, "unknown_provider", message);
  }
  if (climbs(path)) {
    const message = "the path has a step up (..) in it; write the path without one";
    return refuse(400, "invalid_path", message);
  }
  if (parts.pools.keyed.has(name) && isForeignPage(request, url)) return foreign();
  const target = (path || "/") + url.search;
  return send(parts, name, providers[first] as ProviderConfig, target, request, ctx, body);
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

/** Sends a request to what is named `name`: a provider, or a route that begins with it. */
async function send(
  { pools, observer }: Parts, name: string, provider: ProviderConfig, target: string,
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
      headers: requestHeaders(request.headers, provider.passClientKey ?? false),
      body,
      redirect: "manual",
      signal: request.signal,
      request,
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
