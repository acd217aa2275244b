/** Power-offs in a row. The VM's host loses its power under load, the other takes over, the first comes back as the new backup, and the
 * next power-off hits the other one. A round that goes wrong is counted, and the next begins on a new bed. */

import { errorText } from "../errors.ts";
import type { ClientEvent } from "../lab/counting_client.ts";
import { checkDisk } from "../lab/guest_image.ts";
import type { RunnerEvent } from "../lab/pair.ts";
import type { Host } from "../lab/places.ts";
import { type Bed, type Setting, sleep, withBed } from "./bed.ts";
import type { Figure } from "./figures.ts";
import { seeded } from "../lab/random.ts";
import { spread } from "./statistics.ts";

const EVENT_MS = 15_000;
const JOIN_MS = 60_000;

/** One power-off; times in milliseconds. */
export interface PowerOff {
  host: Host;
  /** How long the load had run. */
  after_ms: number;
  /** How long the client had waited for a reply when the power went. */
  waiting_ms: number;
  acknowledged: number;
  lost: number;
  connection: "survived" | "broken";
  /** From the power-off to the peer's silence being noticed. */
  detection_ms: number;
  /** From that to the decision. */
  decision_ms: number;
  /** From the decision to the guest's first frame. */
  takeover_ms: number;
  first_reply_ms: number;
  memory_ok: boolean;
  /** Null without a disk. */
  disk_ok: boolean | null;
  fsck_clean: boolean | null;
  fsck: string;
}

/** What was asked for, and what came of it. */
interface Series {
  rounds: PowerOff[];
  /** Rounds that could not be carried out to their end. */
  problems: string[];
}

export async function takeoverPart(setting: Setting): Promise<void> {
  const times = setting.times ?? (setting.quick ? 3 : 10);
  const series = await powerOffs({ ...setting, part: "takeover", times, write: 0 });
  reportTimes(setting, { part: "takeover", series });
  reportProblems(setting, { part: "takeover", series });
}

export async function powerOffsPart(setting: Setting): Promise<void> {
  const times = setting.times ?? (setting.quick ? 5 : 50);
  const series = await powerOffs({ ...setting, part: "power-offs", times, write: 64 });
  reportKept(setting, { times, series });
  reportTimes(setting, { part: "power-offs", series });
  reportProblems(setting, { part: "power-offs", series });
}

interface SeriesOptions extends Setting {
  part: string;
  times: number;
  /** Bytes that each request writes to disk; 0: a guest without a disk. */
  write: number;
}

async function powerOffs(options: SeriesOptions): Promise<Series> {
  const series: Series = { rounds: [], problems: [] };
  const random = seeded(options.seed);
  const done = () => series.rounds.length + series.problems.length;
  while (done() < options.times) {
    try {
      await withBed({ ...options, bed: { disk: options.write === 0 ? 0 : 64 } }, async (bed) => {
        await bed.pair.protect();
        await bed.guestReady();
        let host: Host = "a";
        while (done() < options.times) {
          options.say(
            `${options.part}: ${done() + 1} of ${options.times}, host ${host} (seed ${options.seed})`,
          );
          const round = await powerOff(bed, { ...options, host, after_ms: 300 + random() * 2000 });
          series.rounds.push(round);
          if (faultOf(round) !== undefined) return;
          if (done() < options.times) await rejoin(bed, host);
          host = other(host);
        }
      });
    } catch (error) {
      options.interrupted.throwIfAborted();
      const text = errorText(error);
      options.say(`${options.part}: ${text}`);
      series.problems.push(text.split("\n")[0] ?? "unknown");
    }
  }
  return series;
}

interface RoundOptions extends SeriesOptions {
  host: Host;
  after_ms: number;
}

async function powerOff(bed: Bed, options: RoundOptions): Promise<PowerOff> {
  const { host, after_ms, write } = options;
  const survivor = bed.pair.runner(other(host));
  const gaps: (ClientEvent & { event: "gap" })[] = [];
  await using client = await bed.client({ dirty: 10, write, verify: true }, (event) => {
    if (event.event === "gap") gaps.push(event);
  });
  await sleep(after_ms);
  const fault = await bed.lab.powerOff(host);
  const since = (event: RunnerEvent) => Number(event["t_us"]) > fault.at_us;
  const silent = await survivor.event(
    (event) => event.event === "peer" && event["silent"] === true && since(event),
    EVENT_MS,
  );
  const first = await survivor.event((event) => event.event === "first_frame" && since(event), EVENT_MS);
  const decided = await survivor.event(
    (event) => event.event === "state" && event["to"] === "promoting" && since(event),
    EVENT_MS,
  );
  await sleep(500);
  const summary = await client.stop();
  const gap = gaps.find(({ to_us }) => to_us > fault.at_us);
  const fsck = write === 0 ? null : await fsckOf(bed, other(host));
  return {
    waiting_ms: gap === undefined ? NaN : Math.max(0, fault.at_us - gap.from_us) / 1000,
    ...{ host, after_ms, acknowledged: summary.acknowledged, lost: summary.lost },
    connection: summary.connection,
    detection_ms: (Number(silent["t_us"]) - fault.at_us) / 1000,
    decision_ms: (Number(decided["t_us"]) - Number(silent["t_us"])) / 1000,
    takeover_ms: Number(first["takeover_us"]) / 1000,
    first_reply_ms: gap === undefined ? NaN : (gap.to_us - fault.at_us) / 1000,
    memory_ok: summary.memory?.ok === true,
    disk_ok: write === 0 ? null : summary.disk?.ok === true,
    fsck_clean: fsck === null ? null : fsck.clean,
    fsck: fsck?.text ?? "",
  };
}

