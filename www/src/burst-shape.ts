import type { Kind } from "./config.js";

/** The page's own path; no provider's name begins with an underscore. */
export const BURST_PATH = "/_page/burst";

/** The most requests of one burst. */
export const MOST = 200;

/** What each kind of provider is asked for a short streamed answer. */
export const CHAT: Partial<Record<Kind, { path: string; body: (model: string) => object }>> = {
  openai: { path: "/v1/chat/completions", body: chatBody },
  ollama: { path: "/api/chat", body: chatBody },
  anthropic: {
    path: "/v1/messages",
    body: (model) => ({ ...chatBody(model), max_tokens: 64 }),
  },
};

function chatBody(model: string) {
  const messages = [{ role: "user", content: "Say in one sentence what a pool is for." }];
  return { model, stream: true, messages };
}
