/** CLOCK_MONOTONIC in JavaScript, so that the lab's times compare with those of the engine, of QEMU and of other processes. */

import { EdgeError } from "../errors.ts";

/** Microseconds of CLOCK_MONOTONIC. */
export type MonotonicClock = () => number;

const READINGS = 8;

/** A clock whose zero is the kernel's. `performance.now()` runs at the same rate but begins with the process, and no
 * standard call tells by how much: the kernel's own list of timers says "now at N nsecs" (root reads it). */
export function monotonicClock(): MonotonicClock {
  let offset_us = 0;
  let best_us = Infinity;
  const text = new Uint8Array(256);
  for (let i = 0; i < READINGS; i++) {
    const before_us = performance.now() * 1000;
    const kernel_us = readKernelTime(text);
    const took_us = performance.now() * 1000 - before_us;
    if (took_us >= best_us) continue;
    best_us = took_us;
    offset_us = kernel_us - before_us - took_us / 2;
  }
  return () => Math.round(performance.now() * 1000 + offset_us);
}

function readKernelTime(text: Uint8Array): number {
  try {
    using file = Deno.openSync("/proc/timer_list");
    const length = file.readSync(text) ?? 0;
    const found = /now at (\d+)\d{3} nsecs/.exec(new TextDecoder().decode(text.subarray(0, length)));
    if (found?.[1] !== undefined) return Number(found[1]);
    throw new Error("its first lines have no time");
  } catch (cause) {
    throw new EdgeError("cannot read the kernel's clock from /proc/timer_list", {
      op: "read the clock",
      hint: "Run this as root.",
      cause,
    });
  }
}

/** What must be taken from the wall clock's time to get CLOCK_MONOTONIC, now; microseconds. It changes when the wall clock is set. */
export function wallAhead_us(): number {
  const text = Deno.readTextFileSync("/proc/timer_list");
  const found = /clock 1:\s+\.base:.*\s+\.index:.*\s+\.resolution:.*\s.*\s+\.offset:\s+(\d+)\d{3} nsecs/.exec(
    text,
  );
  if (found?.[1] !== undefined) return Number(found[1]);
  throw new EdgeError("cannot read the wall clock's offset from /proc/timer_list", {
    op: "read the clock",
    hint: "Run this as root, on a kernel with high-resolution timers.",
  });
}
