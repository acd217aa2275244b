/** What protection costs the lines: idle, under load, and while the guest boots. */

import type { Status } from "../../ffi/status.ts";
import { type Bed, rateOf, type Setting, sleep, withBed } from "./bed.ts";

const PART = "traffic";

export async function trafficPart(setting: Setting): Promise<void> {
  setting.say("traffic: protecting a guest");
  await withBed({ ...setting, bed: {} }, async (bed) => {
    await firstBoot(bed, setting);
    await bed.guestReady();
    await sleep(setting.quick ? 2000 : 6000);
    await idle(bed, setting);
    await demoLoad(bed, setting);
    await bootAgain(bed, setting);
  });
}

async function idle(bed: Bed, setting: Setting): Promise<void> {
  const seconds = setting.quick ? 10 : 30;
  setting.say("traffic: idle guest");
  const [before, from] = [await bed.lineBytes(), await bed.status()];
  await sleep(seconds * 1000);
  const [after, to] = [await bed.lineBytes(), await bed.status()];
  const checkpoints = to.checkpoints - from.checkpoints;
  const perCheckpoint = Math.round((to.page_bytes - from.page_bytes) / Math.max(1, checkpoints));
  const streams = bytesOnLines(to) - bytesOnLines(from);
  setting.report({
    part: PART,
    what: "idle, both lines, both ways, heartbeats and headers included",
    measured: rateOf(before, after),
    unit: "Mbit/s",
    reach: { most: 1 },
    samples: checkpoints,
    note: `${perCheckpoint} bytes of pages and devices per checkpoint; replication's own bytes are ${
      Math.round(streams / Math.max(1, after.bytes - before.bytes) * 100)
    } % of it`,
    data: { seconds, replication_bytes: streams, line_bytes: after.bytes - before.bytes },
  });
}

async function demoLoad(bed: Bed, setting: Setting): Promise<void> {
  setting.say("traffic: demo load");
  await using _client = await bed.client({ dirty: 10, write: 64 });
  await sleep(1000);
  const [before, from] = [await bed.lineBytes(), await bed.status()];
  await sleep(setting.quick ? 4000 : 15_000);
  const [after, to] = [await bed.lineBytes(), await bed.status()];
  reportPages(setting, { from, to, what: "demo load", most: 80 });
  setting.report({
    part: PART,
    what: "demo load, both lines, both ways",
    measured: rateOf(before, after),
    unit: "Mbit/s",
    samples: to.checkpoints - from.checkpoints,
  });
}

/** From the moment of protection, early in the boot, until the guest's service answers. */
async function firstBoot(bed: Bed, setting: Setting): Promise<void> {
  await bed.pair.protect();
  const from = await bed.status();
  const began_ms = performance.now();
  await using client = await bed.client({ dirty: 0, requests: 1 });
  await client.summary;
  const took_s = (performance.now() - began_ms) / 1000;
  const to = await bed.status();
  const note = `Debian's kernel, the last ${took_s.toFixed(1)} s of its boot`;
  reportPages(setting, { from, to, what: "first boot", most: 500, note });
}

/** The protected guest is reset, and boots under protection from the firmware on. */
async function bootAgain(bed: Bed, setting: Setting): Promise<void> {
  setting.say("traffic: the guest boots under protection");
  const from = await bed.status();
  const began_ms = performance.now();
  {
    await using monitor = await bed.monitor();
    await monitor.execute("system_reset");
  }
  await using client = await bed.client({ dirty: 0, requests: 1 });
  await client.summary;
  const took_s = (performance.now() - began_ms) / 1000;
  const to = await bed.status();
  const note = `${took_s.toFixed(1)} s, its kernel loaded and unpacked anew`;
  reportPages(setting, { from, to, what: "boot after a reset", most: 500, note });
}

interface Pages {
  from: Status;
  to: Status;
  what: string;
  most: number;
  note?: string;
}

function reportPages(setting: Setting, { from, to, what, most, note }: Pages): void {
  const change = (pick: (status: Status) => number) => pick(to) - pick(from);
  const pages = change((s) => s.dirty_pages);
  const kinds = {
    zero: change((s) => s.page_zero),
    same: change((s) => s.page_same),
    xor: change((s) => s.page_xor),
    raw: change((s) => s.page_raw),
  };
  const all = Object.values(kinds).reduce((sum, count) => sum + count, 0);
  const percents = Object.entries(kinds).map(([kind, count]) =>
    `${kind} ${Math.round(count / Math.max(1, all) * 100)} %`
  );
  setting.report({
    part: PART,
    what: `bytes per dirty page, ${what}`,
    measured: pages > 0 ? change((s) => s.page_bytes) / pages : null,
    unit: "bytes",
    reach: { most },
    samples: pages,
    note: [...(note === undefined ? [] : [note]), `${change((s) => s.checkpoints)} checkpoints`, ...percents]
      .join(", "),
    data: { checkpoints: change((s) => s.checkpoints), pages: kinds },
  });
}

function bytesOnLines(status: Status): number {
  return [...status.link_bytes_in, ...status.link_bytes_out].reduce((sum, bytes) => sum + bytes, 0);
}
