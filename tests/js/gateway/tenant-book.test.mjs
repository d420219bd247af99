// What /stats and /metrics make of the client pool's statistics of tenants: counters that never run
// backwards, whoever is told of by name.

import assert from "node:assert/strict";
import { before, test } from "node:test";

import parsePrometheus from "parse-prometheus-text-format";

import { importSource } from "../lib/gateway-source.mjs";
import { Rng } from "../sim/lib/rng.mjs";

const COUNTERS = [
  "acquired", "released", "timedOut", "cancelled", "failed", "refused", "ended", "totalWait",
];
let TenantBook, tenantMetrics;

before(async () => {
  ({ TenantBook } = await importSource("tenant-book.ts"));
  ({ tenantMetrics } = await importSource("tenant-metrics.ts"));
});

const none = () => ({
  inUse: 0, waiting: 0, longestWait: 0, ...Object.fromEntries(COUNTERS.map((name) => [name, 0])),
});

/** A client pool as far as it tells of tenants. */
class Told {
  constructor(named, top) {
    this.top = top;
    this.tenants = new Map();
    this.total = none();
    for (const id of named) this.#open(id, 0, true);
  }

  #open(id, now, isNamed) {
    const share = { weight: 1, max: Infinity, maxWaiting: Infinity };
    this.tenants.set(id, { id, isNamed, share, openedAt: now, ...none() });
  }

  count(id, now, counts) {
    if (!this.tenants.has(id)) this.#open(id, now, false);
    for (const [name, more] of Object.entries(counts)) {
      this.tenants.get(id)[name] += more;
      this.total[name] += more;
    }
  }

  /** Forgets a tenant that is not named; its counts stay in the total. */
  forget(id) {
    if (this.tenants.get(id)?.isNamed === false) this.tenants.delete(id);
  }

  tell() {
    const all = [...this.tenants.values()];
    const others = all.filter(({ isNamed }) => !isNamed);
    others.sort((one, other) => other.acquired - one.acquired);
    const rest = { tenants: 0, ...none() };
    for (const tenant of others.slice(this.top)) {
      rest.tenants += 1;
      for (const name of Object.keys(none())) rest[name] += tenant[name];
    }
    const tenants = [...all.filter(({ isNamed }) => isNamed), ...others.slice(0, this.top)];
    return structuredClone({ tenants, rest, total: this.total });
  }
}

const acquiredOf = ({ tenants }) =>
  Object.fromEntries(tenants.map(({ id, acquired }) => [id, acquired]));

test("what was counted among the others stays there when a tenant comes to be named", () => {
  const told = new Told(["acme"], 1);
  const book = new TenantBook();
  told.count("loud", 1, { acquired: 50 });
  told.count("quiet", 2, { acquired: 3 });
  let read = book.read(told.tell(), 10);
  assert.deepEqual(acquiredOf(read), { acme: 0, loud: 50 }, "all of it is since nobody has read");
  assert.deepEqual([read.others.acquired, read.others.tenants], [3, 1]);

  told.count("quiet", 11, { acquired: 60 });
  told.count("acme", 11, { acquired: 2 });
  read = book.read(told.tell(), 20);
  assert.deepEqual(acquiredOf(read), { acme: 2, quiet: 0 });
  assert.equal(read.others.acquired, 63, "it was among the others when it was served");

  told.count("quiet", 21, { acquired: 5 });
  told.count("loud", 21, { acquired: 1 });
  read = book.read(told.tell(), 30);
  assert.deepEqual([acquiredOf(read), read.others.acquired], [{ acme: 2, quiet: 5 }, 64]);

  told.count("loud", 31, { acquired: 100 });
  read = book.read(told.tell(), 40);
  assert.deepEqual(acquiredOf(read), { acme: 2, loud: 50 }, "it goes on where it was");
  assert.equal(read.others.acquired, 164);
});

test("a tenant that was forgotten and is opened again goes on where it was", () => {
  const told = new Told([], 2);
  const book = new TenantBook();
  told.count("a", 1, { acquired: 7 });
  assert.deepEqual(acquiredOf(book.read(told.tell(), 10)), { a: 7 });
  told.forget("a");
  const { tenants, others } = book.read(told.tell(), 20);
  assert.deepEqual([tenants, others.acquired], [[], 0]);
  told.count("a", 21, { acquired: 2 });
  assert.deepEqual(acquiredOf(book.read(told.tell(), 30)), { a: 9 });
  told.forget("a");
  told.count("a", 31, { acquired: 20 });
  assert.deepEqual(acquiredOf(book.read(told.tell(), 40)), { a: 29 }, "between two readings too");
});

