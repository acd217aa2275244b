/** A runner ends in the middle of something: rows 10, 11 and 12. */

import { reached } from "../scene.ts";
import { type Row, STANDARD, type Struck } from "./row.ts";
import type { Stage } from "./stage.ts";

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
];
