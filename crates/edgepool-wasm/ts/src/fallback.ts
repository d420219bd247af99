import type { CallOptions, ProviderClient } from "./client.js";
import type { Clock } from "./clock.js";
import { ProviderError } from "./provider-errors.js";

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
  async run<R>(call: (client: ProviderClient, options: CallOptions) => Promise<R>): Promise<R> {
    const { totalTimeout = Infinity } = this.options;
    const deadline = this.clock.now() + totalTimeout;
    const said: string[] = [];
    for (const [place, client] of this.clients.entries()) {
      const left = deadline - this.clock.now();
      const options = left < Infinity ? { ...this.options, totalTimeout: left } : this.options;
      try {
        return await call(client, options);
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
}

/** The last failure, with what the providers before said. */
function told(error: ProviderError, said: readonly string[]): ProviderError {
  if (said.length > 1) error.message = `every provider failed: ${said.join("; ")}`;
  return error;
}
