import { PoolError, type PoolErrorCode } from "./errors.js";

/** The codes that a refused call has, with the status that stands for each. */
const STATUS: Partial<Record<PoolErrorCode, number>> = {
  unknown_provider: 404,
  queue_full: 429,
  acquire_timeout: 503,
  pool_closed: 503,
  upstream_unreachable: 502,
  upstream_timeout: 504,
  lease_ended: 503,
};

/** Tells the code that callers see for an error of a pool. */
export function refusalCode(error: PoolError): PoolErrorCode {
  return STATUS[error.code] === undefined ? "acquire_timeout" : error.code;
}

/**
 * Makes the Response that stands for a refusal, in the envelope that the SDKs of OpenAI and
 * Anthropic both read. `x-should-retry: false` keeps them from queueing again by themselves.
 */
export function refusalResponse(code: PoolErrorCode, text: string): Response {
  const headers = new Headers({ "content-type": "application/json", "x-should-retry": "false" });
  if (code === "queue_full") headers.set("retry-after", "1");
  const error = { message: text, type: "edgepool_error", param: null, code };
  const body = JSON.stringify({ type: "error", error });
  return new Response(body, { status: STATUS[code] ?? 503, headers });
}
