import type { CallOptions, CallScope, ProviderClient } from "./client.js";
import type { Clock } from "./clock.js";
import { ProviderError } from "./provider-errors.js";
import type { OnRefusal } from "./provider.js";

/** Providers of which one is asked after the other. */
export class FallbackChain {
  private readonly clients: readonly ProviderClient[];
  private readonly options: CallOptions;
  private readonly clock: Clock;

  constructor(clients: readonly ProviderClient[], options: CallOptions, clock: Clock) {
    if (clients.length === 0) throw new TypeError("a chain takes at least one provider");
    this.clients = clients;
    this.options = options;
    this.clock = clock;
  }

  /** Makes the call at each, until it succeeds or fails in a way that no other would mend. */
  async run<R>(
    call: (client: ProviderClient, options: CallOptions, place: number) => Promise<R>,
  ): Promise<R> {
    const { totalTimeout = Infinity } = this.options;
    const deadline = this.clock.now() + totalTimeout;
    const said: string[] = [];
    for (const [place, client] of this.clients.entries()) {
      const left = deadline - this.clock.now();
      const options = left < Infinity ? { ...this.options, totalTimeout: left } : this.options;
      try {
        return await call(client, options, place);
      } catch (error) {
        if (!(error instanceof ProviderError)) throw error;
        said.push(error.message);
        const isLast = place === this.clients.length - 1;
        if (isLast || !error.fallsBack || this.clock.now() >= deadline) throw told(error, said);
        client._hub.ask((protocol, service) => protocol.service_fell_back(service));
      }
    }
    throw new TypeError("unreachable");
  }

  /** Throws a TypeError unless all of them understand the same requests. */
  ofOneDialect(): this {
    const [first, ...others] = this.clients.map(({ name, _opened }) =>
      ({ name, dialect: dialectOf(_opened.described) }));
    const other = others.find(({ dialect }) => dialect !== first?.dialect);
    if (other === undefined) return this;
    const text = `"${first?.name}" speaks ${first?.dialect}, and "${other.name}" ${other.dialect}`;
    throw new TypeError(`fetchAny: ${text}; use chatAny, which says the same in each`);
  }

  /**
   * Passes a request on to each as to the first, as a path below its base. Each is asked for its own
   * model, if it has one.
   */
  async fetch(
    input: string | URL | Request, init: RequestInit & CallScope, onRefusal: OnRefusal | undefined,
  ): Promise<Response> {
    const [first] = this.clients as [ProviderClient];
    const { length } = this.clients;
    if (length === 1) return await first._pass(input, init, onRefusal, false);
    const path = pathBelow(first, input instanceof Request ? input.url : String(input));
    const given = Object.entries(init).filter(([, value]) => value !== undefined);
    const own: RequestInit & CallScope = {
      ...(input instanceof Request ? partsOf(input) : {}), ...Object.fromEntries(given),
    };
    const headers = new Headers(own.headers);
    for (const name of KEYS) headers.delete(name);
    return await this.run((client, _, place) => {
      const hasNext = place < length - 1;
      if (place === 0) return client._pass(input, init, onRefusal, hasNext);
      const body = bodyFor(client, own.body);
      return client._pass(path, { ...own, headers, ...body }, onRefusal, hasNext);
    });
  }
}

/** What a provider speaks, as far as it matters to a request that names its path itself. */
function dialectOf({ dialect }: { dialect: string }): string {
  return dialect === "openaiResponses" ? "openai" : dialect;
}

/** The headers that keys come in: those that a caller sends are for the first provider. */
const KEYS = ["authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"] as const;

/** A body is sent again only where it can be, which that of a `Request` cannot. */
function partsOf({ method, headers, redirect, signal }: Request): RequestInit {
  return { method, headers, redirect, signal };
}

/** Finds the path below a provider's base that a URL names, which an SDK has put together. */
function pathBelow(client: ProviderClient, url: string): string {
  if (!/^[a-z][a-z0-9+.-]*:/i.test(url)) return url;
  const { href } = new URL(url);
  const bases = client._opened.described.endpoints.map(({ name }) => name.replace(/\/$/, ""));
  const isBelow = (base: string): boolean =>
    href.startsWith(base) && /^([/?]|$)/.test(href.slice(base.length));
  const base = bases.find(isBelow);
  if (base !== undefined) return href.slice(base.length) || "/";
  const text = `takes URLs below the base of "${client.name}", ${bases.join(" or ")}, or paths`;
  throw new TypeError(`fetchAny: ${text}`);
}

/** Puts a provider's own model in the place of the one that a body asks for. */
function bodyFor({ model }: ProviderClient, body: unknown): { body?: string } {
  if (model === undefined || typeof body !== "string") return {};
  try {
    const { model: asked } = JSON.parse(body) as { model?: unknown };
    return typeof asked === "string" ? { body: withModel(body, model) } : {};
  } catch {
    // It is no JSON, or `null`.
    return {};
  }
}

const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\]]/g;

/** Nothing else is changed: numbers may have more digits than JavaScript's. */
function withModel(json: string, model: string): string {
  let [made, from, depth, isValue] = ["", 0, 0, false];
  for (const { 0: token, index } of json.matchAll(TOKENS)) {
    const end = index + token.length;
    if (token === "{" || token === "[") depth += 1;
    else if (token === "}" || token === "]") depth -= 1;
    else if (isValue) {
      made += json.slice(from, index) + JSON.stringify(model);
      from = end;
    }
    const isKey = depth === 1 && token === '"model"' && !isValue;
    isValue = isKey && /^\s*:/.test(json.slice(end, end + 99));
  }
  return made + json.slice(from);
}

/** The last failure, with what the providers before said. */
function told(error: ProviderError, said: readonly string[]): ProviderError {
  if (said.length > 1) error.message = `every provider failed: ${said.join("; ")}`;
  return error;
}
