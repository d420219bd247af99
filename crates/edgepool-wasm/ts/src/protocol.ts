import * as glue from "./clients-glue.js";
import { CoreResetError } from "./errors.js";
import type { JsonFailure, Mistake } from "./provider-errors.js";

/**
 * The module that knows the protocols of providers: what is sent, what an answer says, and what
 * follows from a failure. It holds no promise, timer or callback: services and calls are handles.
 */
export type Protocol = typeof glue;

/** What the module throws on purpose, as text. */
export type Complaint = Mistake | JsonFailure;

type Source = () => WebAssembly.Module | BufferSource;

let source: Source | undefined;
let started = false;
let generation = 0;
/** What the instance failed with, as long as there is no other. */
let broken: { cause: unknown } | undefined;
const watchers = new Set<(cause: CoreResetError) => void>();

/** Says where the module comes from. Nothing is compiled before the first provider is made. */
export function provideProtocol(from: Source): void {
  source ??= from;
}

/** Tells which instance there is now: a handle of another one means nothing. */
export function protocolGeneration(): number {
  return generation;
}

/** Has a function called when the instance was replaced, until what is returned is called. */
export function watchProtocol(watcher: (cause: CoreResetError) => void): () => void {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

/** A complaint of the module's, not yet an error that callers see. */
export class Complained extends Error {
  readonly complaint: Complaint;

  constructor(complaint: Complaint) {
    super(complaint.message);
    this.complaint = complaint;
  }
}

/**
 * Asks the module. Throws what it complains of as a {@link Complained}; if it failed by itself it
 * is replaced, and a CoreResetError is thrown: every handle is void then.
 */
export function ask<R>(question: (protocol: Protocol) => R): R {
  const protocol = instance();
  try {
    return question(protocol);
  } catch (error) {
    if (typeof error === "string") throw new Complained(JSON.parse(error) as Complaint);
    if (error instanceof TypeError) throw error;
    throw replace(error);
  }
}

function instance(): Protocol {
  if (broken !== undefined) replace(broken.cause);
  if (started) return glue;
  if (source === undefined) {
    const advice = "call initClients(module) before the first provider";
    throw new TypeError(`edgepool/slim/clients: ${advice}`);
  }
  const module = source();
  const compiled = module instanceof WebAssembly.Module ? module : new WebAssembly.Module(module);
  glue.initSync({ module: compiled });
  started = true;
  glue.begin_epoch(generation);
  return glue;
}

/** Throws if there is no memory for another instance, which the next call tries again. */
function replace(cause: unknown): CoreResetError {
  broken = { cause };
  try {
    glue.__wbg_reset_state();
  } catch (error) {
    throw new CoreResetError(error, false);
  }
  broken = undefined;
  generation += 1;
  glue.begin_epoch(generation);
  const reset = new CoreResetError(cause);
  for (const watcher of [...watchers]) watcher(reset);
  return reset;
}
