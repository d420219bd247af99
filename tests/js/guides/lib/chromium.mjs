// A browser: the project served on loopback, and a page of it opened.
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { chromium } from "playwright-core";

import { sendFile } from "../../lib/files.mjs";
import { within } from "../../lib/time.mjs";

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
    // A browser asks for it by itself, and complains if it is not there.
    if (request.url === "/favicon.ico") response.writeHead(204).end();
    else sendFile(folder, request, response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}