test("what was told is not told again while a clock that was set back catches up", () => {
  const told = new Told(["acme"], 2);
  const book = new TenantBook();
  told.count("acme", 90, { acquired: 1 });
  told.count("a", 90, { acquired: 7 });
  book.read(told.tell(), 100);
  told.count("b", 60, { acquired: 5 });
  book.read(told.tell(), 50);
  for (const now of [60, 61, 99]) {
    const read = book.read(told.tell(), now);
    // Nobody can tell that "b" was opened since: what it had then is among the others.
    assert.deepEqual([acquiredOf(read), read.others.acquired], [{ acme: 1, a: 7, b: 0 }, 5]);
  }
  told.count("b", 99, { acquired: 2 });
  told.count("c", 99, { acquired: 1 });
  const read = book.read(told.tell(), 110);
  assert.deepEqual([acquiredOf(read), read.others.acquired], [{ acme: 1, a: 7, b: 2 }, 6]);
});

for (const seed of [1, 2, 3, 4, 5]) {
  test(`no counter runs backwards, and together they are what was counted: seed ${seed}`, () => {
    const rng = new Rng(seed);
    const told = new Told(["acme", "b"], 3);
    const book = new TenantBook();
    const last = new Map();
    for (let now = 1; now < 4_000; now += 1) {
      const id = ["acme", "b", "c", "d", "e", "f", "g", "h", "i"][rng.below(9)];
      if (rng.below(20) === 0) told.forget(id);
      else told.count(id, now, { [COUNTERS[rng.below(8)]]: rng.below(40), acquired: 1 });
      if (rng.below(10) > 0) continue;
      const { tenants, others } = book.read(told.tell(), now);
      for (const one of [...tenants, { id: "the others", ...others }]) {
        const then = last.get(one.id) ?? one;
        for (const name of ["acquired", "released", "timed_out", "refused", "total_wait_ms"]) {
          assert.ok(one[name] >= then[name], `${one.id}: ${name} ${then[name]} -> ${one[name]}`);
        }
        last.set(one.id, one);
      }
      const sum = [...last.values()].reduce((all, { acquired }) => all + acquired, 0);
      assert.equal(sum, told.total.acquired);
    }
    assert.ok(last.size > 6, "who was shown has changed");
  });
}

test("what is remembered of those that are shown no more is bounded", () => {
  const told = new Told([], 1);
  const book = new TenantBook();
  for (let at = 1; at <= 3_000; at += 1) {
    told.count(`t${at}`, at, { acquired: at });
    assert.deepEqual(acquiredOf(book.read(told.tell(), at)), { [`t${at}`]: at });
    told.forget(`t${at}`);
  }
  assert.equal(book.entries.size, 1_001);
});

test("a share is that of the last ten seconds, and of nothing before the first reading", () => {
  const told = new Told(["acme"], 1);
  const book = new TenantBook();
  told.count("acme", 0, { acquired: 1_000 });
  const recent = (now) => {
    const { tenants, others } = book.read(told.tell(), now);
    return [...tenants, others].map(({ recent: { share } }) => share);
  };
  assert.deepEqual(recent(1_000), [null, null]);
  told.count("acme", 1_500, { acquired: 3, totalWait: 12 });
  told.count("b", 1_500, { acquired: 1 });
  assert.deepEqual(recent(2_000), [0.75, 0.25, 0]);
  assert.equal(book.read(told.tell(), 2_001).tenants[0].recent.mean_wait_ms, 4);
  assert.deepEqual(recent(11_999), [0.75, 0.25, 0]);
  assert.deepEqual(recent(12_000), [null, null, null]);
  told.count("acme", 12_001, { acquired: 3 });
  assert.deepEqual(recent(30_000), [null, null, null], "who knows when in 18 s that was");
});

test("the metrics have a label for each tenant that has a name there, and one for the rest", () => {
  const told = new Told(["acme"], 1);
  const book = new TenantBook();
  told.count("acme", 1, { acquired: 2, inUse: 1, totalWait: 1_500, timedOut: 1 });
  told.count("big", 1, { acquired: 9, waiting: 4 });
  for (const id of ["x", "y", "z"]) told.count(id, 1, { acquired: 1, refused: 2 });
  const providers = { one: book.read(told.tell(), 5) };
  const text = tenantMetrics({ by: "key", rejections: { unknown_key: 3 }, providers });
  const families = parsePrometheus(`${text.join("\n")}\n`);
  const values = (name) => Object.fromEntries(families.find((f) => f.name === name).metrics
    .map(({ labels, value }) => [labels.tenant ?? labels.provider, Number(value)]));
  assert.deepEqual(values("edgepool_tenant_acquired_total"), { acme: 2, big: 9, _others: 3 });
  assert.deepEqual(values("edgepool_tenant_refused_total"), { acme: 0, big: 0, _others: 6 });
  assert.deepEqual(values("edgepool_tenant_timeouts_total"), { acme: 1, big: 0, _others: 0 });
  assert.deepEqual(values("edgepool_tenant_in_use"), { acme: 1, big: 0, _others: 0 });
  assert.deepEqual(values("edgepool_tenant_waiting"), { acme: 0, big: 4, _others: 0 });
  assert.equal(values("edgepool_tenant_wait_seconds_total").acme, 1.5);
  assert.deepEqual(values("edgepool_tenants"), { one: 5 });
});
