// Makes the picture of the page for the README: node tests/js/page/picture.mjs FILE.png

import { statSync } from "node:fs";

import { startGateway } from "../lib/servers.mjs";
import { launch, open, sendBurst } from "./browser.mjs";

const MARGIN = 24;
const MOST_BYTES = 150_000;
const SIMULATOR = { max: 8, latency_ms: 20, first_token_ms: 150, chunk_ms: 15, chunks: 24 };

/** Loads the pool as an hour of visitors would, but quicker, and stops in the midst of it. */
async function liven(page) {
  const done = page.getByText(/requests completed in/);
  for (const count of [12, 44, 24, 60, 8, 36]) {
    await sendBurst(page, count);
    await page.getByText("Under way").waitFor();
    await done.waitFor({ timeout: 60_000 });
    await page.waitForTimeout(1_500);
  }
  await sendBurst(page, 48);
  await page.waitForTimeout(1_900);
}

async function take(file) {
  const gateway = await startGateway({ simulator: SIMULATOR });
  const browser = await launch();
  try {
    const viewport = { width: 1240, height: 900 };
    const { page } = await open(browser, gateway.url, { viewport });
    await liven(page);
    const { y, height } = await page.locator(".provider").boundingBox();
    const clip = { x: 0, y: 0, width: viewport.width, height: y + height + MARGIN };
    await page.screenshot({ path: file, clip });
  } finally {
    await browser.close();
    await gateway.stop();
  }
  const { size } = statSync(file);
  console.log(`${file}: ${size} bytes`);
  if (size > MOST_BYTES) throw new Error(`${file} has ${size} bytes; at most ${MOST_BYTES}`);
}

const file = process.argv[2];
if (!file) throw new Error("usage: node tests/js/page/picture.mjs FILE.png");
await take(file);
