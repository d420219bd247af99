// A browser, with the package as plain modules, no bundler between them, or bundled.
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { join } from "node:path";
import { sendFile } from "../../lib/files.mjs";
import { readReport } from "./install.mjs";

const FLAGS = [
  "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--no-first-run", "--disable-dev-shm-usage",
];
const LIMIT = 120_000;

/** Serves a folder, opens its page, and waits for what the page reports. */
export async function runChromium({ project, say, flags = [], limit = LIMIT, folder = project }) {
  const { server, report } = await serve(folder);
  const page = `http://127.0.0.1:${server.address().port}/page.html`;
  const profile = `--user-data-dir=${join(project, "profile")}`;
  const program = process.env.EDGEPOOL_CHROMIUM ?? "chromium";
  const child = spawn(program, [...FLAGS, ...flags, profile, page], { stdio: "ignore" });
  const failed = new Promise((_, reject) => {
    child.on("error", reject);
    child.on("exit", (code) => reject(new Error(`the browser ended with ${code}`)));
    setTimeout(() => reject(new Error("the page reported nothing in time")), limit).unref();
  });
  try {
    const text = await Promise.race([report, failed]);
    return readReport(text, say) ?? { passed: 0, failed: 1 };
  } finally {
    failed.catch(() => undefined);
    const gone = new Promise((resolve) => child.on("exit", resolve));
    if (child.kill() && child.exitCode === null) await gone;
    server.close();
    server.closeAllConnections();
  }
}

async function serve(project) {
  let told;
  const report = new Promise((resolve) => (told = resolve));
  const server = createServer(async (request, response) => {
    if (request.method === "POST") {
      let text = "";
      for await (const chunk of request) text += chunk;
      told(text);
      response.end();
      return;
    }
    sendFile(project, request, response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, report };
}
