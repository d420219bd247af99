/** Says what is wrong with the configuration, and what it takes. */
export class ConfigError extends Error {
  override name = "ConfigError";
}

/** An object of JSON that is not checked yet. */
export type Fields = Record<string, unknown>;

/** Takes an object, whose fields are all among `names` where those are told. */
export function fields(where: string, value: unknown, names?: string[]): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrong(where, "an object");
  }
  const unknown = names && Object.keys(value).find((name) => !names.includes(name));
  if (unknown === undefined) return value as Fields;
  throw new ConfigError(`${where}: unknown field "${unknown}"; it takes ${names?.join(", ")}`);
}

/** Checks a number, if there is one. */
export function number(
  where: string, value: unknown, low: number, high: number, whole = false, more = "",
): void {
  if (value === undefined) return;
  const fits = typeof value === "number" && value >= low && value <= high;
  if (fits && (!whole || Number.isInteger(value))) return;
  const kind = whole ? "a whole number" : "a number of ms";
  const range = high === Infinity ? `from ${low}` : `from ${low} to ${high}`;
  const got = typeof value === "number" ? `, got ${value}` : "";
  throw wrong(where, `${kind} ${range}${more}${got}`);
}

/** Leaves the value out: a key may be in it by mistake, as in a URL. */
export function wrong(where: string, accepted: string): ConfigError {
  return new ConfigError(`${where} takes ${accepted}`);
}
