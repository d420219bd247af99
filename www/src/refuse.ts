/**
 * Says no in the envelope that the package's own refusals have: OpenAI's, with the outer `type` that
 * Anthropic's SDK looks for.
 */
export function refuse(
  status: number, code: string, message: string, headers: Record<string, string> = {},
): Response {
  const error = { message, type: "edgepool_error", param: null, code };
  return json({ type: "error", error }, {
    status,
    // These refusals stand until something else changes: an SDK need not try again by itself.
    headers: { "x-should-retry": "false", ...headers },
  });
}

/** Answers with JSON that no cache keeps. */
export function json(value: unknown, init: ResponseInit = {}): Response {
  const headers = new Headers(init.headers);
  headers.set("content-type", "application/json; charset=utf-8");
  headers.set("cache-control", "no-store");
  return new Response(JSON.stringify(value), { ...init, headers });
}
