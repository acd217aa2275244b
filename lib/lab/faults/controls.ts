/** What must be found when a mechanism is switched off, by the very same judgement. Not faults that a pair survives. */

import { pause, reached } from "../scene.ts";
import type { PairKind, Row, Struck } from "./row.ts";
import type { Stage } from "./stage.ts";

/** Output leaves before its epoch is on the backup. */
const NO_OUTPUT_COMMIT: PairKind = { key: "no output commit", options: { noOutputCommit: true } };
/** Nor is a newer term a reason to end the VM. */
const NO_TERM_CHECK: PairKind = {
  key: "no term check",
  options: { noOutputCommit: true, noTermCheck: true, hostToml: "[fencing]\nkernel_lease = false\n" },
};
/** Two hosts that are cut off from each other, while both reach the gateway: what the arbiter "lan" leaves uncovered. The takeover takes so
 * long that all three paths are cut before the first one is missed. */
const NO_WITNESS: PairKind = { key: "no witness", options: { arbiter: "lan", takeover: 2000 } };

const SPEAK_MS = 1000;

/** The primary's power is lost, and with it what was acknowledged too early. */
export const lostOutput: Row = {
  number: 4,
  fault: "control: output commit off, primary host loses its power",
  outcome: "acknowledged counts are lost",
  kind: NO_OUTPUT_COMMIT,
  random: false,
  control: true,
  async strike(stage): Promise<Struck> {
    const promoted = stage.next(stage.backup, reached("solo"));
    const fault = await stage.lab.powerOff(stage.primary);
    await promoted();
    return { fault, survivor: stage.backup };
  },
};

/** Asks the LAN who the guest is, so that each one that there is answers. */
export async function askForGuest(stage: Pick<Stage, "lab">): Promise<void> {
  const ask = "for i in 1 2 3; do ip neigh flush all; ping -n -q -c 1 -W 1 10.77.0.10; done";
  const child = stage.lab.exec("lan", ["sh", "-c", ask], { stdin: "null", stdout: "null", stderr: "null" });
  await child.status;
}

/** A primary that was overtaken while it was frozen goes on as if nothing had been. */
export const zombie: Row = {
  number: 17,
  fault: "control: term check off, primary frozen past the takeover, then thawed",
  outcome: "two voices",
  kind: NO_TERM_CHECK,
  random: false,
  control: true,
  async strike(stage): Promise<Struck> {
    const { primary, backup } = stage;
    const heard = stage.next(backup, (event) => event.event === "first_frame");
    const fault = await stage.lab.freeze(primary);
    await heard();
    await stage.lab.thaw(primary);
    await askForGuest(stage);
    return { fault, survivor: backup };
  },
};

/** Both hosts go on, each for itself. */
export const parted: Row = {
  number: 7,
  fault: "control: no witness, hosts parted while both reach the gateway",
  outcome: "two voices",
  kind: NO_WITNESS,
  random: false,
  control: true,
  async strike(stage): Promise<Struck> {
    const { primary, backup } = stage;
    const both = [stage.next(primary, reached("solo")), stage.next(backup, reached("solo"))];
    const fault = await stage.timed(async () => {
      await Promise.all([stage.lab.cutLink("a"), stage.lab.cutLink("b")]);
      await stage.lab.partLan();
    });
    await Promise.all(both.map((wait) => wait()));
    await askForGuest(stage);
    await pause(SPEAK_MS);
    return { fault, survivor: null };
  },
};
