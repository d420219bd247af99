import { ConfigError, type GatewayConfig, readConfig } from "../config.js";

/** Where a gateway in a process listens, and what it serves. */
export interface ProcessSettings {
  config: GatewayConfig;
  host: string;
  port: number;
}

type Variable = (name: string) => string | undefined;

/** Reads the settings from the environment. Throws a `ConfigError`. */
export function readSettings(variable: Variable): ProcessSettings {
  const config = readConfig(variable("EDGEPOOL_CONFIG"));
  if (config.scope === "object") {
    throw new ConfigError('scope takes "isolate" here: only workerd has Durable Objects');
  }
  const text = variable("EDGEPOOL_PORT") ?? "8787";
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) {
    throw new ConfigError(`EDGEPOOL_PORT takes 0 to 65535, got ${JSON.stringify(text)}`);
  }
  return { config, host: variable("EDGEPOOL_HOST") || "127.0.0.1", port };
}

/** Runs a start, and ends the process with a plain message if it fails. */
export function start(run: () => void, exit: (code: number) => void): void {
  try {
    run();
  } catch (error) {
    console.error(`edgepool: ${error instanceof Error ? error.message : String(error)}`);
    exit(1);
  }
}
