/** How long the guest stands still for a checkpoint, and where that time goes. */

import { type Bed, type Setting, sleep, withBed } from "./bed.ts";
import {
  type Checkpoint,
  commitShares,
  pauseShares,
  sampleCheckpoints,
  type Share,
  sharesText,
} from "./checkpoints.ts";
import type { Figure } from "./figures.ts";
import { median, spread } from "./statistics.ts";

const PART = "pause";
const MANY_PAGES = 4000;

export async function pausePart(setting: Setting): Promise<void> {
  for (const disk of [0, 64]) {
    const on = disk === 0 ? "without a disk" : "with a disk";
    setting.say(`pause: protecting a guest ${on}`);
    await withBed({ ...setting, bed: { disk } }, async (bed) => {
      await bed.pair.protect();
      await bed.guestReady();
      // A boot leaves work behind that would be taken for the idle guest's.
      await sleep(setting.quick ? 2000 : 5000);
      setting.say(`pause: idle guest ${on}`);
      idleFigures(setting, { on, checkpoints: await idle(bed, setting) });
      setting.say(`pause: ${MANY_PAGES} dirty pages ${on}`);
      busyFigures(setting, { on, checkpoints: await busy(bed, setting) });
    });
  }
}

/** An idle guest has a checkpoint each 100 ms. */
function idle(bed: Bed, setting: Setting): Promise<Checkpoint[]> {
  return sampleCheckpoints(bed, {
    count: setting.quick ? 100 : 300,
    every_ms: 30,
    bound_ms: setting.quick ? 40_000 : 120_000,
  });
}

/** A client that has the guest change so many pages per request, with time between requests for the reader. */
async function busy(bed: Bed, setting: Setting): Promise<Checkpoint[]> {
  await using _client = await bed.client({ dirty: MANY_PAGES, think_ms: 40 });
  await sleep(1000);
  return await sampleCheckpoints(bed, {
    count: setting.quick ? 100 : 200,
    every_ms: 8,
    bound_ms: 60_000,
    wanted: ({ dirty }) => dirty >= MANY_PAGES * 0.9 && dirty <= MANY_PAGES * 1.2,
  });
}

interface Sampled {
  on: string;
  checkpoints: readonly Checkpoint[];
}

function idleFigures(setting: Setting, { on, checkpoints }: Sampled): void {
  const pause = spread(checkpoints.map(({ pause }) => pause / 1000));
  const figure = (which: "p50" | "p99", most: number): Figure => ({
    part: PART,
    what: `idle guest ${on}, ${which}`,
    measured: pause[which],
    unit: "ms",
    reach: { most },
    samples: pause.samples,
  });
  setting.report({
    ...figure("p50", 1.2),
    note: `${Math.round(median(checkpoints.map(({ dirty }) => dirty)))} dirty pages`,
  });
  setting.report({ ...figure("p99", 4), data: { max_ms: pause.max } });
  shareFigures(setting, { on: `idle guest ${on}`, checkpoints });
}

function busyFigures(setting: Setting, { on, checkpoints }: Sampled): void {
  const pause = spread(checkpoints.map(({ pause }) => pause / 1000));
  setting.report({
    part: PART,
    what: `${MANY_PAGES} dirty pages ${on}, p50`,
    measured: pause.p50,
    unit: "ms",
    reach: { most: 3 },
    samples: pause.samples,
    note: `${Math.round(median(checkpoints.map(({ dirty }) => dirty)))} dirty pages, p99 ${
      pause.p99.toFixed(1)
    } ms`,
    data: { p99_ms: pause.p99, max_ms: pause.max },
  });
  shareFigures(setting, { on: `${MANY_PAGES} dirty pages ${on}`, checkpoints });
}

/** What the pause and the commit are made of. The order's way to QEMU is in `stop`, but not in QEMU's own stamps. */
function shareFigures(setting: Setting, { on, checkpoints }: Sampled): void {
  const figure = (what: string, shares: readonly Share[]): Figure => ({
    part: PART,
    what: `${on}, ${what}`,
    measured: shares.reduce((sum, { us }) => sum + us, 0) / 1000,
    unit: "ms",
    samples: checkpoints.length,
    note: sharesText(shares),
    data: Object.fromEntries(shares.map(({ name, us }) => [`${name.replaceAll(" ", "_")}_us`, us])),
  });
  setting.report(figure("order to running", pauseShares(checkpoints)));
  setting.report(figure("order to commit", commitShares(checkpoints)));
}
