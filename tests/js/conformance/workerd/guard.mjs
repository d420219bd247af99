// Imported before the package: watches what happens at module scope, and keeps hold of the
// memories of wasm instances.

const watched = [
  [globalThis, "setTimeout"], [globalThis, "setInterval"], [globalThis, "fetch"],
  [globalThis, "AbortController"], [AbortSignal, "timeout"], [AbortSignal, "any"],
  [AbortSignal, "abort"], [Math, "random"], [crypto, "getRandomValues"], [crypto, "randomUUID"],
];
const restore = [];

/** What was called since this was asked last. */
export const called = [];
/** What the runtime itself refuses there. */
export const refused = [];
/** The memory of each instance of the module of `Pool`, in the order in which they were made. */
export const memories = [];

const { Instance } = WebAssembly;

WebAssembly.Instance = function (module, imports) {
  const instance = new Instance(module, imports);
  const { pool_open: open, open_tenant: openTenant, memory } = instance.exports;
  if (open !== undefined && openTenant === undefined) memories.push(memory);
  return instance;
};
WebAssembly.Instance.prototype = Instance.prototype;

try {
  setTimeout(() => undefined, 1);
} catch {
  refused.push("setTimeout");
}
try {
  crypto.randomUUID();
} catch {
  refused.push("crypto.randomUUID");
}

for (const [owner, name] of watched) {
  const real = owner[name];
  owner[name] = function (...args) {
    called.push(name);
    return new.target ? new real(...args) : real.apply(this, args);
  };
  restore.push(() => (owner[name] = real));
}

/** Ends the watch, as the last thing of the module, and tells what was called until then. */
export function endWatch() {
  for (const one of restore) one();
  return called.splice(0);
}

/** Ruins the memory of the instance at work, so that its next call traps. */
export function ruin() {
  new Uint8Array(memories.at(-1).buffer).fill(0xff);
}
