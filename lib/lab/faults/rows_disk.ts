/** Disks that fail, and the loss of all that was not synced: rows 13, 14 and 21. */

import { HOSTS } from "../places.ts";
import { reached } from "../scene.ts";
import {
  BACKUP_FAULTS,
  backupDiskFails,
  onlyDiskFails,
  primaryDiskFails,
  type Protected,
} from "./disk_faults.ts";
import { losses, type PowerLoss } from "./power_loss.ts";
import type { PairKind, Row, Struck } from "./row.ts";
import type { Stage } from "./stage.ts";
import { beginPowerLoss } from "./anew.ts";

const VOLATILE: PairKind = { key: "volatile", options: { volatileStorage: true } };

function protectedPair({ scene, client, primary, backup }: Stage): Protected {
  return { scene, client, primary, backup };
}

const backupRows = BACKUP_FAULTS.map(({ name, cause }): Row => ({
  number: 13,
  fault: `backup's disk ${name}`,
  outcome: "unprotected with its cause, the primary goes on",
  kind: VOLATILE,
  random: false,
  async strike(stage) {
    const at_us = stage.clock();
    await backupDiskFails(protectedPair(stage), cause);
    return { fault: { at_us, done_us: stage.clock() }, survivor: null };
  },
}));

const primaryFails: Row = {
  number: 14,
  fault: "primary's disk fails, the copy is whole",
  outcome: "the VM moves to it",
  kind: VOLATILE,
  random: false,
  async strike(stage) {
    const { primary, backup } = stage;
    const at_us = stage.clock();
    await primaryDiskFails(protectedPair(stage));
    await stage.pair.storage(primary).heal();
    return { fault: { at_us, done_us: stage.clock() }, survivor: backup };
  },
};

/** Both hosts begin anew, in some order; what the guest that was started has on its disk is at least what was promised. */
async function comesBack(stage: Stage, power: PowerLoss, promised: number): Promise<string> {
  const order = stage.random() < 0.5 ? HOSTS : HOSTS.toReversed();
  const { host, last } = await power.comeBack(order);
  stage.client = power.client;
  stage.expect(last >= promised, `host ${host} has all ${promised} answered flushes, not ${last}`);
  return `host ${order[0]} back first, ${promised} flushes, host ${host} starts`;
}

const onlyFails: Row = {
  number: 14,
  fault: "the only host's disk fails",
  outcome: "the guest sees the error",
  kind: VOLATILE,
  random: false,
  async strike(stage): Promise<Struck> {
    const { primary, backup, scene } = stage;
    const power = await beginPowerLoss(stage);
    const alone = stage.next(primary, reached("solo"));
    const fault = await stage.lab.powerOff(backup);
    await alone();
    const replies = await onlyDiskFails({ scene, client: power.client, primary });
    await stage.pair.storage(primary).heal();
    await scene.killRunner(primary);
    await stage.runner(backup).ended;
    await stage.lab.powerOn(backup);
    return { fault, survivor: null, note: await comesBack(stage, power, power.begun + replies) };
  },
};

const bothLosePower: Row = {
  number: 21,
  fault: "both hosts lose power, each comes back alone, then both",
  outcome: "alone it waits; the newest copy starts with every answered flush",
  kind: VOLATILE,
  random: false,
  async strike(stage): Promise<Struck> {
    const power = await beginPowerLoss(stage);
    // Nothing of what was not synced is left, or some of it, torn and out of order.
    const seed = stage.random() < 0.3 ? undefined : 1 + Math.floor(stage.random() * 1e6);
    const at_us = stage.clock();
    const found = await power.cutAndLook(seed);
    const fault = { at_us, done_us: stage.clock() };
    const lost = losses(found);
    stage.expect(
      lost.length === 0,
      `nothing that was promised is lost with seed ${seed}: ${lost.join("; ")}`,
    );
    return { fault, survivor: null, note: await comesBack(stage, power, found.promised) };
  },
};

export const DISK_ROWS: readonly Row[] = [...backupRows, primaryFails, onlyFails, bothLosePower];
