/** Two copies that somebody forced, and a move that is asked for too early: rows 22 and 26. */

import { RefusedError } from "../../errors.ts";
import { reached, type Wanted } from "../scene.ts";
import { LINKS } from "../places.ts";
import { type PairKind, type Row, RowFailure, STANDARD } from "./row.ts";
import { other, type Stage } from "./stage.ts";

const MANUAL: PairKind = { key: "manual", options: { arbiter: "manual" } };
const SLOW_MBIT = 10;

function alarm(code: string): Wanted {
  return (event) => event.event === "alarm" && event["code"] === code;
}

/** Of two hosts in the same term this one gives way: lib/cli/runner.ts, yieldsTies. */
const GIVES_WAY = "b";

const bothActive: Row = {
  number: 22,
  fault: "the operator says on both hosts that the other is off, and both run the VM",
  outcome: "one gives way when the lines return; discarded, its disks are kept",
  kind: MANUAL,
  random: false,
  async strike(stage) {
    const goes = other(GIVES_WAY);
    const held = [stage.next("a", alarm("held")), stage.next("b", alarm("held"))];
    const fault = await stage.timed(async () => {
      await stage.lab.cutLan(GIVES_WAY);
      await Promise.all(LINKS.map((link) => stage.lab.cutLink(link)));
    });
    await Promise.all(held.map((wait) => wait()));
    for (const host of [goes, GIVES_WAY] as const) {
      const alone = stage.next(host, reached("solo"));
      await stage.runner(host).call("confirm_peer_off");
      await alone();
    }
    await stage.answers(20);
    const [fenced, diverged] = [
      stage.next(GIVES_WAY, alarm("fenced")),
      stage.next(GIVES_WAY, reached("diverged")),
    ];
    await stage.lab.restore();
    await fenced();
    stage.listen(); // two voices until here: the operator's doing
    await diverged();
    const kept = stage.next(GIVES_WAY, alarm("kept"));
    await stage.runner(GIVES_WAY).call("discard");
    const where = /are kept in (\S+)$/.exec(String((await kept())["text"]))?.[1] ?? "";
    stage.expect(
      (await Deno.stat(`${where}/disk0.img`)).isFile,
      "the disks of the one that gave way are kept",
    );
    return { fault, survivor: null };
  },
};

const movedTooEarly: Row = {
  number: 26,
  fault: "switchover asked for during a sync",
  outcome: "refused with how much is there and how long it takes",
  kind: STANDARD,
  random: false,
  async strike(stage) {
    const { primary, backup } = stage;
    const alone = stage.next(primary, reached("solo"));
    const fault = await stage.timed(() => stage.scene.killRunner(backup));
    await alone();
    for (const link of LINKS) await stage.lab.shapeLink(link, { rate_mbit: SLOW_MBIT });
    await stage.pair.start(backup);
    await stage.until("a sync goes on", async () => {
      const { phase, engine } = await stage.scene.status(primary);
      return phase === "syncing" && engine.sync_rate > 0;
    }, 30_000);
    const problem = await refusal(stage);
    stage.expect(
      /not whole yet: \d+ of \d+ MiB are there, about \d+ s left/.test(problem),
      `it says how long: ${problem}`,
    );
    return { fault, survivor: null, note: problem };
  },
};

/** Why the primary refuses to move the VM. */
async function refusal(stage: Stage): Promise<string> {
  try {
    await stage.runner(stage.primary).call("switchover");
  } catch (error) {
    if (error instanceof RefusedError) return error.message;
    throw error;
  }
  throw new RowFailure("the switchover was not refused");
}

export const COPY_ROWS: readonly Row[] = [bothActive, movedTooEarly];
