/** What a client feels: checkpoints a second under its load, and what protection adds to each of its requests. */

import type { Status } from "../../ffi/status.ts";
import { LINKS } from "../lab/places.ts";
import type { ClientSummary } from "../lab/counting_client.ts";
import { type Bed, type Setting, sleep, withBed } from "./bed.ts";
import type { Figure } from "./figures.ts";

/** Bytes that a request of the demo load writes to the disk. */
const WRITE = 64;
const DIRTY = 10;
/** Checkpoints that the status page's percentiles are of. */
const PERCENTILES_OF = 1024;

// ---- checkpoints a second ----

export async function throughputPart(setting: Setting): Promise<void> {
  for (const disk of [0, 64]) {
    await withBed({ ...setting, bed: { disk } }, async (bed) => {
      await bed.pair.protect();
      await bed.guestReady();
      for (const { dirty, least } of [{ dirty: 10, least: 250 }, { dirty: 500, least: 150 }]) {
        await sustained(bed, { setting, dirty, least, disk });
      }
    });
  }
}

interface Sustained {
  setting: Setting;
  dirty: number;
  least: number;
  disk: number;
}

async function sustained(bed: Bed, { setting, dirty, least, disk }: Sustained): Promise<void> {
  const seconds = setting.quick ? 4 : 15;
  const on = disk === 0 ? "no disk" : `${WRITE} bytes to disk`;
  setting.say(`throughput: ${dirty} dirty pages per request, ${on}`);
  const idle = await bed.status();
  await using client = await bed.client({ dirty, write: disk === 0 ? 0 : WRITE });
  await sleep(2000);
  const before = await bed.status();
  const began_ms = performance.now();
  await sleep(seconds * 1000);
  const after = await bed.status();
  const took_s = (performance.now() - began_ms) / 1000;
  const summary = await client.stop();
  const checkpoints = after.checkpoints - before.checkpoints;
  // The page's percentiles also hold what was before, until there were enough.
  const own = after.checkpoints - idle.checkpoints > PERCENTILES_OF;
  setting.report({
    part: "throughput",
    what: `checkpoints, ${dirty} dirty pages per request, ${on}`,
    measured: checkpoints / took_s,
    unit: "/s",
    // Set without a disk; with one the figure is for information.
    ...(disk === 0 ? { reach: { least } } : {}),
    samples: checkpoints,
    note: [
      `${Math.round((after.dirty_pages - before.dirty_pages) / Math.max(1, checkpoints))} pages each`,
      `request to reply ${ms(summary.latency_us.p50)} ms`,
      ...(own ? [`pause ${ms(after.pause_us_p50)} ms`, `commit ${ms(after.commit_us_p50)} ms`] : []),
    ].join(", "),
    data: { latency_us: summary.latency_us, ...(own ? timesOf(after) : {}) },
  });
}

function timesOf(status: Status) {
  return {
    pause_us: { p50: status.pause_us_p50, p99: status.pause_us_p99 },
    commit_us: { p50: status.commit_us_p50, p99: status.commit_us_p99 },
  };
}

// ---- latency ----

export async function latencyPart(setting: Setting): Promise<void> {
  for (const write of [0, WRITE]) {
    await withBed({ ...setting, bed: { disk: write === 0 ? 0 : 64 } }, async (bed) => {
      const found = await compare(bed, { setting, part: "latency", write, before: () => Promise.resolve() });
      report(setting, { found, part: "latency", on: onText(write), reach: { p50: 3, p99: 10 } });
    });
  }
}

export async function slowLinkPart(setting: Setting): Promise<void> {
  const on = `over 100 Mbit/s, ${onText(WRITE)}`;
  await withBed({ ...setting, bed: {} }, async (bed) => {
    const shape = async () => {
      for (const link of LINKS) await bed.lab.shapeLink(link, { rate_mbit: 100 });
    };
    const found = await compare(bed, { setting, part: "slow-link", write: WRITE, before: shape });
    report(setting, { found, part: "slow-link", on, reach: { p50: 5 } });
    setting.report({
      part: "slow-link",
      what: "times that the guest was not protected under load",
      measured: found.unprotected.length,
      unit: "",
      reach: { most: 0 },
      samples: found.protected.replies,
      note: found.unprotected.slice(0, 3).join(", "),
    });
  });
}

interface Comparison {
  setting: Setting;
  part: string;
  write: number;
  /** Done before the guest is protected. */
  before(): Promise<void>;
}

interface Compared {
  alone: ClientSummary;
  protected: ClientSummary;
  /** States and alarms under load that were not "protected". */
  unprotected: string[];
}

/** The same guest, unprotected and then protected, under the same load. */
async function compare(bed: Bed, { setting, part, write, before }: Comparison): Promise<Compared> {
  const seconds = setting.quick ? 5 : 20;
  const load = { dirty: DIRTY, write };
  setting.say(`${part}: ${onText(write)}, unprotected`);
  await bed.alone();
  await bed.guestReady();
  await bed.load(load, 2);
  const alone = await bed.load(load, seconds);
  setting.say(`${part}: ${onText(write)}, protected`);
  await before();
  await bed.protect();
  await bed.load(load, 2);
  const runner = bed.pair.runner("a");
  const from = runner.events.length;
  const summary = await bed.load(load, seconds);
  const unprotected = runner.events.slice(from).flatMap((event) => {
    if (event.event === "state" && event["to"] !== "protected") return [String(event["to"])];
    return event.event === "stalled" ? ["stalled"] : [];
  });
  if (bed.pair.runner("a").over) unprotected.push("the runner ended");
  return { alone, protected: summary, unprotected };
}

interface Reported {
  found: Compared;
  part: string;
  on: string;
  reach: { p50: number; p99?: number };
}

function report(setting: Setting, { found, part, on, reach }: Reported): void {
  for (const which of ["p50", "p99"] as const) {
    const alone = found.alone.latency_us[which];
    const guarded = found.protected.latency_us[which];
    const most = reach[which];
    const figure: Figure = {
      part,
      what: `added to request and reply, ${on}, ${which}`,
      measured: (guarded - alone) / 1000,
      unit: "ms",
      samples: found.protected.replies,
      note: `${ms(guarded)} ms protected, ${ms(alone)} ms not (${found.alone.replies} samples)`,
      data: { protected_us: guarded, unprotected_us: alone, unprotected_samples: found.alone.replies },
    };
    setting.report(most === undefined ? figure : { ...figure, reach: { most } });
  }
}

function onText(write: number): string {
  return write === 0 ? "no disk" : `${write} bytes to disk`;
}

function ms(us: number): string {
  return (us / 1000).toFixed(2);
}
