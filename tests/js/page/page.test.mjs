// The live page in a real browser, over a gateway with the embedded simulator.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";

import { ROOT, RUNTIME } from "../lib/process.mjs";
import { getJson, startGateway, startSimulator } from "../lib/servers.mjs";
import { eventually } from "../lib/time.mjs";
import { launch, open, sendBurst } from "./browser.mjs";

const SIMULATOR = { max: 4, latency_ms: 20, first_token_ms: 60, chunk_ms: 15, chunks: 20 };
const SHOTS = join(ROOT, "target/page");
let gateway, simulator, launched, browser, shown;

before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  const starting = startGateway({ simulator: SIMULATOR }).then((started) => (gateway = started));
  launched = launch();
  // Both are waited for, so that what has started is known even if the other has failed.
  await Promise.allSettled([starting, launched]);
  [, browser] = await Promise.all([starting, launched]);
  simulator = gateway.child.stdout.match(/simulator (http:\/\/[^\s)]+)/)[1];
});
afterEach(async () => {
  await shown?.close();
  shown = undefined;
});
after(async () => {
  // Left open, it would keep this process, and with it the whole run, from ending.
  const open = await launched?.catch(() => undefined);
  await open?.close();
  await gateway?.stop();
});

async function show(options, url = gateway.url) {
  shown = await open(browser, url, options);
  return shown.page;
}

const scrollsSideways = (page) =>
  page.evaluate(() => document.documentElement.scrollWidth > innerWidth);

test("it loads without an error, and asks nobody but the gateway", async () => {
  const page = await show();
  await page.getByText("live", { exact: true }).waitFor();
  await page.waitForTimeout(1_500);
  assert.deepEqual(shown.seen.errors, []);
  const { origin } = new URL(gateway.url);
  const others = shown.seen.requests.filter((url) => new URL(url).origin !== origin);
  assert.deepEqual(others, []);
});

test("its policy lets nothing else in", async () => {
  const response = await fetch(gateway.url);
  const policy = response.headers.get("content-security-policy");
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe|https?:|\*/);
  const page = await show();
  await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "globalThis.injected = true";
    document.body.append(script);
  });
  assert.equal(await page.evaluate(() => globalThis.injected), undefined);
});

test("it says what it shows: runtime, simulator, scope, base URL", async () => {
  const page = await show({ permissions: ["clipboard-read", "clipboard-write"] });
  await page.getByText(RUNTIME, { exact: true }).waitFor();
  await page.getByText("Simulator", { exact: true }).waitFor();
  await page.getByText("This pool limits one isolate.").waitFor();
  await page.getByRole("button", { name: "Copy: Base URL for an OpenAI client" }).click();
  await page.getByRole("button", { name: "Copy" }).getByText("Copied").waitFor();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.equal(copied, `${gateway.url}/sim/v1`);
});

test("it says that a pool in a Durable Object limits all isolates", async () => {
  const other = await startGateway({ simulator: SIMULATOR }, { args: ["--scope", "object"] });
  try {
    const page = await show({}, other.url);
    await page.getByRole("heading", { name: "Scope: one Durable Object" }).waitFor();
    await page.getByText("limits all isolates together.").waitFor();
  } finally {
    await other.stop();
  }
});

test("a burst of 40 on 4 places fills them, queues the rest, and completes", async () => {
  const page = await show();
  const before = await gateway.stats("sim");
  await sendBurst(page, 40);
  const picture = page.getByRole("img", { name: /places in use/ });
  const full = /^4 of 4 places in use, 0 idle, ([1-9]\d*) waiting$/;
  await eventually(10_000, "the page shows full places and a queue", async () =>
    full.test(await picture.getAttribute("aria-label")));
  assert.equal(await page.locator(".slots .used").count(), 4);
  assert.ok((await page.locator(".queue .dots i").count()) > 0);
  await page.getByText("All 40 requests completed").waitFor({ timeout: 30_000 });
  const stats = await gateway.stats("sim");
  assert.equal(stats.completed - before.completed, 40);
  assert.equal(stats.errors - before.errors, 0);
  const { peak, refused } = await getJson(`${simulator}/_sim/stats`);
  assert.deepEqual({ peak, refused }, { peak: 4, refused: 0 });
  await page.getByRole("img", { name: /^0 of 4 places in use, 4 idle, 0 waiting$/ }).waitFor();
  assert.deepEqual(shown.seen.errors, []);
});

test("a burst can be stopped, and gives everything back", async () => {
  const page = await show();
  await sendBurst(page, 100);
  await page.getByRole("img", { name: /^4 of 4 places in use/ }).waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByRole("listitem").filter({ hasText: "stopped" }).waitFor();
  const { took } = await gateway.rest("sim", 10_000);
  assert.ok(took < 10_000);
  await page.getByRole("button", { name: "Send burst" }).and(page.locator(":enabled")).waitFor();
});

test("the charts draw what has happened, and follow the pointer", async () => {
  const page = await show();
  await page.waitForTimeout(1_200);
  const painted = await page.locator(".plot canvas").evaluateAll((all) => all.map((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const coloured = (at) => data[at + 3] > 100 && Math.abs(data[at] - data[at + 1]) > 40;
    let count = 0;
    for (let at = 0; at < data.length; at += 4) if (coloured(at)) count += 1;
    return count;
  }));
  assert.equal(painted.length, 3);
  for (const count of painted) assert.ok(count > 50, `${painted}`);
  const over = await page.locator(".u-over").first().boundingBox();
  await page.mouse.move(over.x + over.width - 10, over.y + over.height / 2);
  await page.locator(".chart-time").first().getByText(/^\d\d:\d\d:\d\d$/).waitFor();
});

