/** A host's wall clock jumps: row 16. */

import { runCommand } from "../command.ts";
import { type Host, HOSTS } from "../places.ts";
import { reached } from "../scene.ts";
import { type PairKind, type Row, RowFailure, type Struck } from "./row.ts";
import { other, type Stage } from "./stage.ts";

const CLOCKS: PairKind = { key: "clocks", options: { clocks: true } };
const DAY_S = 86_400;
const JUMPS_S = [DAY_S, -DAY_S, 30] as const;
/** What a slow machine may take to tell the time. */
const SLACK_S = 5;

/** What a program of that host reads as the time, less what this one reads. */
async function offBy(stage: Stage, host: Host): Promise<number> {
  const command = [...stage.pair.clock(host).words, "date", "+%s"];
  const text = await runCommand(["ip", "netns", "exec", stage.lab.namespace(host), ...command], {
    op: "read a host's clock",
  });
  return Number(text) - Math.floor(Date.now() / 1000);
}

/** Whether a process has the clock that jumps. */
function hasClock(pid: number): boolean {
  return Deno.readTextFileSync(`/proc/${pid}/maps`).includes("lab-clock.so");
}

/** Lets a host's clock jump, and makes sure that it is seen there: by a program that asks for the time, and by the QEMU that runs, which
 * stamps what it says. A runner hardly ever asks; it has the same clock. */
async function jump(stage: Stage, host: Host): Promise<string> {
  const seconds = JUMPS_S[Math.floor(stage.random() * JUMPS_S.length)]!;
  const clock = stage.pair.clock(host);
  const before = await offBy(stage, host);
  clock.jump(seconds);
  if (clock.shift_s === 0) clock.jump(1); // back where it began: nothing would be told apart
  const { qemu } = clock.told;
  const after = await offBy(stage, host);
  stage.expect(
    Math.abs(after - before - seconds) <= SLACK_S,
    `host ${host} sees its clock jump by ${seconds} s, not by ${after - before} s`,
  );
  const programs = [stage.runner(host).child.pid, ...stage.qemus(host)];
  stage.expect(programs.every(hasClock), `the runner and QEMU on host ${host} have the clock that jumps`);
  if (host === stage.primary) {
    await stage.until("QEMU is told another time", () => clock.told.qemu > qemu);
  }
  return `host ${host} ${seconds > 0 ? "+" : ""}${seconds} s`;
}

/** One of the hosts, or both. */
function some(stage: Stage): readonly Host[] {
  return [["a"], ["b"], HOSTS][Math.floor(stage.random() * 3)] as readonly Host[];
}

async function jumps(stage: Stage, hosts: readonly Host[]): Promise<string> {
  const notes: string[] = [];
  for (const host of hosts) notes.push(await jump(stage, host));
  return notes.join(" and ");
}

/** Starts the lost host again, and lets the clocks jump while it is given its copy. */
async function jumpWhileSyncing(stage: Stage, lost: Host): Promise<string> {
  await stage.lab.restore();
  const progress = stage.next(other(lost), reached("syncing"));
  await stage.pair.start(lost);
  await progress();
  const note = await jumps(stage, HOSTS);
  await stage.whole();
  return note;
}

export const CLOCK_ROWS: readonly Row[] = [
  {
    number: 16,
    fault: "wall clock jumps by a day or by 30 s while protected",
    outcome: "nothing",
    kind: CLOCKS,
    random: false,
    async strike(stage): Promise<Struck> {
      const roles = stage.watchRoles();
      let note = "";
      const fault = await stage.timed(async () => note = await jumps(stage, some(stage)));
      await stage.answers(100);
      const changed = roles().map((event) => `${event["from"]} to ${event["to"]}`);
      if (changed.length > 0) throw new RowFailure(`somebody's part changed: ${changed.join(", ")}`);
      return { fault, survivor: null, note };
    },
  },
  {
    number: 16,
    fault: "wall clock jumps just before the primary host loses its power",
    outcome: "takeover as ever",
    kind: CLOCKS,
    random: false,
    async strike(stage): Promise<Struck> {
      const { primary, backup } = stage;
      const note = await jumps(stage, some(stage));
      const promoted = stage.next(backup, reached("solo"));
      const fault = await stage.lab.powerOff(primary);
      await promoted();
      return { fault, survivor: backup, note };
    },
  },
  {
    number: 16,
    fault: "wall clock jumps during a sync",
    outcome: "protected when it is done",
    kind: CLOCKS,
    random: false,
    async strike(stage): Promise<Struck> {
      const { primary, backup } = stage;
      const alone = stage.next(primary, reached("solo"));
      const fault = await stage.lab.powerOff(backup);
      await alone();
      await stage.runner(backup).ended;
      return { fault, survivor: primary, note: await jumpWhileSyncing(stage, backup) };
    },
  },
];
