/** A host, or what runs on it, dies, freezes and comes back: rows 2, 3, 4, 17, 18, 23, 24 and 25. */

import { pause, reached } from "../scene.ts";
import type { Host } from "../places.ts";
import type { LabRunner } from "../pair.ts";
import { type Row, STANDARD, type Struck } from "./row.ts";
import { other, type Stage } from "./stage.ts";

/** The primary's runner is killed. */
const runnerKilled: Row = {
  number: 2,
  fault: "primary's runner killed",
  outcome: "QEMU goes with it, the backup takes over",
  kind: STANDARD,
  random: true,
  async strike(stage) {
    const { primary, backup } = stage;
    const qemus = stage.qemus(primary);
    const promoted = stage.next(backup, reached("solo"));
    const fault = await stage.timed(() => stage.scene.killRunner(primary));
    await promoted();
    await stage.until(
      "QEMU ended with its runner",
      () => !stage.qemus(primary).some((pid) => qemus.includes(pid)),
    );
    return { fault, survivor: backup };
  },
};

/** Whether a backup took over before it had noticed any silence. */
function wasTold(backup: LabRunner, from: number): boolean {
  const events = backup.events.slice(from);
  const takeover = events.findIndex(reached("promoting"));
  return takeover >= 0 &&
    !events.slice(0, takeover).some((event) => event.event === "peer" && event["silent"] === true);
}

const qemuKilled: Row = {
  number: 3,
  fault: "primary's QEMU killed",
  outcome: "the backup is told, and does not wait for silence",
  kind: STANDARD,
  random: true,
  takesTurns: true,
  async strike(stage) {
    const { primary, backup } = stage;
    const from = stage.runner(backup).events.length;
    const [qemu] = stage.qemus(primary);
    const promoted = stage.next(backup, reached("solo"));
    const fault = await stage.timed(() => Promise.resolve(Deno.kill(qemu ?? 0, "SIGKILL")));
    await promoted();
    stage.expect(wasTold(stage.runner(backup), from), "the backup was told, and did not wait for silence");
    return { fault, survivor: backup };
  },
};

/** Takes a host's power and waits for the takeover by the other one. */
async function losePower(stage: Stage, host: Host): Promise<Struck> {
  const survivor = other(host);
  const promoted = stage.next(survivor, reached("solo"));
  const fault = await stage.lab.powerOff(host);
  await promoted();
  return { fault, survivor };
}

const powerLost: Row = {
  number: 4,
  fault: "primary host loses its power",
  outcome: "silence, grant, takeover; connections go on",
  kind: STANDARD,
  random: true,
  strike: (stage) => losePower(stage, stage.primary),
};

const primaryFrozen: Row = {
  number: 17,
  fault: "primary frozen past the takeover, then thawed",
  outcome: "says nothing more, gives its VM up",
  kind: STANDARD,
  random: true,
  takesTurns: true,
  async strike(stage) {
    const { primary, backup } = stage;
    const promoted = stage.next(backup, reached("solo"));
    const heard = stage.next(backup, (event) => event.event === "first_frame");
    const fault = await stage.lab.freeze(primary);
    await promoted();
    await heard();
    await stage.answers(20);
    const fenced = stage.next(primary, reached("fencing"));
    await stage.lab.thaw(primary);
    await fenced();
    return { fault, survivor: backup };
  },
};

const backupFrozen: Row = {
  number: 18,
  fault: "backup frozen past the timeout, then thawed",
  outcome: "the primary goes on in a newer term, the backup starts nothing",
  kind: STANDARD,
  random: true,
  async strike(stage) {
    const { primary, backup, standing } = stage;
    const from = stage.runner(backup).events.length;
    const alone = stage.next(primary, reached("solo"));
    const fault = await stage.lab.freeze(backup);
    await alone();
    await stage.answers(20);
    const joins = stage.next(backup, reached("joining"));
    await stage.lab.thaw(backup);
    await joins();
    const { term } = await stage.scene.status(primary);
    stage.expect(term > standing.term, "the primary is in a newer term");
    const started = stage.runner(backup).events.slice(from).some(reached("promoting"));
    stage.expect(!started, "the thawed backup does not start its copy");
    return { fault, survivor: primary };
  },
};

/** Bytes that a host has sent over both lines. */
async function bytesOut(stage: Stage, host: Host): Promise<number> {
  const { engine } = await stage.scene.status(host);
  return engine.link_bytes_out.reduce((sum, bytes) => sum + bytes, 0);
}

const comesBack: Row = {
  number: 23,
  fault: "the failed host comes back, then the other one fails",
  outcome: "protected again by itself; nothing lost by the second failure",
  kind: STANDARD,
  random: true,
  async strike(stage) {
    const { primary, backup } = stage;
    const { fault } = await losePower(stage, primary);
    await stage.answers(20);
    const before = await bytesOut(stage, backup);
    await stage.heal();
    const sent = await bytesOut(stage, backup) - before;
    await stage.answers(20);
    await losePower(stage, backup);
    return { fault, survivor: backup, note: `${(sent / 2 ** 20).toFixed(1)} MiB to protect it again` };
  },
};

const replaced: Row = {
  number: 24,
  fault: "the failed host is replaced by an empty one",
  outcome: "full sync with progress; the empty one starts nothing",
  kind: STANDARD,
  random: false,
  async strike(stage) {
    const { primary, backup } = stage;
    const alone = stage.next(primary, reached("solo"));
    const fault = await stage.lab.powerOff(backup);
    await alone();
    await stage.runner(backup).ended;
    await stage.pair.empty(backup);
    await stage.lab.powerOn(backup);
    const progress = stage.next(
      primary,
      (event) => event.event === "sync" && Number(event["bytes_total"]) > 0,
    );
    // Asked to begin, too: it must not, for the other host has the VM.
    const fresh = await stage.pair.start(backup, { begin: true });
    await progress();
    await stage.whole();
    stage.expect(!fresh.events.some(reached("starting")), "the empty host starts nothing");
    return { fault, survivor: primary };
  },
};

/** A few moves there and back, by power and on purpose; the long run is `--leaks`. */
const backAndForth: Row = {
  number: 25,
  fault: "takeovers back and forth (100 with --leaks)",
  outcome: "terms grow with each",
  kind: STANDARD,
  random: false,
  async strike(stage) {
    let struck = await losePower(stage, stage.primary);
    for (let move = 0; move < 3; move++) {
      const { term } = await stage.heal();
      struck = await losePower(stage, stage.primary);
      stage.expect(
        (await stage.scene.status(struck.survivor!)).term > term,
        "each takeover has a newer term",
      );
      await pause(100);
    }
    return struck;
  },
};

/** A planned move. */
const switchover: Row = {
  number: 23,
  fault: "planned switchover",
  outcome: "the VM moves and is protected again",
  kind: STANDARD,
  random: true,
  takesTurns: true,
  async strike(stage) {
    const { primary, backup } = stage;
    const promoted = stage.next(backup, reached("solo"));
    const fault = await stage.timed(() => stage.runner(primary).call("switchover"));
    await promoted();
    return { fault, survivor: backup };
  },
};

export const HOST_ROWS: readonly Row[] = [
  runnerKilled,
  qemuKilled,
  powerLost,
  primaryFrozen,
  backupFrozen,
  comesBack,
  switchover,
  replaced,
  backAndForth,
];
