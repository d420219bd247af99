// Debian's Chromium, quiet, and watchful: what a page logs or asks of others is kept.

import { chromium } from "playwright-core";

const FLAGS = [
  "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

/** Starts Chromium: the one that CHROMIUM_PATH names, or Debian's. */
export function launch() {
  const root = process.getuid?.() === 0;
  return chromium.launch({
    executablePath: process.env.CHROMIUM_PATH ?? "/usr/bin/chromium",
    args: root ? ["--no-sandbox", ...FLAGS] : FLAGS,
  });
}

/** Opens the page in a context of its own; gives it with what it said and whom it asked. */
export async function open(browser, url, options = {}) {
  const viewport = { width: 1360, height: 900 };
  const context = await browser.newContext({ viewport, colorScheme: "light", ...options });
  const page = await context.newPage();
  const seen = { errors: [], requests: [] };
  page.on("console", (line) => {
    if (["error", "warning"].includes(line.type())) seen.errors.push(line.text());
  });
  page.on("pageerror", (error) => seen.errors.push(error.message));
  page.on("request", (request) => seen.requests.push(request.url()));
  await page.goto(url);
  await page.getByRole("heading", { name: "Send a burst" }).waitFor();
  return { page, context, seen, close: () => context.close() };
}

/** Sends a burst from the page. */
export async function sendBurst(page, count, provider) {
  if (provider) await page.locator("form").getByLabel("Provider").selectOption(provider);
  await page.getByLabel("Requests").fill(String(count));
  await page.getByRole("button", { name: "Send burst" }).click();
}
