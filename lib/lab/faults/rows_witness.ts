/** With a witness: rows 7, 19 and 20. */

import { pause, reached, type Wanted } from "../scene.ts";
import { HOSTS } from "../places.ts";
import type { PairKind, Row } from "./row.ts";
import type { Stage } from "./stage.ts";

const WITNESS: PairKind = { key: "witness", options: { arbiter: "witness" } };

/** The first host of which an event says this. */
function either(stage: Stage, wanted: Wanted): () => Promise<unknown> {
  const waits = HOSTS.map((host) => stage.next(host, wanted));
  return () => Promise.any(waits.map((wait) => wait()));
}

const parted: Row = {
  number: 7,
  fault: "links and LAN cut between the hosts, both reach the witness",
  outcome: "exactly one goes on",
  kind: WITNESS,
  random: false,
  async strike(stage) {
    const goesOn = either(stage, reached("solo"));
    const refused = either(
      stage,
      ({ event, phase }) => event === "state" && /was granted to the other/.test(JSON.stringify(phase)),
    );
    const fault = await stage.timed(async () => {
      await Promise.all([stage.lab.cutLink("a"), stage.lab.cutLink("b")]);
      await stage.lab.partLan();
    });
    await Promise.all([goesOn(), refused()]);
    await stage.answers(20);
    const { holder } = await stage.pair.witness.granted();
    const phases = await Promise.all(HOSTS.map(async (host) => (await stage.scene.status(host)).phase));
    const running = HOSTS.filter((_, index) =>
      ["solo", "syncing", "protected"].includes(phases[index] ?? "")
    );
    stage.expect(
      running.length === 1 && running[0] === holder,
      `one host goes on, the one with the grant: ${phases}`,
    );
    return { fault, survivor: holder };
  },
};

/** Kills the witness; resolves when both hosts have said so. */
async function loseWitness(stage: Stage): Promise<void> {
  const told = HOSTS.map((host) =>
    stage.next(host, (event) => event.event === "alarm" && event["code"] === "witness")
  );
  await stage.pair.witness.kill();
  await Promise.all(told.map((wait) => wait()));
}

const witnessLost: Row = {
  number: 19,
  fault: "witness lost, pair healthy",
  outcome: "protected, with an alarm that nobody takes over by itself",
  kind: WITNESS,
  random: false,
  async strike(stage) {
    const fault = await stage.timed(() => loseWitness(stage));
    await stage.answers(20);
    const { phase, sentence } = await stage.scene.status(stage.primary);
    stage.expect(
      phase === "protected" && /nobody takes over by itself/.test(sentence),
      `it says so: ${sentence}`,
    );
    const back = HOSTS.map((host) =>
      stage.next(host, (event) => event.event === "alarm" && event["code"] === "witness-back")
    );
    await stage.pair.witness.begin();
    await Promise.all(back.map((wait) => wait()));
    return { fault, survivor: null };
  },
};

const HOLDS_MS = 1500;

const witnessThenHost: Row = {
  number: 20,
  fault: "witness lost, then the primary",
  outcome: "nobody goes on until the witness is back",
  kind: WITNESS,
  random: false,
  async strike(stage) {
    const { primary, backup } = stage;
    await loseWitness(stage);
    const asking = stage.next(backup, reached("asking"));
    const promoted = stage.next(backup, reached("solo"));
    const fault = await stage.lab.powerOff(primary);
    await asking();
    await pause(HOLDS_MS); // ten times the takeover time
    stage.expect((await stage.scene.status(backup)).phase === "asking", "it waits for the witness");
    await stage.pair.witness.begin();
    await promoted();
    return { fault, survivor: backup, note: `held for ${HOLDS_MS} ms by the row` };
  },
};

export const WITNESS_ROWS: readonly Row[] = [parted, witnessLost, witnessThenHost];
