// Makes the picture of the page for the README: node tests/js/page/picture.mjs FILE.png

import { writeFileSync } from "node:fs";

import { startGateway, startSimulator } from "../lib/servers.mjs";
import { launch, open, sendBurst } from "./browser.mjs";
import { packed } from "./png.mjs";

const MARGIN = 24;
const MOST_BYTES = 150_000;
const PACE = { max: 8, "latency-ms": 20, "first-token-ms": 150, "chunk-ms": 15, chunks: 24 };

/** Loads the pool as an hour of visitors would, but quicker, and stops in the midst of it. */
async function liven(page, dies) {
  const done = page.getByText(/requests completed in/);
  for (const count of [12, 44, 24, 60, 8, 36]) {
    await sendBurst(page, count);
    await page.getByText("Under way").waitFor();
    await done.waitFor({ timeout: 60_000 });
    await page.waitForTimeout(1_500);
  }
  await dies.stop();
  await sendBurst(page, 48);
  await page.waitForTimeout(1_900);
}

async function take(file) {
  const simulators = await Promise.all([1, 2, 3].map(() => startSimulator(PACE)));
  const gateway = await startGateway({
    providers: {
      local: {
        kind: "vllm", endpoints: simulators.map(({ url }) => `${url}/v1`), max: 8,
        model: "simulator", ejection: { consecutive: 1 }, retry: { base_ms: 20 },
      },
    },
  });
  const browser = await launch();
  let picture;
  try {
    const viewport = { width: 1240, height: 1_100 };
    const { page } = await open(browser, gateway.url, { viewport });
    await liven(page, simulators[2]);
    const { y, height } = await page.locator(".provider").boundingBox();
    const clip = { x: 0, y: 0, width: viewport.width, height: y + height + MARGIN };
    picture = packed(await page.screenshot({ clip }));
  } finally {
    await browser.close();
    await gateway.stop();
    for (const simulator of simulators) await simulator.stop();
  }
  const { length } = picture;
  if (length > MOST_BYTES) throw new Error(`the picture has ${length} bytes of ${MOST_BYTES}`);
  writeFileSync(file, picture);
  console.log(`${file}: ${length} bytes`);
}

const file = process.argv[2];
if (!file) throw new Error("usage: node tests/js/page/picture.mjs FILE.png");
await take(file);
