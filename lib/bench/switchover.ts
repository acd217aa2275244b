/** Planned moves back and forth: how long the guest stands still, and what a client sees of it. */

import type { Host } from "../lab/places.ts";
import { type Setting, sleep, withBed } from "./bed.ts";
import { spread } from "./statistics.ts";

const PART = "switchover";
const BOUND_MS = 60_000;

export async function switchoverPart(setting: Setting): Promise<void> {
  const times = setting.times ?? (setting.quick ? 10 : 30);
  await withBed({ ...setting, bed: {} }, async (bed) => {
    await bed.alone();
    await bed.guestReady();
    await bed.protect();
    const pauses: number[] = [];
    const gaps: number[] = [];
    await using client = await bed.client({ dirty: 10, write: 0 }, (event) => {
      if (event.event === "gap") gaps.push(event.ms);
    });
    setting.say(`switchover: ${times} moves, one after the other, under load`);
    let from: Host = "a";
    for (let i = 0; i < times; i++) {
      await sleep(500);
      const to: Host = from === "a" ? "b" : "a";
      const [leaves, takes] = [bed.pair.runner(from), bed.pair.runner(to)];
      const [old, before] = [new Set(leaves.events), new Set(takes.events)];
      await leaves.call("switchover");
      const moved = await leaves.event((event) => event.event === "switchover" && !old.has(event), BOUND_MS);
      pauses.push(Number(moved["pause_us"]) / 1000);
      await takes.event((event) => event.event === "protected" && !before.has(event), BOUND_MS);
      from = to;
    }
    const summary = await client.stop();
    const { p50, p99, max, samples } = spread(pauses);
    setting.report({
      part: PART,
      what: "a planned move: the guest stands still, p50",
      measured: p50,
      unit: "ms",
      samples,
      reach: { most: 50 },
      note: `p99 ${p99.toFixed(1)} ms, longest ${max.toFixed(1)}; ` +
        `${summary.lost} of ${summary.acknowledged} counts lost, the connection ${summary.connection}; ` +
        `the client's longest wait ${summary.longest_gap_ms.toFixed(0)} ms`,
      data: { pauses, gaps },
    });
  });
}
