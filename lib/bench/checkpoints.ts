/** Single checkpoints, seen on the status page as they go by: where each one's time went. */

import type { Status } from "../../ffi/status.ts";
import { EdgeError } from "../errors.ts";
import { type Bed, sleep } from "./bed.ts";
import { numberText } from "./figures.ts";
import { median } from "./statistics.ts";

/** One checkpoint; all times in microseconds. */
export interface Checkpoint {
  number: number;
  /** By QEMU's own stamps, from stopped to running again. */
  pause: number;
  /** From the order to the first byte of device state: QEMU takes the command, stops the VM, empties its disks' queues. */
  stop: number;
  scan: number;
  copy: number;
  /** From the copy to the VM running again and the device state read. */
  finish: number;
  encode: number;
  /** From the order to the backup's answer that it holds all of it. */
  commit: number;
  dirty: number;
}

function checkpointOf(status: Status): Checkpoint {
  return {
    number: status.checkpoints,
    pause: status.pause_us_last,
    stop: status.stop_us_last,
    scan: status.scan_us_last,
    copy: status.copy_us_last,
    finish: status.finish_us_last,
    encode: status.encode_us_last,
    commit: status.commit_us_last,
    dirty: status.dirty_pages_last,
  };
}

/** Turns readings of the status page into checkpoints. The page's fields are written one by one, so a checkpoint counts once two
 * readings in a row show it unchanged; none counts twice. */
export class CheckpointReader {
  #seen: Checkpoint | undefined;
  #taken: number | undefined;

  /** The checkpoint that this reading completes. The first one seen is not taken: it may be from before. */
  read(status: Status): Checkpoint | undefined {
    const now = checkpointOf(status);
    const before = this.#seen;
    this.#seen = now;
    this.#taken ??= now.number;
    if (before === undefined || now.number === this.#taken) return undefined;
    for (const key of Object.keys(now) as (keyof Checkpoint)[]) {
      if (now[key] !== before[key]) return undefined;
    }
    this.#taken = now.number;
    return now;
  }
}

/** What is wanted of whom. */
export interface SampleOptions {
  count: number;
  /** Time between readings: at most a third of that between checkpoints. */
  every_ms: number;
  bound_ms: number;
  wanted?: (checkpoint: Checkpoint) => boolean;
}

/** Reads host A's status until there are `count` wanted checkpoints. Throws when the bound passes before. */
export async function sampleCheckpoints(bed: Bed, options: SampleOptions): Promise<Checkpoint[]> {
  const reader = new CheckpointReader();
  const found: Checkpoint[] = [];
  const refused: number[] = [];
  const until = performance.now() + options.bound_ms;
  while (found.length < options.count) {
    if (performance.now() > until) {
      throw new EdgeError(
        `${found.length} of ${options.count} checkpoints in ${options.bound_ms} ms; ${refused.length} others had a median of ${
          median(refused)
        } dirty pages`,
        { op: "sample checkpoints", hint: "Run it again on a machine that has nothing else to do." },
      );
    }
    const checkpoint = reader.read(await bed.status());
    if (checkpoint !== undefined) {
      if (options.wanted?.(checkpoint) ?? true) found.push(checkpoint);
      else refused.push(checkpoint.dirty);
    }
    await sleep(options.every_ms);
  }
  return found;
}

/** A share of the whole, by its median. */
export interface Share {
  name: string;
  us: number;
}

/** Where the time from the order to the guest running again goes. */
export function pauseShares(checkpoints: readonly Checkpoint[]): Share[] {
  return (["stop", "scan", "copy", "finish"] as const).map((name) => ({
    name,
    us: median(checkpoints.map((checkpoint) => checkpoint[name])),
  }));
}

/** Where the time from the order to the commit goes. */
export function commitShares(checkpoints: readonly Checkpoint[]): Share[] {
  const stopped = (c: Checkpoint) => c.stop + c.scan + c.copy + c.finish;
  const of = (pick: (c: Checkpoint) => number) => median(checkpoints.map(pick));
  return [
    { name: "guest stopped", us: of(stopped) },
    { name: "encode", us: of((c) => c.encode) },
    { name: "link and backup", us: of((c) => Math.max(0, c.commit - stopped(c) - c.encode)) },
  ];
}

/** The shares in words, the largest named. */
export function sharesText(shares: readonly Share[]): string {
  const total = shares.reduce((sum, { us }) => sum + us, 0);
  const largest = shares.reduce((most, share) => share.us > most.us ? share : most, { name: "-", us: -1 });
  const parts = shares.map(({ name, us }) => `${name} ${numberText(us / 1000)}`);
  const percent = total > 0 ? Math.round(largest.us / total * 100) : 0;
  return `${parts.join(" + ")} ms; most of it: ${largest.name}, ${percent} %`;
}
