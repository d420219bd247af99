// Judges the series of one runtime: whether what was done left a trace.

/** What the heap may differ by, in bytes, however much was done: caches of the runtime's own. */
const HEAP_BOUND = 500_000;

/** Says how much each case has grown by, and counts those that have grown too much. */
export function report(series) {
  let failed = series.length > 0 ? 0 : 1;
  for (const { name, left: may = 0, points } of series) {
    const { heap, wasm } = growth(points);
    const flat = heap <= HEAP_BOUND + may && wasm <= may;
    if (!flat) failed += 1;
    const { at, heap: left, wasm: size } = points.at(-1);
    const sizes = `heap ${kilo(left)} (${signed(heap)}), wasm ${kilo(size)} (${signed(wasm)})`;
    console.log(`${flat ? "ok   " : "FAIL "} ${name}, ${at.toLocaleString("en")}: ${sizes}`);
  }
  const bound = `${kilo(HEAP_BOUND)} of heap, nothing of the module's; 400 bytes more a pool`;
  if (failed > 0) console.log(`expected after the warm-up: at most ${bound}`);
  console.log(`${series.length - failed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

/** What grew from the end of the warm-up, four tenths of the whole, to the end. */
function growth(points) {
  const warm = points.slice(0, Math.ceil(points.length * 0.4));
  const last = points.slice(-3);
  const most = (list, key) => Math.max(...list.map((point) => point[key]));
  const middle = (list) => list.map(({ heap }) => heap).sort((a, b) => a - b)[list.length >> 1];
  const heap = middle(last) - middle(warm.slice(-3));
  return { heap, wasm: most(last, "wasm") - most(warm, "wasm") };
}

function kilo(bytes) {
  return `${Math.round(bytes / 1_000).toLocaleString("en")} kB`;
}

function signed(bytes) {
  return `${bytes < 0 ? "" : "+"}${kilo(bytes)}`;
}
