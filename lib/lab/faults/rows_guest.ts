/** What the guest itself does: it starts anew, or has more to do than its host can take: rows 29 and 30. */

import { ADDRESSES, type Host, LINKS } from "../places.ts";
import { pause, reached, type Wanted } from "../scene.ts";
import { endClient } from "./anew.ts";
import { type PairKind, type Row, STANDARD, type Struck } from "./row.ts";
import type { Stage } from "./stage.ts";

/** A command of the guest's service that it does not live to answer twice. */
async function tellGuest(stage: Stage, word: "reboot" | "crash"): Promise<void> {
  const talk =
    `exec 3<>/dev/tcp/${ADDRESSES.guest}/7777; echo ${word} >&3; read -r said <&3; [ "$said" = ok ]`;
  const child = stage.lab.exec("client", ["timeout", "10", "bash", "-c", talk], { stdin: "null" });
  stage.expect((await child.status).success, `the guest says that it will ${word}`);
}

/** The guest starts anew while it is protected, and then its host is lost. */
async function startsAnew(stage: Stage, word: "reboot" | "crash"): Promise<Struck> {
  const { primary, backup, scene } = stage;
  const before = await endClient(stage);
  const roles = stage.watchRoles();
  const fault = await stage.timed(() => tellGuest(stage, word));
  await using asked = await scene.client({ requests: 1 });
  const { counter, disk, memory } = await asked.stop();
  stage.expect(counter === 1, `the guest began again: it counted to ${counter}`);
  const kept = before.disk?.last ?? 0;
  stage.expect(
    memory?.ok === true && disk?.ok === true && disk.contiguous && disk.last === kept + 1,
    `its ${kept} records are there and one more: ${disk?.last}`,
  );
  stage.expect(roles().length === 0, "nobody's part changes");
  stage.client = await scene.client({ dirty: 20, write: 256, progress_ms: 20 });
  await stage.answers(50);
  const promoted = stage.next(backup, reached("solo"));
  await stage.lab.powerOff(primary);
  await promoted();
  return { fault, survivor: null, note: `${kept} records kept, then a takeover` };
}

/** Silence that is a lost host: on a machine all of whose cores are busy a short one is not. */
const PATIENT = 1000;
const RHYTHM = "[rhythm]\nstall_ms = 20000\n";
const FULL: PairKind = { key: "full load", options: { hostToml: RHYTHM, takeover: PATIENT } };
const LOOKS = 20;
const LOOK_MS = 500;

const fullLoad: Row = {
  number: 30,
  fault: "10 s of memory, disk and CPU at full load",
  outcome: "protected throughout",
  kind: FULL,
  random: false,
  async strike(stage) {
    const { primary, scene } = stage;
    const roles = stage.watchRoles();
    await using memory = await scene.client({ dirty: 3000, fill: "random", write: 0, verify: false });
    await using disk = await scene.client({ dirty: 0, write: 65_536, fill: "random", verify: false });
    const busy = [1, 2].map(() =>
      stage.lab.exec(primary, ["sh", "-c", "while :; do :; done"], { stdin: "null" })
    );
    const before = (await scene.status(primary)).engine;
    const at_us = stage.clock();
    const loads = [memory, disk];
    const replies = loads.map((client) => client.replies);
    try {
      for (let look = 0; look < LOOKS; look++) {
        await pause(LOOK_MS);
        const { phase } = await scene.status(primary);
        stage.expect(phase === "protected", `it is protected all the time: ${phase}`);
      }
    } finally {
      for (const child of busy) child.kill("SIGKILL");
      await Promise.all(busy.map((child) => child.status));
    }
    stage.expect(
      loads.every((client, index) => client.replies > replies[index]!),
      "the guest answers each of its clients",
    );
    const { engine } = await scene.status(primary);
    stage.expect(roles().length === 0, "nobody's part changes");
    const mib = engine.link_bytes_out.reduce((sum, bytes) => sum + bytes, 0) -
      before.link_bytes_out.reduce((sum, bytes) => sum + bytes, 0);
    return {
      fault: { at_us, done_us: stage.clock() },
      survivor: null,
      note: `${(mib / 2 ** 20).toFixed(0)} MiB sent`,
    };
  },
};

const LADDER: PairKind = {
  key: "ladder",
  // The bound is far above what a commit takes on a busy machine, far below what it takes on the slow line.
  options: { hostToml: RHYTHM, takeover: PATIENT, vmToml: "[degradation]\nmax_added_ms = 1500\n" },
};
const SLOW_MBIT = 1;
const DOWN_MS = 90_000;
const UP_MS = 180_000;

/** A change of the ladder to this level, with its reason. */
function to(level: string): Wanted {
  return (event) =>
    (event.event === "degraded" || event.event === "recovered") && event["to"] === level &&
    /a commit takes \d+ ms, the bound is \d+ ms/.test(String(event["why"]));
}

const slowLines: Row = {
  number: 30,
  fault: "lines at 1 Mbit/s for a guest that dirties more",
  outcome: "longer epochs, a slower guest, each with its reason; full again with the lines",
  kind: LADDER,
  random: false,
  async strike(stage) {
    const { primary, scene } = stage;
    const roles = stage.watchRoles();
    await using heavy = await scene.client({ dirty: 8000, fill: "random", write: 0, patience_ms: 60_000 });
    stage.expect(await heavy.answered(3), "the guest answers its heavy client");
    const [longer, slower] = [stage.next(primary, to("longer")), stage.next(primary, to("slower"))];
    const told = alarm(stage, primary);
    const fault = await stage.timed(() =>
      Promise.all(LINKS.map((link) => stage.lab.shapeLink(link, { rate_mbit: SLOW_MBIT })))
    );
    await longer(DOWN_MS);
    await told(DOWN_MS);
    await slower(DOWN_MS);
    const { sentence } = await scene.status(primary);
    stage.expect(/^Protected.*the guest is slowed by \d+ %/.test(sentence), `it says so: ${sentence}`);
    const full = stage.next(primary, to("full"));
    for (const link of LINKS) await stage.lab.shapeLink(link, { rate_mbit: 1000 });
    await full(UP_MS);
    stage.expect(roles().length === 0, "nobody's part changes");
    return { fault, survivor: null };
  },
};

function alarm(stage: Stage, host: Host): (bound_ms?: number) => Promise<unknown> {
  return stage.next(host, (event) => event.event === "alarm" && event["code"] === "degraded");
}

export const GUEST_ROWS: readonly Row[] = [
  {
    number: 29,
    fault: "the guest reboots, then its host loses its power",
    outcome: "protected all the time, the new boot is taken over",
    kind: STANDARD,
    random: false,
    strike: (stage) => startsAnew(stage, "reboot"),
  },
  {
    number: 29,
    fault: "the guest's kernel panics, then its host loses its power",
    outcome: "replicated as it is; what was flushed is there",
    kind: STANDARD,
    random: false,
    strike: (stage) => startsAnew(stage, "crash"),
  },
  fullLoad,
  slowLines,
];
