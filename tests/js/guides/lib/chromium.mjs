// A browser: the project served on loopback, and a page of it opened.
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { chromium } from "playwright-core";

import { within } from "../../lib/time.mjs";

const TYPES = { ".html": "text/html", ".js": "text/javascript" };

/** Opens a snippet, a page or a module, and gives what it wrote to the console. */
export async function runInBrowser(folder, name, snippet) {
  const html = snippet.language === "html" ? snippet.code : page(name);
  writeFileSync(join(folder, `${name}.html`), html);
  const server = await serve(folder);
  const executablePath = process.env.EDGEPOOL_CHROMIUM ?? "/usr/bin/chromium";
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  try {
    const tab = await browser.newPage();
    const lines = [];
    tab.on("console", (message) => lines.push(message.text()));
    const broken = new Promise((_, fail) => tab.on("pageerror", fail));
    const wanted = snippet.output.split("\n").length;
    const printed = new Promise((done) => {
      tab.on("console", () => lines.length >= wanted && done());
    });
    await tab.goto(`http://127.0.0.1:${server.address().port}/${name}.html`);
    await within(10_000, "what the page prints", Promise.race([printed, broken]));
    return `${lines.join("\n")}\n`;
  } finally {
    await browser.close();
    server.close();
    server.closeAllConnections();
  }
}

function page(name) {
  const imports = { edgepool: "/node_modules/edgepool/dist/index.js" };
  return `<!doctype html>
<link rel="icon" href="data:,">
<script type="importmap">${JSON.stringify({ imports })}</script>
<script type="module" src="/${name}.js"></script>
`;
}

async function serve(folder) {
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url, "http://page").pathname);
    // A browser asks for it by itself, and complains if it is not there.
    if (path === "/favicon.ico") return void response.writeHead(204).end();
    try {
      const body = readFileSync(join(folder, path));
      response.setHeader("content-type", TYPES[extname(path)] ?? "application/octet-stream");
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}
