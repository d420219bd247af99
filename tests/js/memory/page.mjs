// Draws the series in a folder of results as one page: a row for a case, a column for a runtime.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [WIDTH, HEIGHT, BELOW] = [250, 110, 18];
const LINES = { heap: "#0b63c5", wasm: "#c26a1a" };
const STYLE = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 2rem; } table { border-collapse: collapse; }
th { text-align: left; font-weight: 600; padding: .4rem 1rem .4rem 0; vertical-align: top; }
td { padding: .4rem 1rem .4rem 0; } svg { display: block; } text { font-size: 11px; fill: #6b7686; }
.heap { color: ${LINES.heap}; } .wasm { color: ${LINES.wasm}; }`;

/** Writes memory.html beside the results. */
export function writePage(folder) {
  const names = readdirSync(folder).filter((name) => name.endsWith(".json")).sort();
  const all = names.map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")));
  const cases = [...new Set(all.flatMap(({ series }) => series.map(({ name }) => name)))];
  const cells = (name) => all.map((one) => cell(one, name)).join("");
  const rows = cases.map((name) => `<tr><th>${name}</th>${cells(name)}</tr>`);
  const heads = all.map(({ runtime }) => `<th>${runtime}</th>`).join("");
  writeFileSync(join(folder, "memory.html"), `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>edgepool: memory</title><style>${STYLE}</style>
<h1>What is left in memory</h1>
<p>After a garbage collection, by how often it was done: <b class="heap">the heap</b> and
<b class="wasm">the memory of the module</b>.</p>
<table><tr><th></th>${heads}</tr>
${rows.join("\n")}
</table></html>
`);
}

function cell({ series }, name) {
  const found = series.find((one) => one.name === name);
  return `<td>${found === undefined ? "not measured" : plot(found.points)}</td>`;
}

function plot(points) {
  const most = Math.max(...points.flatMap(({ heap, wasm }) => [heap, wasm])) * 1.15;
  const end = points.at(-1).at;
  const x = (at) => ((at / end) * WIDTH).toFixed(1);
  const y = (bytes) => (HEIGHT * (1 - bytes / most)).toFixed(1);
  const line = (key) => {
    const path = points.map((point) => `${x(point.at)},${y(point[key])}`).join(" ");
    return `<polyline fill="none" stroke="${LINES[key]}" stroke-width="2" points="${path}"/>`;
  };
  const last = ["heap", "wasm"].map((key) => {
    const bytes = points.at(-1)[key];
    const label = `${(bytes / 1e6).toFixed(1)} MB`;
    const at = `x="${WIDTH + 6}" y="${Number(y(bytes)) + 4}"`;
    return `<text ${at} style="fill:${LINES[key]}">${label}</text>`;
  });
  const axis = `<path d="M0 ${HEIGHT}H${WIDTH}" stroke="#6b7686" stroke-width="1"/>`;
  const ends = `<text x="0" y="${HEIGHT + 14}">0</text>
<text x="${WIDTH}" y="${HEIGHT + 14}" text-anchor="end">${end.toLocaleString("en")}</text>`;
  const box = `viewBox="0 0 ${WIDTH + 70} ${HEIGHT + BELOW}" width="${WIDTH + 70}"`;
  return `<svg ${box}>${axis}${line("heap")}${line("wasm")}${last.join("")}${ends}</svg>`;
}
