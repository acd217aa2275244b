/** Many schedules on all cores: each worker takes the next range of seeds when it has done one. */

import { addCounts, type Counts } from "./coverage.ts";
import type { ArbiterName } from "./schedule.ts";

/** A range of seeds, as a worker gets it. */
export interface Task {
  from: number;
  count: number;
  arbiter: ArbiterName | undefined;
  /** Name of a mutation. */
  mutation: string | undefined;
}

/** What a worker found. */
export interface Result {
  counts: Counts;
  releases: number;
  failed: { seed: number; violation: string }[];
}

export interface PoolOptions {
  from: number;
  /** How many seeds; Infinity with `untilMs`. */
  count: number;
  /** When to stop, by performance.now(). */
  untilMs?: number;
  arbiter?: ArbiterName | undefined;
  mutation?: string | undefined;
  workers?: number;
  onProgress?: (done: number) => void;
}

export interface Summary extends Result {
  schedules: number;
  seconds: number;
}

const RANGE = 250;

/** Runs the seeds; ends early at the first range that has a failure. */
export async function runSeeds(options: PoolOptions): Promise<Summary> {
  const { from, count, untilMs = Infinity, arbiter, mutation } = options;
  const began = performance.now();
  const workers = options.workers ?? navigator.hardwareConcurrency;
  const summary: Summary = {
    counts: { pairs: {}, changes: {} },
    releases: 0,
    failed: [],
    schedules: 0,
    seconds: 0,
  };
  let next = from;
  const take = (): Task | null => {
    const left = from + count - next;
    if (left <= 0 || summary.failed.length > 0 || performance.now() > untilMs) return null;
    const task = { from: next, count: Math.min(RANGE, left), arbiter, mutation };
    next += task.count;
    return task;
  };
  const one = async () => {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    try {
      for (let task = take(); task !== null; task = take()) {
        const result = await ask(worker, task);
        addCounts(summary.counts, result.counts);
        summary.releases += result.releases;
        summary.failed.push(...result.failed);
        summary.schedules += task.count;
        options.onProgress?.(summary.schedules);
      }
    } finally {
      worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: workers }, one));
  summary.failed.sort((a, b) => a.seed - b.seed);
  summary.seconds = (performance.now() - began) / 1000;
  return summary;
}

function ask(worker: Worker, task: Task): Promise<Result> {
  return new Promise((resolve, reject) => {
    worker.onmessage = (event: MessageEvent<Result>) => resolve(event.data);
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(`A simulation ended: ${event.message}`));
    };
    worker.postMessage(task);
  });
}
