// What the page shows of tenants: over statistics that the test writes, and live.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";

import { ROOT } from "../lib/process.mjs";
import { startGateway } from "../lib/servers.mjs";
import { eventually } from "../lib/time.mjs";
import { launch, open, sendBurst } from "./browser.mjs";

const SHOTS = join(ROOT, "target/page");
const SIMULATOR = { max: 4, latency_ms: 5, first_token_ms: 20, chunk_ms: 5, chunks: 8 };
let gateway, browser, shown;

before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  const tenants = {
    by: { header: "x-tenant" }, report: 3, named: { acme: { weight: 3, max: 3 } },
  };
  [gateway, browser] = await Promise.all([
    startGateway({ simulator: SIMULATOR, tenants }), launch(),
  ]);
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

const counts = (acquired, share, more = {}) => ({
  in_use: 0, waiting: 0, acquired, released: acquired, timed_out: 0, cancelled: 0, failed: 0,
  refused: 0, ended: 0, total_wait_ms: 10 * acquired, longest_wait_ms: 40,
  recent: { acquired, share, mean_wait_ms: acquired === 0 ? null : 10 }, ...more,
});
const limits = (id, more = {}) => ({
  id, named: false, weight: 1, max: null, max_waiting: null, ...more,
});
const TENANTS = [
  { ...limits("acme", { named: true, weight: 3, max: 3 }), ...counts(1_200, 0.6, { in_use: 3 }) },
  {
    ...limits("noisy.neighbour_with-a-name-of-the-longest-kind.0123456789-0123"),
    ...counts(600, 0.3, { in_use: 1, waiting: 12, refused: 7, timed_out: 2 }),
    longest_wait_ms: 61_000,
  },
  { ...limits("idle"), ...counts(0, 0, { longest_wait_ms: 0 }) },
];
const OTHERS = { tenants: 4_321, ...counts(200, 0.1) };

/** Opens the page with these tenants in place of what the gateway tells. */
async function show(tenants, others, options) {
  shown = await open(browser, gateway.url, options);
  await shown.page.route("**/stats", async (route) => {
    const stats = await (await route.fetch()).json();
    stats.tenants.providers.sim = { tenants, others };
    await route.fulfill({ json: stats });
  });
  await shown.page.locator(".tenants tbody").filter({ hasText: "noisy" }).waitFor();
  return shown.page;
}

test("each tenant has a row with its share and its waits, and the others have one", async () => {
  const page = await show(TENANTS, OTHERS);
  const table = page.getByRole("table", { name: "4,324 tenants" });
  const rows = await table.locator("tbody tr").evaluateAll((all) =>
    all.map((row) => [...row.children].map((cell) => cell.textContent.trim())));
  assert.deepEqual(rows, [
    ["acme weight 3", "60 %", "3 of 3", "0", "10 ms", "40 ms", "1,200", "0"],
    [TENANTS[1].id, "30 %", "1", "12", "10 ms", "1 min 01 s", "600", "9"],
    ["idle", "0 %", "0", "0", "–", "0 ms", "0", "0"],
    ["4,321 others", "10 %", "0", "0", "10 ms", "40 ms", "200", "0"],
  ]);
  const bars = table.locator(".share-bar b");
  // They grow to their widths.
  await eventually(5_000, "the bars have their widths", async () => {
    const widths = await bars.evaluateAll((all) =>
      all.map((bar) => bar.getBoundingClientRect().width / bar.parentElement.clientWidth));
    return widths.map((width) => width.toFixed(2)).join() === "0.60,0.30,0.00,0.10";
  });
});

test("where all have a row there is none for others", async () => {
  const page = await show(TENANTS, { ...OTHERS, tenants: 0 });
  const table = page.getByRole("table", { name: "3 tenants" });
  assert.equal(await table.locator("tbody").count(), 3);
});

test("a burst is sent for the tenant that is told, and refused without one", async () => {
  shown = await open(browser, gateway.url);
  const { page } = shown;
  await sendBurst(page, 3);
  await page.getByText("It was not sent: the request tells no tenant").waitFor();
  await page.getByLabel("Tenant", { exact: true }).fill("acme");
  await sendBurst(page, 12);
  await page.getByText("All 12 requests completed").waitFor({ timeout: 30_000 });
  await page.getByLabel("Tenant", { exact: true }).fill("visitor");
  await sendBurst(page, 4);
  await page.getByText("All 4 requests completed").waitFor({ timeout: 30_000 });
  const row = (name) => page.locator(".tenants tbody").filter({ hasText: name });
  await row("acme").getByText("75 %").waitFor();
  await row("visitor").getByText("25 %").waitFor();
  assert.equal(await row("acme").locator('[data-label="Served"]').textContent(), "12");
  await page.getByLabel("Tenant", { exact: true }).fill("a'b");
  await sendBurst(page, 1);
  await page.getByText("It was not sent: no tenant can have this id: it has a char").waitFor();
  await page.getByLabel("Tenant", { exact: true }).fill("\u0436");
  await sendBurst(page, 1);
  await page.getByText("this id: it has a character at 0 that none has").waitFor();
  const errors = shown.seen.errors.filter((text) => !/status of 40[03]/.test(text));
  assert.deepEqual(errors, []);
});

test("a tenant in the path is in the addresses, and a key is not shown", async () => {
  const byPath = await startGateway({ simulator: SIMULATOR, tenants: { by: "path" } });
  const sha = "ab".repeat(32);
  const byKey = await startGateway({
    simulator: SIMULATOR, tenants: { by: "key", named: { acme: { key_sha256: sha } } },
  });
  try {
    shown = await open(browser, byPath.url);
    const { page } = shown;
    await page.getByText(`${byPath.url}/t/TENANT/sim/v1`).waitFor();
    await page.getByLabel("Tenant", { exact: true }).fill("visitor");
    await sendBurst(page, 2);
    await page.getByText("All 2 requests completed").waitFor({ timeout: 30_000 });
    await page.getByText("What is sent").click();
    await page.getByText("POST /t/visitor/sim/v1/chat/completions").waitFor();
    // In a path it would be a step up, to a burst of nobody's.
    await page.getByLabel("Tenant", { exact: true }).fill("..");
    await sendBurst(page, 1);
    await page.getByText("It was not sent: no tenant can have this id: it begins").waitFor();
    await shown.close();
    shown = await open(browser, byKey.url);
    const field = shown.page.getByLabel("Key of the tenant");
    assert.equal(await field.getAttribute("type"), "password");
    await field.fill("tk-edgepool-test-nobody");
    await sendBurst(shown.page, 1);
    await shown.page.getByText("It was not sent: the key is no tenant's").waitFor();
    await field.fill("tk-edgepool-test-\u0436");
    await sendBurst(shown.page, 1);
    await shown.page.getByText("It was not sent: a key has ASCII characters alone").waitFor();
    assert.doesNotMatch(await shown.page.content(), /tk-edgepool-test-nobody|abababab/);
  } finally {
    await byPath.stop();
    await byKey.stop();
  }
});

for (const [name, width] of [["desktop", 1_360], ["phone", 390], ["narrow", 320]]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`at ${width} px in ${colorScheme} it fits, and a picture is made`, async () => {
      const viewport = { width, height: 900 };
      const page = await show(TENANTS, OTHERS, { viewport, colorScheme });
      const wide = () => document.documentElement.scrollWidth > innerWidth;
      assert.equal(await page.evaluate(wide), false);
      const path = join(SHOTS, `tenants-${name}-${colorScheme}.png`);
      await page.screenshot({ path, fullPage: true });
    });
  }
}
