import type { PoolErrorCode } from "./errors.js";
import { ask } from "./protocol.js";
import type { ProviderKind } from "./provider.js";

/** The codes that a refused call may have, as the module knows them. */
const CODES: readonly PoolErrorCode[] = [
  "unknown_provider", "queue_full", "acquire_timeout", "pool_closed", "upstream_unreachable",
  "upstream_timeout", "lease_ended", "over_budget", "invalid_tenant", "unknown_tenant",
];

/** What stands for the other errors of a pool. */
const OTHERS: Partial<Record<PoolErrorCode, PoolErrorCode>> = {
  body_stalled: "upstream_timeout", core_reset: "lease_ended",
  provider_error: "upstream_unreachable",
};

interface Told {
  status: number;
  headers: [string, string][];
  body: string;
}

/** Tells the code that callers see for an error of a pool. */
export function refusalCode(code: PoolErrorCode): PoolErrorCode {
  return CODES.includes(code) ? code : OTHERS[code] ?? "acquire_timeout";
}

/** Makes the Response that stands for a refusal, in the envelope of the provider's kind. */
export function refusalResponse(
  kind: ProviderKind, code: PoolErrorCode, text: string, retryAfter = NaN,
): Response {
  const told = ask((protocol) => protocol.refusal(kind, code, text, retryAfter));
  const { status, headers, body } = JSON.parse(told) as Told;
  return new Response(body, { status, headers });
}
