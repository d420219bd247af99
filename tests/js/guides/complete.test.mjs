// The pages leave nothing out: each option, error, event and statistic of the package is in them.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

import { ROOT } from "../lib/process.mjs";

const built = process.env.EDGEPOOL_PACKAGE ?? join(ROOT, "target/npm/package");
const { Pool } = await import(pathToFileURL(join(built, "dist/index.js")));
const { TenantPools } = await import(pathToFileURL(join(built, "dist/tenants-index.js")));
const page = (name) => readFileSync(join(ROOT, "crates/edgepool-wasm/ts", name), "utf8");
const types = (name) => readFileSync(join(built, "dist", `${name}.d.ts`), "utf8");

/** Lists the names in the first column of every table of a page, with the second column. */
function tableRows(text) {
  const rows = new Map();
  for (const [, names, second] of text.matchAll(/^\| (`[^|]*) \|([^|]*)\|/gm)) {
    for (const [, name] of names.matchAll(/`(\w+)[^`]*`/g)) rows.set(name, second.trim());
  }
  return rows;
}

function missing(wanted, there) {
  assert.ok(wanted.length > 0, "there is something to look for");
  return wanted.filter((name) => !there.has(name));
}

/** Lists the options, as the class itself names them. */
function optionNames(Class = Pool) {
  try {
    new Class({ noSuchOption: true });
  } catch (error) {
    return error.message.split("it takes ")[1].split(", ");
  }
  throw new Error("the pool takes an option that it does not have");
}

test("every guide is linked from the front pages, and stands beside the reference", () => {
  const folder = "crates/edgepool-wasm/ts/docs";
  const guides = readdirSync(join(ROOT, folder)).filter((name) => name.endsWith(".md"));
  const { projectDocuments } = JSON.parse(page("typedoc.json"));
  const beside = guides.map((name) => `docs/${name}`);
  assert.deepEqual([...projectDocuments].sort(), beside.sort());
  const fronts = [page("README.md"), readFileSync(join(ROOT, "README.md"), "utf8")];
  const unlinked = (text) => guides.filter((name) => !text.includes(`docs/${name}`));
  assert.deepEqual(fronts.map(unlinked), [[], []]);
});

test("the front page has every option", () => {
  assert.deepEqual(missing(optionNames(), tableRows(page("README.md"))), []);
});

test("the page on tenants has every option that is not a pool's", () => {
  const options = optionNames(TenantPools);
  const rows = tableRows(page("docs/tenants.md"));
  const ofPools = tableRows(page("README.md"));
  for (const name of ["setAlarm", "create", "idleTimeout", "observer"]) ofPools.delete(name);
  assert.deepEqual(missing(options, new Map([...ofPools, ...rows])), []);
  const [, states] = /type TenantState = ([^;]+);/.exec(types("tenant-member"));
  const words = [...states.matchAll(/"([\w-]+)"/g)].map(([, word]) => word);
  const text = page("docs/tenants.md");
  assert.deepEqual(words.filter((word) => !text.includes(`| \`${word}\` |`)), []);
  const methods = [...types("tenants").matchAll(/^    (\w+)\(id\??:/gm)].map(([, name]) => name);
  assert.ok(methods.length >= 7, `there are ${methods}`);
  assert.deepEqual(methods.filter((name) => !text.includes(`${name}(`)), []);
});

test("the front page has the defaults that the types tell", () => {
  const rows = tableRows(page("README.md"));
  const found = types("settings").matchAll(/\/\*\*((?:(?!\*\/)[^])*)\*\/\s+(\w+)\?:/g);
  let compared = 0;
  for (const [, comment, name] of found) {
    const told = /Default `?([\d,.]+\d|\d|true|false)/.exec(comment.replace(/\s+\*?\s*/g, " "));
    if (told === null || !rows.has(name)) continue;
    compared += 1;
    const defaults = rows.get(name).replace(/[`_]/g, "").split(", ").map((one) => one.trim());
    // Two options that share a row have the same default, or one each.
    const text = rows.get(name).replace(/`/g, "");
    assert.ok(
      text.startsWith(told[1]) || defaults.includes(told[1]),
      `${name}: the types say ${told[1]}, the page says ${text}`,
    );
  }
  assert.ok(compared >= 20, `${compared} defaults were compared`);
});

test("the pages have every code of an error", () => {
  const [, list] = /type PoolErrorCode = ([^;]+);/.exec(types("errors"));
  const codes = [...list.matchAll(/"(\w+)"/g)].map(([, code]) => code);
  const there = new Map([...tableRows(page("docs/errors.md")), ...tableRows(page("docs/sdks.md"))]);
  assert.deepEqual(missing(codes, there), []);
  const names = [...tableRows(page("docs/errors.md")).keys()];
  const ofPools = names.filter((name) => codes.includes(name));
  assert.deepEqual(missing(ofPools, tableRows(page("README.md"))), [], "on the front page too");
});

test("the page on observing has every event and every reason to leave", () => {
  const text = page("docs/observing.md");
  const events = [...types("events").matchAll(/type: "(\w+)";/g)].map(([, type]) => type);
  assert.deepEqual(missing(events, tableRows(text)), []);
  const [, list] = /type LeaveReason = ([^;]+);/.exec(types("events"));
  const reasons = [...list.matchAll(/"(\w+)"/g)].map(([, reason]) => reason);
  assert.deepEqual(reasons.filter((reason) => !text.includes(`\`${reason}\``)), []);
});

test("the page on observing has every statistic", async () => {
  const pool = new Pool({ create: () => ({}) });
  const names = Object.keys(pool.stats());
  await pool.close();
  const text = page("docs/observing.md");
  assert.deepEqual(names.filter((name) => !text.includes(`\`${name}\``)), []);
});