/** The survivor stands still meanwhile: nobody else is there who could miss it, and what is copied is of one moment, as after a
 * power cut. */
async function fsckOf(bed: Bed, host: Host): Promise<{ clean: boolean; text: string }> {
  await bed.lab.freeze(host);
  try {
    return await checkDisk(bed.pair.image(host));
  } finally {
    await bed.lab.thaw(host);
  }
}

/** The host gets its power back and becomes the backup of the one that took over. */
async function rejoin(bed: Bed, host: Host): Promise<void> {
  await bed.lab.powerOn(host);
  const primary = bed.pair.runner(other(host));
  const before = primary.events.length;
  await bed.pair.start(host);
  await primary.event(
    (event) => event.event === "protected" && primary.events.indexOf(event) >= before,
    JOIN_MS,
  );
}

function other(host: Host): Host {
  return host === "a" ? "b" : "a";
}

/** What went wrong in a round; undefined when it went as promised. */
export function faultOf(round: PowerOff): string | undefined {
  const wrong: string[] = [];
  if (round.lost > 0) wrong.push(`${round.lost} acknowledged counts lost`);
  if (round.connection === "broken") wrong.push("connection broken");
  if (!round.memory_ok) wrong.push("memory damaged");
  if (round.disk_ok === false) wrong.push("disk damaged");
  if (round.fsck_clean === false) wrong.push(`fsck: ${round.fsck.split("\n")[0]}`);
  return wrong.length === 0 ? undefined : wrong.join(", ");
}

function reportKept(setting: Setting, { times, series }: { times: number; series: Series }): void {
  const { rounds } = series;
  const count = (test: (round: PowerOff) => boolean) => rounds.filter(test).length;
  const figure = (rest: Pick<Figure, "what" | "measured" | "reach"> & Partial<Figure>): Figure => ({
    part: "power-offs",
    unit: "",
    samples: times,
    ...rest,
  });
  setting.report(figure({
    what: "acknowledged counts lost",
    measured: rounds.reduce((sum, { lost }) => sum + lost, 0),
    reach: { most: 0 },
    note: `of ${
      rounds.reduce((sum, { acknowledged }) => sum + acknowledged, 0).toLocaleString("en-US")
    } acknowledged, seed ${setting.seed}`,
    data: { seed: setting.seed, rounds },
  }));
  const all = { least: times };
  const survived = count(({ connection }) => connection === "survived");
  setting.report(figure({ what: "connections that survived", measured: survived, reach: all }));
  setting.report(figure({
    what: "disks clean by fsck",
    measured: count(({ fsck_clean }) => fsck_clean === true),
    reach: all,
    note: rounds.find(({ fsck_clean }) => fsck_clean === false)?.fsck.split("\n")[0] ?? "",
  }));
  setting.report(figure({
    what: "guests that found memory and disk in order",
    measured: count(({ memory_ok, disk_ok }) => memory_ok && disk_ok === true),
    reach: all,
  }));
}

function reportProblems(setting: Setting, { part, series }: { part: string; series: Series }): void {
  const { problems, rounds } = series;
  const faults = rounds.flatMap((round) => faultOf(round) ?? []);
  setting.report({
    part,
    what: "power-offs that did not go as promised",
    measured: problems.length + faults.length,
    unit: "",
    reach: { most: 0 },
    samples: problems.length + rounds.length,
    note: [...problems, ...faults].slice(0, 2).join("; "),
    data: { problems, faults },
  });
}

function reportTimes(setting: Setting, { part, series }: { part: string; series: Series }): void {
  const rows = [
    { what: "client's wait for a reply when the power went", pick: (r: PowerOff) => r.waiting_ms },
    { what: "power off to silence noticed", pick: (r: PowerOff) => r.detection_ms },
    { what: "silence noticed to decision", pick: (r: PowerOff) => r.decision_ms },
    { what: "decision to the guest's first frame", pick: (r: PowerOff) => r.takeover_ms, most: 60 },
    {
      what: "first frame to the first reply",
      pick: (r: PowerOff) => r.first_reply_ms - r.detection_ms - r.decision_ms - r.takeover_ms,
    },
    { what: "power off to the first reply", pick: (r: PowerOff) => r.first_reply_ms, most: 300 },
  ];
  for (const { what, pick, most } of rows) {
    const times = spread(series.rounds.map(pick).filter(Number.isFinite));
    const figure: Figure = {
      part,
      what: `${what}, p50`,
      measured: times.samples === 0 ? null : times.p50,
      unit: "ms",
      samples: times.samples,
      note: times.samples === 0
        ? "no round got there"
        : `p99 ${Math.round(times.p99)}, max ${Math.round(times.max)} ms`,
      data: { p99_ms: times.p99, max_ms: times.max },
    };
    setting.report(most === undefined ? figure : { ...figure, reach: { most } });
  }
}
