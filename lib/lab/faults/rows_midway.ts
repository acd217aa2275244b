/** A runner ends in the middle of something: rows 10, 11 and 12. */

import { reached } from "../scene.ts";
import type { Host } from "../places.ts";
import { beginPowerLoss } from "./anew.ts";
import { type Row, STANDARD, type Struck } from "./row.ts";
import type { Stage } from "./stage.ts";
import { tearNext } from "./torn.ts";

/** Where the backup dies while it takes an epoch in. */
const TAKING_IN = ["stage-whole", "apply-half", "acknowledged"] as const;
/** Where the primary dies while it makes and sends one. */
const SENDING = [
  "checkpoint-stopped",
  "checkpoint-copied",
  "send-half",
  "send-before-end",
  "commit-received",
] as const;
/** Where a journal's host dies: before and after its sync, while it writes to the image, before it is trimmed. */
const JOURNAL = ["journal-written", "journal-synced", "image-half", "journal-trim"] as const;

function pick<T>(stage: Stage, from: readonly T[]): T {
  return from[Math.floor(stage.random() * from.length)]!;
}

/** The backup's runner kills itself at a failpoint. */
async function backupDies(stage: Stage, failpoint: string): Promise<Struck> {
  const { primary, backup } = stage;
  const alone = stage.next(primary, reached("solo"));
  const fault = await stage.timed(() => stage.scene.dieAt(backup, failpoint));
  const { sentence } = await alone();
  stage.expect(/^Unprotected/.test(String(sentence)), "the state says that the VM is unprotected");
  await stage.answers(20);
  return { fault: { at_us: fault.done_us, done_us: fault.done_us }, survivor: primary, note: failpoint };
}

/** The primary's runner kills itself at a failpoint. */
async function primaryDies(stage: Stage, failpoint: string): Promise<Struck> {
  const { primary, backup } = stage;
  const promoted = stage.next(backup, reached("solo"));
  const fault = await stage.timed(() => stage.scene.dieAt(primary, failpoint));
  await promoted();
  return { fault: { at_us: fault.done_us, done_us: fault.done_us }, survivor: backup, note: failpoint };
}

/** The backup dies while it takes over, when the primary is gone already: neither may start what it has before both are there. */
async function diesPromoting(stage: Stage): Promise<Struck> {
  const { primary, backup, pair } = stage;
  const power = await beginPowerLoss(stage);
  await stage.runner(backup).call("failpoint", { name: "restore-half", action: 1 });
  stage.expect(await power.client.answered(50), "the guest answers before the fault");
  const fault = await stage.lab.powerOff(primary);
  const { signal } = await stage.runner(backup).ended;
  stage.expect(signal === "SIGKILL", `the backup dies while it restores its copy, not by ${signal}`);
  const promised = power.begun + (await power.client.stop()).replies;
  await stage.runner(primary).ended;
  const again = await pair.start(backup);
  await again.event((event) => event.event === "alarm" && event["code"] === "held");
  const { phase } = await stage.scene.status(backup);
  stage.expect(phase === "waiting", `it waits for the other host: ${phase}`);
  stage.expect(!again.events.some(reached("starting")), "it does not start what it has");
  await stage.lab.powerOn(primary);
  const { host, last } = await power.comeBack([primary]);
  stage.client = power.client;
  stage.expect(last >= promised, `host ${host} has all ${promised} answered flushes, not ${last}`);
  return { fault, survivor: null, note: `${promised} flushes, host ${host} starts` };
}

/** Each host lost its power while it wrote its metadata, first the backup and then the former primary. */
async function metadataTorn(stage: Stage): Promise<Struck> {
  const { primary, backup, scene } = stage;
  const file = (host: Host) => `${stage.pair.dataDirectory(host)}/demo/group.meta`;
  const alone = stage.next(primary, reached("solo"));
  const fault = await stage.timed(() => scene.killRunner(backup));
  await alone();
  await tearNext(file(backup));
  await scene.restart(backup);
  await stage.answers(30);
  const promoted = stage.next(backup, reached("solo"));
  await scene.killRunner(primary);
  await promoted();
  await tearNext(file(primary));
  const back = await stage.pair.start(primary);
  await back.event(reached("ready"), 60_000);
  stage.expect(!back.events.some(reached("starting")), "the former primary does not start a second VM");
  return { fault, survivor: primary };
}

export const MIDWAY_ROWS: readonly Row[] = [
  {
    number: 10,
    fault: "backup killed in the middle of an epoch",
    outcome: "the part is discarded; the primary goes on, unprotected",
    kind: STANDARD,
    random: true,
    strike: (stage) => backupDies(stage, pick(stage, TAKING_IN)),
  },
  {
    number: 11,
    fault: "primary killed in the middle of sending an epoch",
    outcome: "the backup starts from the last whole one",
    kind: STANDARD,
    random: true,
    strike: (stage) => primaryDies(stage, pick(stage, SENDING)),
  },
  {
    number: 12,
    fault: "killed in its journal: primary",
    outcome: "recovered to exactly N or N+1",
    kind: STANDARD,
    random: true,
    strike: (stage) => primaryDies(stage, pick(stage, JOURNAL)),
  },
  {
    number: 12,
    fault: "killed in its journal: backup",
    outcome: "recovered to exactly N or N+1",
    kind: STANDARD,
    random: true,
    strike: (stage) => backupDies(stage, pick(stage, JOURNAL)),
  },
  {
    number: 12,
    fault: "primary lost, backup killed while it takes over",
    outcome: "neither starts alone; together they do, with every answered flush",
    kind: STANDARD,
    random: false,
    strike: diesPromoting,
  },
  {
    number: 12,
    fault: "newest metadata torn: the backup's, then the former primary's",
    outcome: "the one before it holds: joins again or asks, starts nothing",
    kind: STANDARD,
    random: false,
    strike: metadataTorn,
  },
];
