// Finds the code blocks of the pages, and what the comment before each says of how to run it:
//
//   <!-- run: node deno; prelude: database -->
//   ```ts
//   ...
//   ```
//   ```text
//   what it prints
//   ```
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

import { ROOT } from "../../lib/process.mjs";

const PACKAGE = "crates/edgepool-wasm/ts";
const KEYS = ["run", "prelude", "file", "drive", "flags", "because"];
const WAYS = {
  ts: ["node", "deno", "bun", "workerd", "chromium", "deno-serve", "bun-serve", "types"],
  js: ["node", "deno", "bun", "chromium"],
  html: ["chromium"],
  json: ["json"],
  sh: ["sh"],
};

/** Lists the pages: the front page of the package, and its guides. */
export function pages() {
  const guides = readdirSync(join(ROOT, PACKAGE, "docs")).filter((name) => name.endsWith(".md"));
  return ["README.md", ...guides.sort().map((name) => join("docs", name))];
}

/** Reads the examples that stand in the comments of the sources. */
export function examples() {
  const folder = `${PACKAGE}/src`;
  const files = readdirSync(join(ROOT, folder)).filter((name) => name.endsWith(".ts")).sort();
  return files.flatMap((name) => {
    const lines = readFileSync(join(ROOT, folder, name), "utf8").split("\n");
    // Other lines stay as empty ones, so that a block's line is that of the source.
    const text = lines.map((line) => /^\s*\* ?(.*)$/.exec(line)?.[1] ?? "").join("\n");
    return blocksOf(text).filter(({ language }) => language === "ts").map((block) => ({
      ...block, runs: ["node"], flags: [], prelude: "reference", page: name,
      place: `src/${name}:${block.line}`,
    }));
  });
}

/** Reads the snippets of a page, in their order. What is not marked as it should be is thrown. */
export function snippetsOf(page, text = readFileSync(join(ROOT, PACKAGE, page), "utf8")) {
  const found = [];
  let marker;
  for (const block of blocksOf(text)) {
    if (block.kind === "comment") {
      marker = block;
      continue;
    }
    const place = `${page}:${block.line}`;
    if (block.language === "text") {
      const last = found.at(-1);
      if (last === undefined || last.output !== undefined) {
        throw new Error(`${place}: there is no snippet before this that could print it`);
      }
      last.output = block.code;
      continue;
    }
    if (marker === undefined || marker.line + 1 !== block.line) {
      throw new Error(`${place}: the comment that says how to run it is not in the line before`);
    }
    found.push({ ...readMarker(place, block, marker.text), ...block, page, place });
    marker = undefined;
  }
  return found;
}

function blocksOf(text) {
  const blocks = [];
  let open;
  for (const [index, line] of text.split("\n").entries()) {
    const fence = /^```(\w*)$/.exec(line);
    const comment = /^<!-- (run:.*) -->$/.exec(line);
    if (open === undefined && comment) {
      blocks.push({ kind: "comment", line: index + 1, text: comment[1] });
    } else if (fence && open === undefined) {
      open = { kind: "code", language: fence[1], line: index + 1, lines: [] };
    } else if (fence) {
      blocks.push({ ...open, code: open.lines.join("\n"), end: index + 1 });
      open = undefined;
    } else open?.lines.push(line);
  }
  if (open !== undefined) throw new Error(`line ${open.line}: the code block has no end`);
  return blocks;
}

function readMarker(place, { language }, text) {
  const marker = {};
  for (const part of text.split(";")) {
    const [, key, value] = /^\s*([a-z]+): (.+?)\s*$/.exec(part) ?? [];
    if (!KEYS.includes(key)) throw new Error(`${place}: "${part}" is none of ${KEYS.join(", ")}`);
    marker[key] = value;
  }
  const runs = marker.run?.split(" ") ?? [];
  const ways = WAYS[language];
  if (ways === undefined) throw new Error(`${place}: nothing runs "${language}"`);
  const odd = runs.filter((way) => !ways.includes(way));
  if (runs.length === 0 || odd.length > 0) {
    throw new Error(`${place}: ${language} runs in ${ways.join(", ")}, not in "${odd}"`);
  }
  if (runs.includes("types") && marker.because === undefined) {
    throw new Error(`${place}: "because" is to say why it is compiled and not run`);
  }
  return { ...marker, runs, flags: marker.flags?.split(" ") ?? [] };
}

/** Tells in what world the types of a snippet are checked. */
export function worldOf({ runs, page, code }) {
  if (/from "(ai|ollama|@ai-sdk\/.*|@langchain\/.*)"/.test(code)) return "sdks";
  if (runs.includes("workerd") || (runs.includes("types") && /worker|durable/.test(page))) {
    return "workerd";
  }
  if (runs.every((way) => way.startsWith("deno"))) return "deno";
  return runs.includes("chromium") ? "browser" : "node";
}