for (const width of [390, 320]) {
  test(`at ${width} px nothing scrolls sideways, and everything can be pressed`, async () => {
    const page = await show({ viewport: { width, height: 844 } });
    await sendBurst(page, 40);
    await page.getByText("All 40 requests completed").waitFor({ timeout: 30_000 });
    await page.getByText("What is sent").click();
    assert.equal(await scrollsSideways(page), false);
    for (const button of await page.getByRole("button").all()) {
      const { x, width: wide, height } = await button.boundingBox();
      assert.ok(height >= 34 && wide >= 34, `${await button.textContent()}: ${wide} x ${height}`);
      assert.ok(x >= 0 && x + wide <= width, await button.textContent());
    }
  });
}

/** The least contrast of the page's texts with what is behind them, with the text. */
function leastContrast() {
  const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = numbers(colour).map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (numbers(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  let least = { ratio: 21 };
  for (const element of document.querySelectorAll("#app *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || element.closest("button:disabled, .unseen")) continue;
    const [one, other] = [getComputedStyle(element).color, behind(element)].map(light);
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < least.ratio) least = { ratio, text: element.textContent.slice(0, 40) };
  }
  return least;
}

for (const colorScheme of ["light", "dark"]) {
  test(`in ${colorScheme} every text stands out from its ground`, async (t) => {
    const page = await show({ colorScheme });
    await sendBurst(page, 8);
    await page.getByText("All 8 requests completed").waitFor({ timeout: 30_000 });
    const { ratio, text } = await page.evaluate(leastContrast);
    t.diagnostic(`least contrast ${ratio.toFixed(2)}: ${text}`);
    assert.ok(ratio >= 4.5, `${ratio.toFixed(2)}: ${text}`);
  });
}

test("the colours can be chosen against the system's, and are kept", async () => {
  const page = await show({ colorScheme: "light" });
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const button = page.getByRole("button", { name: /^Colours/ });
  const choose = async (theme) => {
    await button.click();
    await page.locator(`html[data-theme="${theme}"]`).waitFor();
    return ground();
  };
  const system = await ground();
  assert.equal(await choose("light"), system);
  const dark = await choose("dark");
  assert.notEqual(dark, system);
  await page.reload();
  await page.locator(`html[data-theme="dark"]`).waitFor();
  assert.equal(await ground(), dark);
});

test("the keyboard alone sends a burst", async () => {
  const page = await show();
  for (let presses = 0; presses < 20; presses += 1) {
    await page.keyboard.press("Tab");
    const focused = await page.evaluate(() => document.activeElement?.type);
    if (focused === "number") break;
  }
  await page.keyboard.press("ControlOrMeta+A");
  await page.keyboard.type("6");
  await page.keyboard.press("Enter");
  await page.getByText("All 6 requests completed").waitFor({ timeout: 30_000 });
});

test("a wrong number of requests is not sent", async () => {
  const page = await show();
  const before = await gateway.stats("sim");
  await sendBurst(page, 100_000);
  assert.equal(await page.locator("input:invalid").count(), 1);
  assert.equal((await gateway.stats("sim")).started, before.started);
});

test("refusals are told on top of the page, and named in the burst", async () => {
  const own = await startSimulator({ max: 4, "first-token-ms": 30, "chunk-ms": 5, chunks: 10 });
  const url = `${own.url}/v1`;
  const providers = {
    tight: { kind: "openai", url, max: 1, max_waiting: 2 },
    plain: { kind: "http", url: own.url, max: 60 },
  };
  const other = await startGateway({ providers });
  try {
    const page = await show({}, other.url);
    assert.equal(await page.getByText("Simulator", { exact: true }).count(), 0);
    await page.getByLabel("Model").fill("any");
    await sendBurst(page, 12);
    await page.getByText("tight is exhausted.").waitFor();
    await page.getByText("9 requests refused in the last minute.").waitFor();
    await page.getByText("3 of 12 requests completed").waitFor();
    await page.getByText(/^429: .*the queue is full/).waitFor();
    await page.setViewportSize({ width: 390, height: 844 });
    assert.equal(await scrollsSideways(page), false);
  } finally {
    await other.stop();
    await own.stop();
  }
});

test("pictures of it are made, in light and dark, wide and narrow", async () => {
  const page = await show();
  await sendBurst(page, 40);
  await page.getByText("All 40 requests completed").waitFor({ timeout: 30_000 });
  await sendBurst(page, 40);
  await page.waitForTimeout(1_700);
  for (const [name, width, height] of [["desktop", 1360, 900], ["phone", 390, 844]]) {
    for (const colorScheme of ["light", "dark"]) {
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme });
      await page.waitForTimeout(300);
      await page.screenshot({ path: join(SHOTS, `${name}-${colorScheme}.png`), fullPage: true });
    }
  }
  await page.getByText("All 40 requests completed").waitFor({ timeout: 30_000 });
});

// The last one: it ends the gateway.
test("a lost connection is told, and its end too", async () => {
  const page = await show();
  await page.getByText("live", { exact: true }).waitFor();
  await shown.context.setOffline(true);
  await page.getByText("The gateway does not answer.").waitFor({ timeout: 10_000 });
  await page.getByText("no connection", { exact: true }).waitFor();
  await shown.context.setOffline(false);
  await page.getByText("live", { exact: true }).waitFor({ timeout: 10_000 });
  assert.equal(await page.getByText("The gateway does not answer.").count(), 0);
  await gateway.stop();
  await page.getByText("The gateway does not answer.").waitFor({ timeout: 10_000 });
  await page.screenshot({ path: join(SHOTS, "lost.png") });
});
