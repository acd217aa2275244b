import assert from "node:assert/strict";
import { median, percentile, spread } from "../../lib/bench/statistics.ts";
import { seeded } from "../../lib/lab/random.ts";

Deno.test("percentile() is a sample that was measured: the smallest with that share at or below it", () => {
  const samples = Array.from({ length: 100 }, (_, i) => 100 - i);
  assert.equal(percentile(samples, 0.5), 50);
  assert.equal(percentile(samples, 0.99), 99);
  assert.equal(percentile(samples, 1), 100);
  assert.equal(percentile(samples, 0), 1);
  assert.equal(percentile([7], 0.99), 7);
});

Deno.test("percentile() does not change what it was given, and orders by value, not as text", () => {
  const samples = [10, 9, 100];
  assert.equal(median(samples), 10);
  assert.deepEqual(samples, [10, 9, 100]);
});

Deno.test("no samples have no percentile", () => {
  assert.ok(Number.isNaN(median([])));
  const none = spread([]);
  assert.equal(none.samples, 0);
  assert.ok(Number.isNaN(none.p99));
});

Deno.test("spread() tells how many samples it is of", () => {
  assert.deepEqual(spread([3, 1, 2]), { samples: 3, p50: 2, p99: 3, max: 3 });
});

Deno.test("seeded() repeats itself for a seed, differs for another, and stays in [0, 1)", () => {
  const take = (seed: number) => {
    const random = seeded(seed);
    return Array.from({ length: 1000 }, random);
  };
  const first = take(1);
  assert.deepEqual(take(1), first);
  assert.notDeepEqual(take(2), first);
  assert.ok(first.every((value) => value >= 0 && value < 1));
  assert.ok(new Set(first).size > 990);
  const mean = first.reduce((sum, value) => sum + value, 0) / first.length;
  assert.ok(mean > 0.45 && mean < 0.55, `mean ${mean}`);
});
