import { CHAT, MOST } from "./burst-shape.js";
import type { Kind, ProviderConfig } from "./config.js";
import { refuse } from "./refuse.js";
import type { BurstEvent, BurstOutcome, BurstRequest } from "./wire.js";

type Forward = (request: Request, body: string) => Promise<Response>;

/**
 * Sends many streaming chat requests through the gateway, and tells line by line how each goes.
 *
 * The page could not send them itself: a browser opens six connections to one origin, so most
 * would wait in the browser. They are requests to the gateway in all else. They end with the
 * page's own request.
 */
export async function burst(
  request: Request, providers: Record<string, ProviderConfig>, forward: Forward,
): Promise<Response> {
  // A browser asks the gateway before it sends JSON for a page of another origin, and is refused.
  const type = request.headers.get("content-type") ?? "";
  if (request.method !== "POST" || !type.startsWith("application/json")) {
    return refuse(405, "method_not_allowed", "a burst is asked for with POST and JSON");
  }
  const asked = await readAsked(request, providers);
  if (typeof asked === "string") return refuse(400, "invalid_burst", asked);
  const kind = providers[asked.provider]?.kind as Kind;
  const stop = new AbortController();
  request.signal.addEventListener("abort", () => stop.abort());
  const body = lines(async (tell) => {
    const one = (index: number) => sendOne(index, asked, kind, forward, stop.signal, tell);
    await Promise.all(Array.from({ length: asked.count }, (_, index) => one(index)));
  }, () => stop.abort());
  const headers = { "content-type": "application/x-ndjson", "cache-control": "no-store" };
  return new Response(body, { headers });
}

/** Makes a stream of the events that `run` tells, a line of JSON each. */
function lines(
  run: (tell: (event: BurstEvent) => void) => Promise<void>, cancel: () => void,
): ReadableStream<Uint8Array> {
  const utf8 = new TextEncoder();
  let open = true;
  return new ReadableStream({
    start: (out) => {
      const tell = (event: BurstEvent) => {
        if (open) out.enqueue(utf8.encode(`${JSON.stringify(event)}\n`));
      };
      run(tell).then(
        () => {
          if (open) out.close();
        },
        (error: unknown) => {
          cancel();
          if (open) out.error(error);
          open = false;
        },
      );
    },
    cancel: () => {
      open = false;
      cancel();
    },
  });
}

/** Reads what is asked for, or says what is wrong with it. */
async function readAsked(
  request: Request, providers: Record<string, ProviderConfig>,
): Promise<BurstRequest | string> {
  const asked = (await request.json().catch(() => null)) as Partial<BurstRequest> | null;
  const { provider = "", count = 0, model = "" } = asked ?? {};
  const kind = Object.hasOwn(providers, provider) ? providers[provider]?.kind : undefined;
  if (kind === undefined) return `provider takes one of ${Object.keys(providers).join(", ")}`;
  if (!CHAT[kind]) return `provider "${provider}" is of kind ${kind}, which has no chat`;
  if (!Number.isInteger(count) || count < 1 || count > MOST) return `count takes 1 to ${MOST}`;
  if (typeof model !== "string" || model === "" || model.length > 200) {
    return "model takes the name of a model";
  }
  return { provider, count, model };
}

async function sendOne(
  index: number, { provider, model }: BurstRequest, kind: Kind, forward: Forward,
  signal: AbortSignal, tell: (event: BurstEvent) => void,
): Promise<void> {
  const chat = CHAT[kind] as NonNullable<(typeof CHAT)[Kind]>;
  const start = Date.now();
  const end = (outcome: BurstOutcome, bytes: number, why?: string) =>
    tell({ type: "end", index, outcome, bytes, ms: Date.now() - start, ...(why ? { why } : {}) });
  try {
    const headers: Record<string, string> = { "content-type": "application/json" };
    if (kind === "anthropic") headers["anthropic-version"] = "2023-06-01";
    const body = JSON.stringify(chat.body(model));
    const url = `http://gateway/${provider}${chat.path}`;
    const asking = new Request(url, { method: "POST", headers, body, signal });
    const response = await forward(asking, body);
    const waited = response.headers.get("x-edgepool-wait-ms");
    const wait = waited === null ? null : Number(waited);
    tell({ type: "headers", index, status: response.status, wait_ms: wait });
    if (!response.ok) return end(...(await refusal(response)));
    let bytes = 0;
    for await (const chunk of chunks(response)) bytes += chunk.length;
    end("completed", bytes);
  } catch (error) {
    end("failed", 0, error instanceof Error ? error.message : String(error));
  }
}

async function* chunks(response: Response): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  for (;;) {
    const part = await reader?.read();
    if (!part || part.done) return;
    yield part.value;
  }
}

/** The codes by which the pool says that it had no place for a call. */
const REFUSALS = ["queue_full", "acquire_timeout", "pool_closed"];

/** Tells a refusal of the pool's own from an error of the provider, whose answers have a slot. */
async function refusal(response: Response): Promise<[BurstOutcome, number, string]> {
  const text = await response.text();
  const { message = text, code } = errorIn(text);
  const own = !response.headers.has("x-edgepool-slot") && REFUSALS.includes(String(code));
  return [own ? "refused" : "failed", text.length, `${response.status}: ${message.slice(0, 200)}`];
}

function errorIn(text: string): { message?: string; code?: unknown } {
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    if (typeof error === "string") return { message: error };
    const { message, code } = error as { message?: unknown; code?: unknown };
    return { ...(typeof message === "string" ? { message } : {}), code };
  } catch {
    return {};
  }
}
