// What the glue has that wasm-bindgen makes of the crate of the clients. Services and calls are
// handles, times are ms, what is a text is JSON but for messages.
export function initSync(module: { module: WebAssembly.Module }): unknown;
export function __wbg_reset_state(): void;

export function begin_epoch(number: number): void;

export function provider_open(name: string, options: string, env: string): number;
export function provider_describe(provider: number): string;
export function provider_close(provider: number): void;
export function providers_from_env(env: string): string;
export function embed_batches(provider: number, request: string): string;

export function service_open(provider: number, now: number): number;
export function service_places(service: number, now: number): number;
export function service_next_change(service: number, now: number): number;
export function service_stats(service: number, now: number): string;
export function service_alert(service: number, now: number): string;
export function service_check_due(service: number, chance: number, now: number): number;
export function service_check_request(service: number, check: number): string;
export function service_checked(
  service: number, endpoint: number, status: number, message: string, now: number,
): void;
export function service_fell_back(service: number): void;
export function service_close(service: number): void;

export function call_open(
  service: number, provider: number, kind: number, request: string, options: string, now: number,
): number;
export function call_step(call: number, now: number, chance: number): number;
export function call_until(call: number): number;
export function call_request(call: number, attempt: number): string;
export function call_body(call: number): Uint8Array;
export function call_acquired(call: number): boolean;
export function call_refused(call: number, code: string, message: string, now: number): void;
export function call_head(
  call: number, attempt: number, status: number, headers: string, now: number, wall: number,
): number;
export function call_taken(call: number, attempt: number, now: number): void;
export function call_chunk(call: number, attempt: number, bytes: Uint8Array, now: number): number;
export function call_end(call: number, attempt: number, now: number): number;
export function call_lost(call: number, attempt: number, message: string, now: number): void;
export function call_late(call: number, attempt: number, timer: number, now: number): void;
export function call_events(call: number): string;
export function call_output(call: number): string;
export function call_usage(call: number): string;
export function call_vectors(call: number): Float32Array;
export function call_winner(call: number): number;
export function call_failure(call: number): string;
export function call_abandon(call: number, now: number): void;
export function call_free(call: number, now: number): void;
export function calls_sweep(service: number, before: number, now: number): number;
export function refusal(kind: string, code: string, message: string, retryAfter: number): string;
