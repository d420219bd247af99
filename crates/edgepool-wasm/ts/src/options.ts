import { isSignal } from "./signals.js";

/**
 * Throws a TypeError if `given` is no object or has a name that is not in `names`. If that is
 * `tenant`, it says `whoTakes` it.
 */
export function checkNames(
  where: string, given: unknown, names: readonly string[], whoTakes = "",
): void {
  if (!isObject(given)) {
    throw new TypeError(`${where}: expected an object of options, got ${show(given)}`);
  }
  for (const name of Object.keys(given)) {
    if (names.includes(name)) continue;
    const hint = name === "tenant" ? whoTakes : "";
    throw new TypeError(`${where}: unknown option "${name}"; it takes ${names.join(", ")}${hint}`);
  }
}

/** Whether it can have options: an array is none. */
export function isObject(given: unknown): given is object {
  return typeof given === "object" && given !== null && !Array.isArray(given);
}

/** Throws a TypeError that names a number which JSON would tell as none at all. */
export function checkNumbers(where: string, given: object, path = ""): void {
  for (const [name, value] of Object.entries(given) as [string, unknown][]) {
    if (typeof value === "object" && value !== null) checkNumbers(where, value, `${path}${name}.`);
    if (typeof value !== "number" || value > -Infinity) continue;
    throw wrong(where, path + name, "a number", value);
  }
}

/** Reads a whole number from `low` to `high`; it must be given unless there is a fallback. */
export function readCount(
  where: string, name: string, value: unknown, fallback: number | undefined, low: number,
  high: number,
): number {
  if (value === undefined && fallback !== undefined) return fallback;
  if (Number.isInteger(value) && (value as number) >= low && (value as number) <= high) {
    return value as number;
  }
  throw wrong(where, name, `a whole number from ${low} to ${high}`, value);
}

/** Reads a duration in ms, from `low` up; `Infinity` means no limit. */
export function readDuration(
  where: string, name: string, value: unknown, fallback: number, low = 0,
): number {
  if (value === undefined) return fallback;
  if (typeof value === "number" && value >= low) return value;
  throw wrong(where, name, `a number of ms from ${low}, or Infinity for no limit`, value);
}

/** Reads a function, or its absence where `needed` is false. */
export function readFunction<F>(where: string, name: string, value: unknown, needed: boolean): F {
  if (typeof value === "function" || (value === undefined && !needed)) return value as F;
  throw wrong(where, name, "a function", value);
}

/** Reads one of the words in `words`. */
export function readWord<W extends string>(
  where: string, name: string, value: unknown, fallback: W, words: readonly W[],
): W {
  if (value === undefined) return fallback;
  if (words.includes(value as W)) return value as W;
  throw wrong(where, name, words.map((word) => `"${word}"`).join(" or "), value);
}

/** Reads a boolean. */
export function readFlag(where: string, name: string, value: unknown, fallback: boolean): boolean {
  if (value === undefined) return fallback;
  if (typeof value === "boolean") return value;
  throw wrong(where, name, "true or false", value);
}

/** Sees that what is given as a signal can be listened to. */
export function checkSignal(where: string, signal: unknown): void {
  if (signal !== undefined && !isSignal(signal)) {
    throw wrong(where, "signal", "an AbortSignal", signal);
  }
}

/** Makes the error for a value that is of the wrong type or out of range. */
export function wrong(where: string, name: string, accepted: string, value: unknown): TypeError {
  return new TypeError(`${where}: "${name}" takes ${accepted}, got ${show(value)}`);
}

function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 80));
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) return "an object";
  return typeof value === "function" ? "a function" : String(value);
}
