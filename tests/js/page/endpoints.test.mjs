// What the page shows of endpoints and calls: over statistics that the test writes, and live.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";

import { startFaultServer } from "../lib/fault-server.mjs";
import { importSource } from "../lib/gateway-source.mjs";
import { ROOT } from "../lib/process.mjs";
import { startGateway } from "../lib/servers.mjs";
import { endpointStats, serviceStats } from "../lib/service-stats.mjs";
import { eventually } from "../lib/time.mjs";
import { launch, open, sendBurst } from "./browser.mjs";

const SHOTS = join(ROOT, "target/page");
const NOW = 1_000_000;
let gateway, browser, shown, serviceNumbers;

before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  ({ serviceNumbers } = await importSource("service.ts"));
  [gateway, browser] = await Promise.all([startGateway({ simulator: { max: 4 } }), launch()]);
});
afterEach(async () => {
  await shown?.page.unrouteAll({ behavior: "ignoreErrors" });
  await shown?.close();
  shown = undefined;
});
after(async () => {
  await browser?.close();
  await gateway?.stop();
});

const ENDPOINTS = [
  endpointStats("http://10.0.0.1:8000/v1", { limit: 12 }),
  endpointStats("http://10.0.0.2:8000/v1", { breaker: "halfOpen", latency: 80 }),
  endpointStats("http://10.0.0.3:8000/v1", {
    breaker: "open", latency: null,
    lastError: "the request failed: connect ECONNREFUSED 10.0.0.3:8000",
  }),
  endpointStats("https://a-very-long-name-of-a-host.in-a-region.example.com:8443/openai/v1", {
    pausedUntil: NOW + 12_000, lastError: "429: too many requests",
  }),
];

/** Opens the page with a provider's statistics in place of what the gateway tells. */
async function show(service, options) {
  shown = await open(browser, gateway.url, options);
  const told = { service };
  await shown.page.route("**/stats", async (route) => {
    const stats = await (await route.fetch()).json();
    stats.providers.sim.service = serviceNumbers(told.service, NOW);
    await route.fulfill({ json: stats });
  });
  await shown.page.getByText("4 endpoints").waitFor();
  return { page: shown.page, tell: (next) => (told.service = next) };
}

test("each endpoint has a row: its state in a word, and its numbers", async () => {
  const { page } = await show(serviceStats(ENDPOINTS));
  const rows = page.locator(".endpoints tbody");
  const state = (index) => rows.nth(index).locator(".endpoint-state").textContent();
  const states = await Promise.all([0, 1, 2, 3].map(state));
  assert.deepEqual(states, ["up", "half-open", "ejected", "paused 12.0 s"]);
  const first = await rows.nth(0).locator("td.number").allTextContents();
  assert.deepEqual(first, ["1 of 12", "13 ms", "6.9 ms", "7", "2", "1"]);
  assert.match(await rows.nth(2).textContent(), /Last error: the request failed: connect ECONN/);
  assert.equal(await rows.nth(0).locator(".last-error").count(), 0);
  const numbers = page.getByLabel("Calls and attempts");
  assert.match(await numbers.textContent(), /tokens in240.*retries5.*hedges won2 of 3.*429s4/);
});

test("an endpoint that comes back is shown so", async () => {
  const { page, tell } = await show(serviceStats(ENDPOINTS));
  await page.locator(".endpoint-state.ejected").waitFor();
  tell(serviceStats(ENDPOINTS.map((one) => ({ ...one, breaker: "closed", lastError: null }))));
  await page.locator(".endpoint-state.ejected").waitFor({ state: "detached" });
  assert.equal(await page.locator(".last-error").count(), 0);
});

test("exhaustion is told on top while it lasts", async () => {
  const alert = { since: NOW - 7_000, waiting: 5, refused: 0 };
  const { page, tell } = await show(serviceStats(ENDPOINTS, { alert }));
  await page.getByText("sim is exhausted.").waitFor();
  await page.getByText("Its queue has not been empty for 7.00 s: 5 wait now.").waitFor();
  tell(serviceStats(ENDPOINTS));
  await page.getByText("sim is exhausted.").waitFor({ state: "detached" });
});

for (const [name, width] of [["desktop", 1_360], ["phone", 390], ["narrow", 320]]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`at ${width} px in ${colorScheme} it fits, and a picture is made`, async () => {
      const viewport = { width, height: 900 };
      const { page } = await show(serviceStats(ENDPOINTS), { viewport, colorScheme });
      const wide = () => document.documentElement.scrollWidth > innerWidth;
      assert.equal(await page.evaluate(wide), false);
      const path = join(SHOTS, `endpoints-${name}-${colorScheme}.png`);
      await page.screenshot({ path, fullPage: true });
    });
  }
}

test("three providers of two endpoints: one dies and comes back, and a queue is told", async () => {
  const names = ["chat", "claude", "tight"];
  const servers = await Promise.all(names.flatMap(() => [startFaultServer(), startFaultServer()]));
  const pair = (at) => servers.slice(2 * at, 2 * at + 2).map(({ url }) => url);
  const other = await startGateway({
    pool: {
      retry: { base_ms: 5 }, ejection: { consecutive: 1, base_ms: 500 }, alert_after_ms: 300,
    },
    providers: {
      chat: { kind: "openai", endpoints: pair(0), balance: "round_robin", model: "m" },
      claude: { kind: "anthropic", endpoints: pair(1), model: "c" },
      tight: { kind: "vllm", endpoints: pair(2), max: 1, model: "m" },
    },
  });
  try {
    shown = await open(browser, other.url);
    const { page } = shown;
    const rows = page.getByRole("region", { name: "chat" }).locator(".endpoints tbody");
    await rows.nth(1).waitFor();
    await servers[0].die();
    await sendBurst(page, 8, "chat");
    await rows.nth(0).locator(".ejected, .half_open").waitFor();
    await page.getByText("All 8 requests completed").waitFor({ timeout: 30_000 });
    assert.match(await rows.nth(0).textContent(), /Last error: .*failed/);
    assert.match(await rows.nth(1).textContent(), /up/);
    await page.screenshot({ path: join(SHOTS, "endpoint-dead.png"), fullPage: true });
    await servers[0].comeBack();
    await eventually(20_000, "it is up again", async () => {
      await sendBurst(page, 4, "chat");
      await page.getByText("All 4 requests completed").waitFor({ timeout: 30_000 });
      return (await rows.nth(0).locator(".endpoint-state").textContent()) === "up";
    });
    for (const { set } of servers.slice(4)) set.pause = 100;
    await sendBurst(page, 8, "tight");
    await page.getByText("tight is exhausted.").waitFor();
    await page.getByText(/Its queue has not been empty for .*wait now/).waitFor();
    await page.screenshot({ path: join(SHOTS, "exhausted.png"), fullPage: true });
    await page.getByText("All 8 requests completed").waitFor({ timeout: 30_000 });
    await page.getByText("tight is exhausted.").waitFor({ state: "detached" });
    assert.deepEqual(shown.seen.errors, []);
  } finally {
    await other.stop();
    for (const server of servers) await server.stop();
  }
});
