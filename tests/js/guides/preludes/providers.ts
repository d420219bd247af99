// Providers that stand in for the real ones: what the SDKs send to them is answered here.

declare global {
  var apiKey: string;
  /** What the stand-in saw: the most calls at a time, and with which key. */
  var seen: { now: number; peak: number; keys: Set<string> };
}

globalThis.apiKey = "sk-yours";
globalThis.seen = { now: 0, peak: 0, keys: new Set() };

const HOSTS = ["api.openai.com", "api.anthropic.com", "api.example.com", "ollama.example.com"];
const real = globalThis.fetch;
globalThis.fetch = (async (input: string | URL | Request, init?: RequestInit) => {
  const request = new Request(input, init);
  const { hostname, pathname } = new URL(request.url);
  if (!HOSTS.includes(hostname)) return real(request);
  const { seen } = globalThis;
  seen.keys.add(request.headers.get("authorization") ?? request.headers.get("x-api-key") ?? "none");
  seen.now += 1;
  seen.peak = Math.max(seen.peak, seen.now);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const asked = await request.text();
  const streams = asked.includes('"stream":true');
  const end = () => {
    seen.now -= 1;
  };
  if (hostname === "ollama.example.com") return answer("application/x-ndjson", lines(), end);
  if (pathname.startsWith("/v1/items")) return answer("application/json", ['{"ok":true}'], end);
  if (request.headers.get("authorization") === "Bearer sk-wrong") {
    const error = { message: "that is no key", code: "invalid_api_key" };
    return answer("application/json", [JSON.stringify({ error })], end, 401);
  }
  if (streams) return answer("text/event-stream", events(), end);
  return answer("application/json", [JSON.stringify(whole(pathname, asked))], end);
}) as typeof fetch;

const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };

function events(): string[] {
  const parts = ["Hel", "lo"].map((content) => ({ choices: [{ index: 0, delta: { content } }] }));
  const last = { choices: [{ index: 0, delta: {}, finish_reason: "stop" }], usage };
  return [
    ...[...parts, last].map((part) => `data: ${JSON.stringify(part)}\n\n`), "data: [DONE]\n\n",
  ];
}

function lines(): string[] {
  const line = (content: string, done: boolean) =>
    `${JSON.stringify({ message: { role: "assistant", content }, done })}\n`;
  return [line("Hel", false), line("lo", false), line("", true)];
}

function whole(pathname: string, asked: string): unknown {
  if (pathname.endsWith("/models")) return { data: [{ id: "gpt-5.4-mini" }] };
  if (pathname.endsWith("/embeddings")) {
    const { input } = JSON.parse(asked) as { input: string[] };
    const bytes = new Uint8Array(Float32Array.of(0.25, 0.5, 0.75).buffer);
    const embedding = btoa(String.fromCharCode(...bytes));
    return { data: input.map((_, index) => ({ index, embedding })), usage };
  }
  if (pathname.endsWith("/responses")) {
    const content = [{ type: "output_text", text: "Hello", annotations: [] }];
    const output = [{ type: "message", role: "assistant", id: "1", content }];
    const spent = { input_tokens: 3, output_tokens: 2 };
    return { id: "1", created_at: 1, model: "gpt-5.4-mini", output, usage: spent };
  }
  if (pathname.endsWith("/messages")) {
    const content = [{ type: "text", text: "Hello" }];
    return { id: "1", type: "message", role: "assistant", content };
  }
  const message = { role: "assistant", content: "Hello" };
  const choices = [{ index: 0, message, finish_reason: "stop" }];
  return { id: "1", object: "chat.completion", choices, usage };
}

function answer(type: string, parts: string[], end: () => void, status = 200): Response {
  const left = [...parts];
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      const part = left.shift();
      if (part !== undefined) return controller.enqueue(new TextEncoder().encode(part));
      end();
      controller.close();
    },
    cancel: end,
  }, { highWaterMark: 0 });
  return new Response(body, { status, headers: { "content-type": type } });
}

export {};
