/** From two looks at an engine's counters to what is shown of a VM's protection. Pure. */

import type { Status } from "../../../ffi/status.ts";
import type { VmSample } from "../../model/vm.ts";

/** One look. */
export interface Look {
  /** A clock that never goes back, ms. */
  at_ms: number;
  engine: Status;
}

/** A counter's growth per second; null: it began anew, or nothing went by. */
function rate(before: number, after: number, seconds: number): number | null {
  return seconds <= 0 || after < before ? null : (after - before) / seconds;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function megabits(bytes_per_s: number | null): number | null {
  return bytes_per_s === null ? null : bytes_per_s * 8 / 1e6;
}

/** A measurement between two looks; `t_ms`: Unix time of the later one. */
export function sampleOf(before: Look, after: Look, t_ms: number): VmSample {
  const { engine: one } = before;
  const { engine: two } = after;
  const seconds = (after.at_ms - before.at_ms) / 1000;
  const checkpoints = two.checkpoints - one.checkpoints;
  const pages = two.dirty_pages - one.dirty_pages;
  const bytes = two.page_bytes - one.page_bytes;
  const anew = checkpoints < 0 || pages < 0 || bytes < 0;
  const some = !anew && checkpoints > 0;
  return {
    t_ms,
    checkpoints_per_s: rate(one.checkpoints, two.checkpoints, seconds),
    pause_us: some ? two.pause_us_p50 : null,
    pause_p99_us: some ? two.pause_us_p99 : null,
    latency_us: some ? two.commit_us_p50 : null,
    latency_p99_us: some ? two.commit_us_p99 : null,
    out_mbit: megabits(rate(sum(one.link_bytes_out), sum(two.link_bytes_out), seconds)),
    dirty_pages: some ? pages / checkpoints : null,
    page_bytes: !anew && pages > 0 ? bytes / pages : null,
  };
}

/** Each replication line. */
export function linesOf(before: Look | null, after: Look) {
  const { engine: two } = after;
  return two.link_up.map((up, index) => {
    const of = (field: "link_bytes_in" | "link_bytes_out") =>
      before === null ? null : megabits(rate(
        before.engine[field][index] ?? 0,
        two[field][index] ?? 0,
        (after.at_ms - before.at_ms) / 1000,
      ));
    return { up: up !== 0, out_mbit: of("link_bytes_out"), in_mbit: of("link_bytes_in") };
  });
}
