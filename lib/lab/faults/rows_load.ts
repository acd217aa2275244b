/** Bad lines, too little of them, and those who only look: rows 1, 9 and 28. */

import { signalProcess } from "../processes.ts";
import { HOSTS, LINKS } from "../places.ts";
import { pause } from "../scene.ts";
import { type PairKind, type Row, STANDARD } from "./row.ts";
import type { Stage } from "./stage.ts";

const TIGHT: PairKind = {
  key: "tight",
  options: { hostToml: "[rhythm]\ninflight = 3\nstall_ms = 20000\n" },
};
const MOST_IN_FLIGHT = 3;

/** Nobody's part has changed. */
function expectNoRoles(stage: Stage, roles: () => { [key: string]: unknown }[]): void {
  const changed = roles().map((event) => `${event["from"]} to ${event["to"]}`);
  stage.expect(changed.length === 0, `nobody's part changes: ${changed.join(", ")}`);
}

/** Programs that ask the runners all the time; they are killed wherever they are. */
const askersKilled: Row = {
  number: 1,
  fault: "programs that control the runners killed (`serve` does not exist yet)",
  outcome: "nothing happens to the VM",
  kind: STANDARD,
  random: true,
  async strike(stage) {
    const roles = stage.watchRoles();
    const children = HOSTS.map((host) => {
      const socket = `${stage.pair.runDirectory(host)}/runner.sock`;
      const loop = ["sh", "-c", 'while :; do "$@"; done', "sh", ...stage.scene.self, "ctl", socket, "status"];
      return stage.lab.exec(host, loop, { stdin: "null", stdout: "null", stderr: "null" });
    });
    const asking = () =>
      HOSTS.flatMap((host) => stage.lab.processes(host)).filter(({ words }) => words.includes("ctl"));
    await stage.until("they ask", () => asking().length >= HOSTS.length);
    await stage.answers(20);
    const fault = await stage.timed(async () => {
      for (const child of children) child.kill("SIGKILL");
      for (const { pid } of asking()) signalProcess(pid, "SIGKILL");
      await Promise.all(children.map((child) => child.status));
    });
    await stage.until("none is left", () => asking().length === 0);
    await stage.answers(20);
    expectNoRoles(stage, roles);
    return { fault, survivor: null };
  },
};

const badLines: Row = {
  number: 9,
  fault: "both links at 100 Mbit/s with 1, 5 or 20 % loss",
  outcome: "latency grows, nothing breaks, no takeover",
  kind: STANDARD,
  random: false,
  async strike(stage) {
    const roles = stage.watchRoles();
    const loss_percent = [1, 5, 20][Math.floor(stage.random() * 3)] ?? 1;
    const fault = await stage.timed(() =>
      Promise.all(LINKS.map((link) => stage.lab.shapeLink(link, { rate_mbit: 100, loss_percent })))
    );
    await stage.answers(30, 60_000);
    expectNoRoles(stage, roles);
    return { fault, survivor: null, note: `${loss_percent} % loss; reordering is not played here` };
  },
};

const slowBackup: Row = {
  number: 28,
  fault: "a guest that dirties more than its lines take",
  outcome: "bounded queues push it back, memory does not grow",
  kind: TIGHT,
  random: false,
  async strike(stage) {
    const { primary } = stage;
    await using heavy = await stage.scene.client({ dirty: 1500, fill: "random", write: 0 });
    const roles = stage.watchRoles();
    const fault = await stage.timed(() =>
      Promise.all(LINKS.map((link) => stage.lab.shapeLink(link, { rate_mbit: 20 })))
    );
    const early = await pressure(stage);
    const late = await pressure(stage);
    const inflight = Math.max(early.inflight, late.inflight);
    stage.expect(
      inflight >= 2 && inflight <= MOST_IN_FLIGHT,
      `2 or 3 epochs are on their way at most, not ${inflight}`,
    );
    stage.expect(late.mib < early.mib + 64, `memory does not grow: ${early.mib} MiB, then ${late.mib} MiB`);
    expectNoRoles(stage, roles);
    for (const link of LINKS) await stage.lab.shapeLink(link, { rate_mbit: 1000 });
    stage.expect(await heavy.answered(1, 60_000), "the guest answers its heavy client");
    const note = `${inflight} epochs in flight, ${early.mib.toFixed(0)} then ${
      late.mib.toFixed(0)
    } MiB in host ${primary}'s runner`;
    return { fault, survivor: null, note };
  },
};

const LOOKS = 40;

/** The most epochs on their way, and the most memory of the primary's runner, within a few seconds. */
async function pressure(stage: Stage): Promise<{ inflight: number; mib: number }> {
  const most = { inflight: 0, mib: 0 };
  for (let look = 0; look < LOOKS; look++) {
    await pause(60);
    most.inflight = Math.max(most.inflight, (await stage.scene.status(stage.primary)).engine.inflight);
    const status = Deno.readTextFileSync(`/proc/${stage.runner(stage.primary).child.pid}/status`);
    most.mib = Math.max(most.mib, Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1]) / 1024);
  }
  return most;
}

export const LOAD_ROWS: readonly Row[] = [askersKilled, badLines, slowBackup];
