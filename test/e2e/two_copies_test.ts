/** Two VMs that both ran, since somebody forced it: FAULTS.md row 22; and a move that is asked for during a sync: row 26. */

import assert from "node:assert/strict";
import { readGuestLog } from "../../lib/lab/guest_log.ts";
import { type Host, LINKS } from "../../lib/lab/places.ts";
import { soon } from "../lab/support.ts";
import { brokenPromises, differences, next, reached, Scene } from "./kit.ts";
import {
  alarm,
  bothRun,
  bothShown,
  compared,
  counted,
  digest,
  discard,
  meetAgain,
  said,
} from "./two_copies_kit.ts";

const READY_MS = 90_000;

function protectedNow(scene: Scene, host: Host): (bound_ms?: number) => Promise<unknown> {
  return next(scene.pair.runner(host), reached("protected"));
}

/** What is kept is what the host had. */
async function keptAsItWas(scene: Scene, kept: { host: Host; records: number }): Promise<void> {
  const image = scene.pair.image(kept.host);
  const was = await digest(image);
  const where = await discard(scene, kept.host);
  assert.equal(await digest(`${where}/disk0.img`), was);
  const { last, contiguous, clean } = await readGuestLog(`${where}/disk0.img`);
  assert.deepEqual([last, contiguous, clean], [kept.records, true, true]);
}

async function noRoom(scene: Scene, host: Host): Promise<void> {
  await scene.pair.storage(host).quota(1);
  const refused = next(scene.pair.runner(host), alarm("keep"));
  const was = await digest(scene.pair.image(host));
  await said(scene, host, "discard");
  assert.match(
    String((await refused())["text"]),
    /not given up, since it could not be kept[^]*No space left/,
  );
  await scene.pair.storage(host).heal();
  assert.equal((await compared(scene, host)).phase, "diverged");
  assert.equal(await digest(scene.pair.image(host)), was);
}

/** A move is refused until the copy is whole, with how much is there and how long it takes. */
async function moveDuringSync(scene: Scene, primary: Host): Promise<void> {
  const syncs = async () => {
    const { phase, engine } = await scene.status(primary);
    return phase === "syncing" && engine.sync_rate > 0;
  };
  assert.ok(await soon(syncs, 30_000), "no sync is seen");
  const { code, err } = await said(scene, primary, "switchover");
  assert.equal(code, 5);
  assert.match(err, /not whole yet: \d+ of \d+ MiB are there, about \d+ s left/);
  assert.match(err, /what to do: Try again when the sync has ended/);
}

async function shape(scene: Scene, rate_mbit: number): Promise<void> {
  for (const link of LINKS) await scene.lab.shapeLink(link, { rate_mbit });
}

/** The operator keeps the one that goes on: the other host's disks become a restore point, and it joins. */
async function keepTheOneThatRuns(scene: Scene): Promise<void> {
  const { logs, client } = await bothRun(scene, "a");
  const { late } = await meetAgain(scene, "b");
  assert.deepEqual(late, []);
  await bothShown(scene, "b");
  assert.equal((await said(scene, "b", "start")).code, 5, "it starts while the other host runs the VM");
  await scene.killRunner("b");
  await scene.pair.start("b");
  assert.equal((await compared(scene, "b")).phase, "diverged");
  await bothShown(scene, "b");
  await noRoom(scene, "b");
  const again = protectedNow(scene, "a");
  await shape(scene, 10);
  await keptAsItWas(scene, { host: "b", records: logs.b });
  await moveDuringSync(scene, "a");
  await shape(scene, 1000);
  await again(READY_MS);
  assert.ok(await client.answered(20));
  assert.deepEqual(differences(await scene.verify("a")), []);
  const moved = protectedNow(scene, "b");
  assert.equal((await said(scene, "a", "switchover")).code, 0);
  await moved(READY_MS);
  assert.ok(await client.answered(20));
  assert.deepEqual(brokenPromises(await client.stop()), []);
}

/** The operator keeps the other one: the one that runs yields, the one that had given way starts from its own disks. */
async function keepTheOtherOne(scene: Scene): Promise<void> {
  const { logs, client } = await bothRun(scene, "b");
  await client.stop();
  const records = (await readGuestLog(scene.pair.image("b"))).last;
  await meetAgain(scene, "b");
  await bothShown(scene, "b");
  const diverged = next(scene.pair.runner("a"), reached("diverged"));
  await said(scene, "a", "yield");
  await diverged();
  const alone = next(scene.pair.runner("b"), reached("solo"));
  const started = () => said(scene, "b", "start").then(({ code }) => code === 0);
  assert.ok(await soon(started), "it does not hear that the other one gave way");
  await alone();
  assert.ok(records >= logs.b && await counted(scene, 5) > records, "it did not go on from its own disks");
  await bothShown(scene, "a");
  const again = protectedNow(scene, "b");
  await keptAsItWas(scene, { host: "a", records: logs.a });
  await again(READY_MS);
}

/** The host that ran last, alone, is away; the operator starts the older copy. What the first one did is not written over. */
async function olderCopyForced(scene: Scene): Promise<void> {
  const { pair, lab } = scene;
  const [alone, stale] = [next(pair.runner("b"), reached("solo")), next(pair.runner("a"), reached("stale"))];
  await Promise.all(LINKS.map((link) => lab.cutLink(link)));
  await Promise.all([alone(), stale()]);
  const records = await counted(scene, 30);
  await scene.killRunner("b");
  await Promise.all(LINKS.map((link) => lab.mendLink(link)));
  const silent = () => scene.status("a").then((status) => (status as unknown as { silent: boolean }).silent);
  assert.ok(await soon(silent, 10_000));
  assert.equal((await said(scene, "a", "start")).code, 5, "an older copy starts unasked");
  const started = next(pair.runner("a"), reached("solo"));
  for (const word of ["confirm-peer-off", "start"]) assert.equal((await said(scene, "a", word)).code, 0);
  await started();
  await counted(scene, 5);
  const back = await pair.start("b");
  await back.event(alarm("two-copies"));
  await bothShown(scene, "b");
  const again = protectedNow(scene, "a");
  await keptAsItWas(scene, { host: "b", records });
  await again(READY_MS);
}

Deno.test("two VMs that both ran are shown side by side; the operator picks, and the other one's disks are kept", async () => {
  await using scene = await Scene.open({ arbiter: "manual", volatileStorage: true });
  await scene.protect();
  await keepTheOneThatRuns(scene);
  await keepTheOtherOne(scene);
  await olderCopyForced(scene);
});
