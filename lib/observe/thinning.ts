/** Samples put together: many into one, and a history into as many points as a graph has room for. Pure. */

import type { VmSample } from "../model/vm.ts";

type Measured = Exclude<keyof VmSample, "t_ms">;

/** How several values become one: the worst of what is bad when great, the mean of what adds up. */
const RULES = {
  checkpoints_per_s: "mean",
  pause_us: "median",
  pause_p99_us: "max",
  latency_us: "median",
  latency_p99_us: "max",
  out_mbit: "mean",
  dirty_pages: "mean",
  page_bytes: "mean",
} as const satisfies Record<Measured, "mean" | "median" | "max">;

/** What is measured, in the order of the table's columns. */
export const MEASURED = Object.keys(RULES) as Measured[];

/** A sample that stands for `step_s` seconds from its time on. */
export interface Stretch {
  sample: VmSample;
  step_s: number;
}

function one(rule: "mean" | "median" | "max", values: readonly number[]): number | null {
  if (values.length === 0) return null;
  if (rule === "max") return values.reduce((a, b) => Math.max(a, b));
  if (rule === "mean") return values.reduce((a, b) => a + b) / values.length;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Several samples as one at `t_ms`; what none of them has is null. */
export function together(samples: readonly VmSample[], t_ms: number): VmSample {
  const made: VmSample = nothingAt(t_ms);
  for (const key of MEASURED) {
    made[key] = one(RULES[key], samples.map((s) => s[key]).filter((value) => value !== null));
  }
  return made;
}

/** Nothing was measured at this time. */
export function nothingAt(t_ms: number): VmSample {
  return {
    t_ms,
    checkpoints_per_s: null,
    pause_us: null,
    pause_p99_us: null,
    latency_us: null,
    latency_p99_us: null,
    out_mbit: null,
    dirty_pages: null,
    page_bytes: null,
  };
}

interface Bucket {
  samples: VmSample[];
  step_s: number;
}

function thinnedTo(
  stretches: readonly Stretch[],
  range: { from_ms: number; to_ms: number; points: number },
): VmSample[] {
  const width_ms = Math.max(1, (range.to_ms - range.from_ms) / range.points);
  const buckets: Bucket[] = [];
  let current = -1;
  for (const { sample, step_s } of stretches) {
    const index = Math.min(range.points - 1, Math.floor((sample.t_ms - range.from_ms) / width_ms));
    if (index !== current) buckets.push({ samples: [], step_s: 0 });
    current = index;
    const bucket = buckets.at(-1)!;
    bucket.samples.push(sample);
    bucket.step_s = Math.max(bucket.step_s, step_s);
  }
  const made: VmSample[] = [];
  let last: { t_ms: number; step_s: number } | null = null;
  for (const { samples, step_s } of buckets) {
    const first_ms = samples[0]!.t_ms;
    // Samples come a little early or late: two that are missing are a gap, one is not.
    const usual_ms = last === null ? 0 : Math.max(2.5 * 1000 * Math.max(step_s, last.step_s), width_ms);
    if (last !== null && first_ms - last.t_ms > usual_ms) {
      made.push(nothingAt(Math.round((last.t_ms + first_ms) / 2)));
    }
    made.push(together(samples, first_ms));
    last = { t_ms: samples.at(-1)!.t_ms, step_s };
  }
  return made;
}

/** At most `points` of them, in order of time; a gap stays one, as a sample of nulls. `stretches` are sorted by time, all in the range. */
export function thinned(
  stretches: readonly Stretch[],
  range: { from_ms: number; to_ms: number; points: number },
): VmSample[] {
  const made = thinnedTo(stretches, range);
  if (made.length <= range.points) return made;
  // Each gap takes a point of its own: with half as many buckets there is room for all of them.
  return thinnedTo(stretches, { ...range, points: Math.max(1, range.points >> 1) }).slice(0, range.points);
}
