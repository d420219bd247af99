import type { Kind } from "./config.js";

/** The page's own path; no provider's name begins with an underscore. */
export const BURST_PATH = "/_page/burst";

/** The most requests of one burst. */
export const MOST = 200;

const CHAT_PATH = "/v1/chat/completions";
const OPENAI = {
  path: CHAT_PATH,
  // Without it most tell no tokens at the end of a stream.
  body: (model: string) => ({ ...chatBody(model), stream_options: { include_usage: true } }),
};

/** What each kind of provider is asked for a short streamed answer. */
export const CHAT: Partial<Record<Kind, { path: string; body: (model: string) => object }>> = {
  openai: OPENAI,
  "openai-compatible": OPENAI,
  groq: OPENAI,
  mistral: { path: CHAT_PATH, body: chatBody },
  cerebras: OPENAI,
  vllm: OPENAI,
  "lm-studio": OPENAI,
  "llama-cpp": OPENAI,
  "openai-responses": {
    path: "/v1/responses",
    body: (model) => ({ model, stream: true, input: QUESTION }),
  },
  ollama: { path: "/api/chat", body: chatBody },
  anthropic: {
    path: "/v1/messages",
    body: (model) => ({ ...chatBody(model), max_tokens: 64 }),
  },
};

const QUESTION = "Say in one sentence what a pool is for.";

function chatBody(model: string) {
  return { model, stream: true, messages: [{ role: "user", content: QUESTION }] };
}

/** Tells whether clients of OpenAI's kind are for it. */
export function speaksOpenAi(kind: Kind): boolean {
  return CHAT[kind]?.path === CHAT_PATH || kind === "openai-responses";
}
