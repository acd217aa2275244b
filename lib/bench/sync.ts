/** The first sync: everything that is not zero goes over once, while the guest runs. */

import { type Bed, type Setting, withBed } from "./bed.ts";
import type { Figure } from "./figures.ts";
import { guestMemory, nonZeroBytes } from "./guest_memory.ts";
import { median } from "./statistics.ts";

const PART = "sync";
/** What TCP carries over 1 Gbit/s of Ethernet: 1,448 of each 1,538 bytes. */
const LINE_MB_S = 125 * 1448 / 1538;

interface Sync {
  seconds: number;
  line_bytes: number;
  /** Bytes of memory that are not zero. */
  held_bytes: number;
  rounds: number;
}

export async function syncPart(setting: Setting): Promise<void> {
  const syncs: Sync[] = [];
  for (let i = 0; i < (setting.quick ? 1 : 3); i++) {
    setting.say(`sync: first sync of ${setting.memory} MiB, number ${i + 1}`);
    await withBed({ ...setting, bed: {} }, async (bed) => syncs.push(await firstSync(bed)));
  }
  const of = (pick: (sync: Sync) => number) => median(syncs.map(pick));
  const held_mb = of(({ held_bytes }) => held_bytes) / 1e6;
  const figure = (rest: Pick<Figure, "what" | "measured" | "unit"> & Partial<Figure>): Figure => ({
    part: PART,
    samples: syncs.length,
    ...rest,
  });
  setting.report(figure({
    what: `${setting.memory} MiB, what is not zero`,
    measured: of(({ held_bytes, seconds }) => held_bytes / 1e6 / seconds),
    unit: "MB/s",
    reach: { least: LINE_MB_S },
    note: `${held_mb.toFixed(0)} MB of memory are not zero; the line carries ${LINE_MB_S.toFixed(0)} MB/s`,
    data: { syncs },
  }));
  setting.report(figure({
    what: `${setting.memory} MiB, from the order to the first commit`,
    measured: of(({ seconds }) => seconds),
    unit: "s",
    note: `${median(syncs.map(({ rounds }) => rounds))} rounds`,
  }));
  setting.report(figure({
    what: "bytes on the lines, both ways",
    measured: of(({ line_bytes }) => line_bytes) / 1e6,
    unit: "MB",
    note: `${of(({ line_bytes, seconds }) => line_bytes / 1e6 / seconds).toFixed(1)} MB/s of the line's 125`,
  }));
}

async function firstSync(bed: Bed): Promise<Sync> {
  await bed.alone();
  await bed.guestReady();
  const before = await bed.lineBytes();
  await bed.protect();
  const after = await bed.lineBytes();
  const { events } = bed.pair.runner("a");
  const time = (event: string, to?: string) =>
    Number(events.find((e) => e.event === event && (to === undefined || e["to"] === to))?.["t_us"]);
  const rounds = events.filter((event) => event.event === "sync").map((event) => Number(event["round"]));
  return {
    seconds: (time("protected") - time("state", "syncing")) / 1e6,
    line_bytes: after.bytes - before.bytes,
    held_bytes: await nonZeroBytes(guestMemory(bed)),
    rounds: Math.max(0, ...rounds) + 1,
  };
}
