import assert from "node:assert/strict";
import type { VmSample } from "../../lib/model/vm.ts";
import { Keeper } from "../../lib/observe/keeper.ts";
import { thinned, together } from "../../lib/observe/thinning.ts";
import { Place, sampleAt } from "./kit.ts";

const NOW = Date.parse("2026-03-01T12:00:00Z");
const DAY = 86_400_000;
const gap = (sample: VmSample) =>
  Object.entries(sample).every(([key, value]) => key === "t_ms" || value === null);

Deno.test("several samples become one: medians of what is usual, the worst of the worst, means of what adds up, nulls left out", () => {
  const made = together([sampleAt(1, 1), sampleAt(2, null), sampleAt(3, 2), sampleAt(4, 9)], 0);
  assert.deepEqual(made, {
    ...sampleAt(0, 4),
    ...{ pause_us: 2, pause_p99_us: 9, latency_us: 2, latency_p99_us: 9 },
  });
  assert.deepEqual(together([sampleAt(1, null)], 7), sampleAt(7, null));
});

Deno.test("seconds are kept as they are for ten minutes, and a gap stays a gap", () => {
  using place = new Place();
  using keeper = new Keeper({ path: place.file, node: "n" });
  for (let s = 0; s < 600; s++) {
    // A little late, as timers are; nothing for a minute.
    if (s < 200 || s >= 260) keeper.sample("press-1", sampleAt(NOW + s * 1000 + (s % 7) * 40, s));
  }
  const all = keeper.history("press-1", { from_ms: NOW, to_ms: NOW + 600_000, points: 1000 });
  assert.equal(all.length, 541);
  const gaps = all.filter(gap);
  assert.equal(gaps.length, 1);
  assert.ok(gaps[0]!.t_ms > NOW + 200_000 && gaps[0]!.t_ms < NOW + 260_000);
  assert.equal(all[10]!.pause_us, 10);
  const few = keeper.history("press-1", { from_ms: NOW, to_ms: NOW + 600_000, points: 60 });
  assert.ok(few.length <= 60 && few.length >= 30, `${few.length}`);
  assert.equal(few.filter(gap).length, 1);
  assert.ok(few.every((sample, i) => i === 0 || sample.t_ms > few[i - 1]!.t_ms));
  assert.equal(Math.max(...few.map(({ pause_p99_us }) => pause_p99_us ?? 0)), 599, "the worst is still seen");
  assert.deepEqual(keeper.history("other", { from_ms: NOW, to_ms: NOW + 1, points: 10 }), []);
});

/** Samples as seldom as they may be for what is looked at: less work than each second. */
function long(keeper: Keeper, from: number, to: number, each_ms = 10_000): void {
  for (let t = from; t < to; t += each_ms) keeper.sample("press-1", sampleAt(t, (t - NOW) / 10_000));
}

Deno.test("a day is there in steps of ten seconds and nine days in steps of five minutes, over a restart, and no more than that", () => {
  using place = new Place();
  {
    using keeper = new Keeper({ path: place.file, node: "n" });
    long(keeper, NOW, NOW + 6 * DAY, 60_000);
  }
  using keeper = new Keeper({ path: place.file, node: "n" });
  const end = NOW + 11 * DAY;
  long(keeper, NOW + 6 * DAY, end - 1.1 * DAY, 60_000);
  long(keeper, end - 1.1 * DAY, end);
  const week = keeper.history("press-1", { from_ms: end - 7 * DAY, to_ms: end, points: 2016 });
  assert.ok(week.length > 2000, `${week.length}`);
  assert.deepEqual(week.filter(gap), [], "the restart left no gap");
  const day = keeper.history("press-1", { from_ms: end - DAY, to_ms: end, points: 10_000 });
  assert.ok(day.length >= 8640 - 1, `${day.length}`);
  const hour = keeper.history("press-1", {
    from_ms: end - 6 * DAY,
    to_ms: end - 6 * DAY + 3_600_000,
    points: 500,
  });
  assert.ok(hour.length >= 11 && hour.length <= 13, `${hour.length} points of five minutes`);
  assert.deepEqual(hour.filter(gap), []);
  const all = keeper.history("press-1", { from_ms: 0, to_ms: end, points: 100_000 });
  assert.ok(all.length < 9_000 * 1.02 + 2_700 * 1.02, `${all.length} in all`);
  const old = keeper.history("press-1", { from_ms: NOW, to_ms: NOW + DAY, points: 500 });
  assert.deepEqual(old, [], "what is too old is gone");
});

Deno.test("a clock that jumps ahead and back destroys nothing, and what is measured again counts", () => {
  using place = new Place();
  const range = { from_ms: NOW, to_ms: NOW + DAY / 2, points: 5000 };
  {
    using keeper = new Keeper({ path: place.file, node: "n" });
    long(keeper, NOW, NOW + DAY / 4);
    long(keeper, NOW + 900 * DAY, NOW + 900 * DAY + 600_000);
    for (let t = NOW + DAY / 4 - 600_000; t < NOW + DAY / 2; t += 10_000) {
      keeper.sample("press-1", sampleAt(t, 5));
    }
    assert.equal(keeper.history("press-1", range).filter((sample) => !gap(sample)).length, DAY / 2 / 10_000);
  }
  using keeper = new Keeper({ path: place.file, node: "n" });
  const seen = keeper.history("press-1", range);
  assert.equal(seen.filter(gap).length, 0);
  assert.equal(seen.length, DAY / 2 / 10_000);
  assert.equal(seen[0]!.pause_us, 0);
  const again = seen.filter(({ t_ms }) => t_ms >= NOW + DAY / 4 - 600_000);
  assert.ok(again.every(({ pause_us }) => pause_us === 5), "the later measurement stands");
  const ahead = keeper.history("press-1", {
    from_ms: NOW + 900 * DAY,
    to_ms: NOW + 901 * DAY,
    points: 100,
  });
  assert.equal(ahead.length > 0, true);
});

Deno.test("the number of VMs with samples is bounded, and the one silent longest makes room", () => {
  using place = new Place();
  using keeper = new Keeper({ path: place.file, node: "n" });
  for (let vm = 0; vm < 70; vm++) {
    for (let i = 0; i < 3; i++) keeper.sample(`vm-${vm}`, sampleAt(NOW + i * 10_000));
    if (vm > 0) keeper.sample("vm-0", sampleAt(NOW + vm * 10_000));
  }
  const has = (vm: string) => keeper.history(vm, { from_ms: 0, to_ms: NOW + DAY, points: 100 }).length > 0;
  assert.deepEqual(["vm-0", "vm-1", "vm-6", "vm-7", "vm-69"].map(has), [true, false, false, true, true]);
});

Deno.test("a graph never gets more points than it asked for, however many gaps there are", () => {
  const stretches = Array.from({ length: 500 }, (_, i) => ({ sample: sampleAt(i * 100_000), step_s: 1 }));
  for (const points of [1, 2, 7, 100, 499, 500, 700, 2000]) {
    const made = thinned(stretches, { from_ms: 0, to_ms: 50_000_000, points });
    assert.ok(made.length <= points, `${made.length} of ${points}`);
    assert.ok(made.some((sample) => !gap(sample)));
  }
});
