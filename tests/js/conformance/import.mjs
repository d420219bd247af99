// Imports the package with everything that a Worker forbids at module scope made to throw.
const forbid = (holder, name) => {
  const real = holder[name];
  holder[name] = () => {
    throw new Error(`${name} at import`);
  };
  return () => void (holder[name] = real);
};
const restore = [
  forbid(globalThis, "setTimeout"),
  forbid(globalThis, "setInterval"),
  forbid(globalThis, "fetch"),
  forbid(globalThis, "AbortController"),
  forbid(Math, "random"),
  forbid(Date, "now"),
  forbid(performance, "now"),
  forbid(WebAssembly, "Module"),
];
const { Pool } = await import("edgepool");
const { ClientPool } = await import("edgepool/clients");
restore.forEach((undo) => undo());
console.log(typeof Pool, typeof ClientPool);
