// Imports with everything that a Worker forbids at module scope made to throw.

/** Runs an import, and tells what it called of what is forbidden: nothing, if all is well. */
export async function importQuietly(load) {
  const called = [];
  const undo = forbid(called);
  try {
    await load();
  } catch (error) {
    called.push(`it failed: ${error?.stack ?? error}`);
  } finally {
    undo();
  }
  return called;
}

/** Makes each of them throw, and note its name in `called`; gives what undoes that. */
export function forbid(called) {
  const names = [
    [globalThis, ["setTimeout", "setInterval", "queueMicrotask", "fetch", "AbortController"]],
    [Math, ["random"]],
    [Date, ["now"]],
    [performance, ["now"]],
    [WebAssembly, ["Module", "Instance"]],
  ];
  const undo = names.flatMap(([holder, keys]) => keys.map((key) => {
    const real = holder[key];
    holder[key] = function forbidden() {
      called.push(key);
      throw new Error(`${key} at import`);
    };
    return () => void (holder[key] = real);
  }));
  return () => undo.forEach((each) => each());
}
