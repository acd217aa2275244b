/** What the tests of two copies share: both hosts made to run the VM by an operator's mistake, and what a person then asks and sees. */

import assert from "node:assert/strict";
import { run as ctl } from "../../lib/cli/ctl.ts";
import { runCommand } from "../../lib/cli/command.ts";
import type { Side } from "../../lib/group/last_run.ts";
import { Capture, type SecondVoice, voices } from "../../lib/lab/capture.ts";
import { askForGuest } from "../../lib/lab/faults/controls.ts";
import { other } from "../../lib/lab/faults/stage.ts";
import type { RunnerEvent } from "../../lib/lab/pair.ts";
import { type Host, HOSTS, LINKS } from "../../lib/lab/places.ts";
import { soon } from "../lab/support.ts";
import { type CountingClient, next, reached, type Scene, type Wanted } from "./kit.ts";

export function alarm(code: string): Wanted {
  return (event) => event.event === "alarm" && event["code"] === code;
}

/** What `ctl` says on a host. */
export async function said(scene: Scene, host: Host, word: string) {
  const [out, err]: [string[], string[]] = [[], []];
  const io = { out: (line: string) => out.push(line), err: (line: string) => err.push(line) };
  const commands = [{ name: "ctl", summary: "", load: () => Promise.resolve({ run: ctl }) }];
  const args = ["ctl", `${scene.pair.runDirectory(host)}/runner.sock`, word];
  const code = await runCommand(commands, { args, io });
  return { code, out: out.join("\n"), err: err.join("\n") };
}

/** What a status says of both sides. */
export interface Compared {
  phase: string;
  sentence: string;
  here: Side;
  other: Side | null;
}

export async function compared(scene: Scene, host: Host): Promise<Compared> {
  return await scene.status(host) as unknown as Compared;
}

/** A client counts some more, and ends. How many records the guest's log has then. */
export async function counted(scene: Scene, count: number): Promise<number> {
  const client = await scene.client({ write: 256 });
  assert.ok(await client.answered(count), "the guest does not answer");
  const { disk, connection, reason } = await client.stop();
  assert.equal(connection, "survived", String(reason));
  assert.deepEqual([disk?.ok, disk?.contiguous], [true, true]);
  return disk!.last;
}

export async function digest(file: string): Promise<string> {
  const bytes = await Deno.readFile(file);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** Both hosts run the VM, each with a past of its own. */
export interface BothRun {
  /** Records in the log of the former primary, and of the former backup. */
  logs: Record<Host, number>;
  /** Counts on the former primary. */
  client: CountingClient;
}

/** Cuts the hosts off from each other, and has the operator say on both that the other one is off. The former backup has the LAN first,
 * then the former primary: never both, so that neither hears the other. */
export async function bothRun(scene: Scene, primary: Host): Promise<BothRun> {
  const { lab, pair } = scene;
  const backup = other(primary);
  const logs = { a: 0, b: 0 };
  const told = [next(pair.runner(primary), alarm("held")), next(pair.runner(backup), alarm("held"))];
  await lab.cutLan(primary);
  await Promise.all(LINKS.map((link) => lab.cutLink(link)));
  await Promise.all(told.map((wait) => wait()));
  await goesOn(scene, backup);
  logs[backup] = await counted(scene, 20);
  await lab.cutLan(backup);
  await lab.mendLan(primary);
  await goesOn(scene, primary);
  logs[primary] = await counted(scene, 50);
  return { logs, client: await scene.client({ write: 256 }) };
}

async function goesOn(scene: Scene, host: Host): Promise<void> {
  const alone = next(scene.pair.runner(host), reached("solo"));
  assert.equal((await said(scene, host, "confirm-peer-off")).code, 0);
  await alone();
  await askForGuest(scene);
}

/** The lines come back: who is to give way has ended its VM, and says so. What the LAN heard of it afterwards. */
export async function meetAgain(
  scene: Scene,
  gives: Host,
): Promise<{ fenced: RunnerEvent; late: SecondVoice[] }> {
  const { lab, pair } = scene;
  await using capture = await Capture.start(lab);
  const runner = pair.runner(gives);
  const [fenced, diverged] = [next(runner, alarm("fenced")), next(runner, reached("diverged"))];
  const asked = askForGuest(scene);
  for (const host of HOSTS) await lab.mendLan(host);
  await Promise.all(LINKS.map((link) => lab.mendLink(link)));
  const event = await fenced();
  await diverged();
  await asked;
  await askForGuest(scene);
  const at_us = Number(event["t_us"]);
  const frames = (await capture.stop()).filter((frame) => frame.at_us > at_us);
  assert.ok(frames.some(({ host }) => host !== gives), "the one who goes on is not heard");
  return { fenced: event, late: voices(frames, [{ host: other(gives), at_us }]) };
}

/** Both hosts show both sides. */
export async function bothShown(scene: Scene, gaveWay: Host): Promise<void> {
  const goes = other(gaveWay);
  const told = async () => {
    const [ran, runs] = [await compared(scene, gaveWay), await compared(scene, goes)];
    const same = ran.other?.since === runs.here.since && runs.other?.since === ran.here.since;
    return same && ran.other?.runs === true && runs.other?.runs === false &&
      / other host too/.test(runs.sentence);
  };
  assert.ok(await soon(told, 20_000), "the other host's side is not told");
  const [ran, runs] = [await compared(scene, gaveWay), await compared(scene, goes)];
  assert.equal(ran.phase, "diverged");
  assert.match(ran.sentence, /^Both hosts ran the VM/);
  assert.match(runs.sentence, /^Unprotected: the VM runs here, and it ran on the other host too/);
  const { here, other: there } = ran;
  assert.deepEqual([here.runs, there?.runs], [false, true]);
  for (const side of [here, there, runs.here, runs.other]) {
    const whole = side !== null && side.since !== null && side.last_write !== null && side.term > 1;
    assert.ok(whole, `a side lacks something: ${JSON.stringify(side)}`);
  }
  for (const host of [gaveWay, goes]) {
    const { out } = await said(scene, host, "status");
    assert.match(out, /this host: .* in term \d+, epoch \d+, disks last written 20/);
    assert.match(out, /the other host: .* in term \d+, epoch \d+, disks last written 20/);
  }
}

/** Gives up a host's VM, and returns the directory in which its disks are kept. */
export async function discard(scene: Scene, host: Host): Promise<string> {
  const kept = next(scene.pair.runner(host), alarm("kept"));
  assert.equal((await said(scene, host, "discard")).code, 0);
  const where = /are kept in (\S+)$/.exec(String((await kept())["text"]))?.[1];
  assert.ok(where !== undefined);
  return where;
}
