/** After both links were cut for a while: what goes over again, how long it takes, and where the time goes. And what a sync costs the guest's
 * own clients meanwhile. */

import { LINKS } from "../lab/places.ts";
import type { LabRunner, RunnerEvent } from "../lab/pair.ts";
import { type Bed, type Setting, sleep, withBed } from "./bed.ts";
import type { Figure } from "./figures.ts";
import { median } from "./statistics.ts";

const PART = "resync";
const BOUND_MS = 120_000;

/** One cut and what followed, in seconds after the first line was up again. */
interface Resync {
  /** From the end of the cut to the first line that is up. */
  reconnected: number;
  invited: number;
  begun: number;
  protected: number;
  sent_bytes: number;
  line_bytes: number;
}

export async function resyncPart(setting: Setting): Promise<void> {
  const cut_s = setting.quick ? 5 : 10;
  const resyncs: Resync[] = [];
  await withBed({ ...setting, bed: {} }, async (bed) => {
    await bed.alone();
    await bed.guestReady();
    await bed.protect();
    for (let i = 0; i < (setting.quick ? 2 : 5); i++) {
      setting.say(`resync: both links cut for ${cut_s} s, number ${i + 1}`);
      await sleep(2000);
      resyncs.push(await cutAndBack(bed, cut_s));
    }
  });
  report(setting, resyncs, cut_s);
  await besideLoad(setting);
}

async function cutAndBack(bed: Bed, cut_s: number): Promise<Resync> {
  const runner = bed.pair.runner("a");
  const from = runner.events.length;
  await Promise.all(LINKS.map((link) => bed.lab.cutLink(link)));
  await after(runner, from, (event) => event.event === "state" && event["to"] === "solo");
  await sleep(cut_s * 1000);
  const before = await bed.lineBytes();
  const back = runner.events.length;
  const mended = await Promise.all(LINKS.map((link) => bed.lab.mendLink(link)));
  const ended = await after(runner, back, (event) => event.event === "protected");
  const up = await after(runner, back, (event) => event.event === "link" && event["up"] === true);
  const invite = (event: RunnerEvent) => (event["phase"] as { invite?: { step?: string } })?.invite?.step;
  const invited = await after(runner, back, (event) => event.event === "state" && invite(event) === "sent");
  const begun = await after(runner, back, (event) => event.event === "state" && event["to"] === "syncing");
  const seconds = (event: RunnerEvent) => (Number(event["t_us"]) - Number(up["t_us"])) / 1e6;
  const status = await bed.status();
  return {
    reconnected: (Number(up["t_us"]) - Math.min(...mended.map(({ done_us }) => done_us))) / 1e6,
    invited: seconds(invited),
    begun: seconds(begun),
    protected: seconds(ended),
    sent_bytes: status.sync_bytes_sent,
    line_bytes: (await bed.lineBytes()).bytes - before.bytes,
  };
}

/** The first event from a position on. */
async function after(
  runner: LabRunner,
  from: number,
  wanted: (event: RunnerEvent) => boolean,
): Promise<RunnerEvent> {
  const old = new Set(runner.events.slice(0, from));
  return await runner.event((event) => !old.has(event) && wanted(event), BOUND_MS);
}

function report(setting: Setting, resyncs: readonly Resync[], cut_s: number): void {
  const of = (pick: (resync: Resync) => number) => median(resyncs.map(pick));
  const figure = (rest: Pick<Figure, "what" | "measured" | "unit"> & Partial<Figure>) =>
    setting.report({ part: PART, samples: resyncs.length, ...rest });
  figure({
    what:
      `both links cut for ${cut_s} s, idle guest of ${setting.memory} MiB: from the first line up to protected`,
    measured: of((resync) => resync.protected),
    unit: "s",
    reach: { most: 2 },
    note: `the line was up ${
      of(({ reconnected }) => reconnected).toFixed(2)
    } s after the cut's end; invited after ${of(({ invited }) => invited).toFixed(2)} s, syncing after ${
      of(({ begun }) => begun).toFixed(2)
    } s, the sync itself ${of((resync) => resync.protected - resync.begun).toFixed(2)} s`,
    data: { resyncs },
  });
  figure({
    what: "bytes of the sync",
    measured: of(({ sent_bytes }) => sent_bytes) / 1e6,
    unit: "MB",
    note: `${(of(({ line_bytes }) => line_bytes) / 1e6).toFixed(1)} MB on the lines, both ways, all in all`,
  });
}

/** A client's latency while the VM runs alone, and while a first sync goes as fast as it can, and bounded. */
async function besideLoad(setting: Setting): Promise<void> {
  const rates = setting.quick ? [0] : [0, 400, 200];
  for (const rate_mbit of rates) {
    const text = rate_mbit === 0 ? "as fast as it goes" : `at ${rate_mbit} Mbit/s`;
    setting.say(`resync: a client beside a first sync ${text}`);
    const hostToml = rate_mbit === 0 ? "" : `[sync]\nrate_mbit = ${rate_mbit}\n`;
    await withBed({ ...setting, bed: { disk: 512, hostToml } }, async (bed) => {
      await fillDisk(bed);
      await bed.alone();
      await bed.guestReady();
      const alone = await bed.load({ dirty: 10, write: 0 }, 4);
      const { events } = bed.pair.runner("a");
      await bed.pair.start("b");
      await bed.pair.runner("a").event((event) => event.event === "sync", BOUND_MS);
      const during = await bed.load({ dirty: 10, write: 0 }, 4);
      const done = events.some((event) => event.event === "protected");
      setting.report({
        part: PART,
        what: `a request and its reply while a first sync goes ${text}, p99`,
        measured: during.latency_us.p99 / 1000,
        unit: "ms",
        samples: during.acknowledged,
        note: `p50 ${(during.latency_us.p50 / 1000).toFixed(1)} ms; alone p50 ${
          (alone.latency_us.p50 / 1000).toFixed(1)
        }, p99 ${(alone.latency_us.p99 / 1000).toFixed(1)} ms${
          done ? "; the sync had ended before the measurement" : ""
        }`,
        data: { alone, during },
      });
    });
  }
}

/** Random bytes, so that the sync lasts. */
async function fillDisk(bed: Bed): Promise<void> {
  using image = await Deno.open(bed.pair.image("a"), { write: true });
  const bytes = new Uint8Array(1 << 20);
  for (let i = 0; i < 512; i++) {
    for (let at = 0; at < bytes.length; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
    await image.write(bytes);
  }
}
