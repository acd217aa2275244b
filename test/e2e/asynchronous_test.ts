/** The last step of the ladder: output that does not wait for the backup. What it costs, what it does not cost, and the way back. */

import assert from "node:assert/strict";
import { metadataFile, MetadataStore } from "../../lib/group/metadata.ts";
import type { ClientSummary } from "../../lib/lab/counting_client.ts";
import { readGuestLog } from "../../lib/lab/guest_log.ts";
import type { RunnerEvent } from "../../lib/lab/pair.ts";
import { type Host, LINKS } from "../../lib/lab/places.ts";
import { soon } from "../lab/support.ts";
import { brokenPromises, type CountingClient, differences, next, reached, Scene } from "./kit.ts";
import { alarm, bothShown, discard, said } from "./two_copies_kit.ts";

/** A guest that changes far more with each request than the slow line takes. */
const HEAVY = { dirty: 8000, fill: "random", write: 256 } as const;
const SLOW_MBIT = 1;
/** Each step of the ladder takes its time: the guest is slowed in one step here. */
const LADDER = `[degradation]
order = ["longer", "slower", "asynchronous"]
max_added_ms = 1000
throttle_max_percent = 20
`;
const DOWN_MS = 60_000;
/** Until output no longer waits, a reply waits for as long as all the steps take: some ten seconds. A client gives up after more. */
const PATIENCE_MS = 20_000;

async function shape(scene: Scene, rate_mbit: number): Promise<void> {
  for (const link of LINKS) await scene.lab.shapeLink(link, { rate_mbit });
}

function asynchronousStep(name: string) {
  return (event: RunnerEvent) => reached("asynchronous", name)(event);
}

function written(scene: Scene, host: Host): string | undefined {
  return new MetadataStore(metadataFile(`${scene.pair.dataDirectory(host)}/demo/group.meta`)).newest?.copy;
}

/** The lines get so slow that the ladder reaches its end: the backup has written that it is behind before output leaves. */
async function falls(scene: Scene, primary: Host, client: CountingClient): Promise<void> {
  const backup = primary === "a" ? "b" : "a";
  const levels = next(scene.pair.runner(primary), (event) => event["to"] === "slower");
  const on = next(scene.pair.runner(primary), asynchronousStep("on"));
  const behind = next(scene.pair.runner(backup), reached("behind", "written"));
  await shape(scene, SLOW_MBIT);
  await levels(DOWN_MS);
  const [began, wrote] = [await on(DOWN_MS), await behind()];
  assert.ok(
    Number(wrote["t_us"]) < Number(began["t_us"]),
    "output left before the backup had written that it is behind",
  );
  assert.equal(written(scene, backup), "behind");
  assert.ok(await client.answered(10, 60_000), "output does not flow");
  const { sentence } = await scene.status(primary);
  assert.match(sentence, /^Not protected without loss/);
  assert.equal((await said(scene, primary, "switchover")).code, 5);
}

/** The lines are well again. */
async function recovers(scene: Scene, primary: Host, client: CountingClient): Promise<void> {
  const again = next(scene.pair.runner(primary), reached("protected"));
  await shape(scene, 1000);
  await again(DOWN_MS);
  const backup = primary === "a" ? "b" : "a";
  assert.ok(await soon(() => written(scene, backup) === "whole", 10_000));
  assert.ok(await client.answered(5, 60_000));
  assert.deepEqual(differences(await scene.verify(primary)), []);
}

/** The primary loses its power while output does not wait: nobody starts the copy but the operator. What the client saw. */
async function forced(scene: Scene, primary: Host, client: CountingClient): Promise<ClientSummary> {
  const backup = primary === "a" ? "b" : "a";
  const runner = scene.pair.runner(backup);
  const held = next(runner, alarm("held"));
  await scene.lab.powerOff(primary);
  assert.match(String((await held())["text"]), /the copy here is behind/);
  assert.equal(
    (await said(scene, backup, "promote")).code,
    5,
    "it starts before the operator saw that the other is off",
  );
  assert.match((await scene.status(backup)).sentence, /behind what the VM did/);
  const promoted = next(runner, reached("solo"));
  for (const word of ["confirm-peer-off", "promote"]) {
    assert.equal((await said(scene, backup, word)).code, 0, word);
  }
  await promoted();
  const begun = runner.events.filter((event) => reached("promoting")(event) && event["from"] !== "promoting");
  assert.deepEqual(begun.map((event) => event["because"]), ["promote"]);
  return await client.stop();
}

Deno.test("asynchronous: the backup writes down that it is behind, and counts again when it has all; only the operator starts it meanwhile", async () => {
  const { scene, client } = await Scene.counting({
    hostToml: "[rhythm]\nstall_ms = 20000\n",
    takeover: 1000,
    vmToml: LADDER,
  }, { ...HEAVY, patience_ms: 2 * PATIENCE_MS });
  await using _ = scene;
  assert.ok(await client.answered(5));
  await falls(scene, "a", client);
  await recovers(scene, "a", client);
  // The control of what follows: protected again, a power-off loses nothing.
  const promoted = next(scene.pair.runner("b"), reached("solo"));
  await scene.lab.powerOff("a");
  await promoted();
  assert.ok(await client.answered(5, 60_000));
  assert.deepEqual(brokenPromises(await client.stop()), []);
  await scene.pair.runner("a").ended;
  await scene.lab.powerOn("a");
  await scene.restart("a");

  const second = await scene.client({ ...HEAVY, patience_ms: PATIENCE_MS });
  await falls(scene, "b", second);
  const { lost } = await forced(scene, "b", second);
  assert.ok(lost > 0, "nothing was lost: it was not asynchronous");
  await shape(scene, 1000);
  await scene.pair.runner("b").ended;
  await scene.lab.powerOn("b");
  const back = await scene.pair.start("b");
  await back.event(alarm("two-copies"));
  await bothShown(scene, "b");
  const again = next(scene.pair.runner("a"), reached("protected"));
  const { clean, last } = await readGuestLog(`${await discard(scene, "b")}/disk0.img`);
  assert.ok(clean && last > 0);
  await again(90_000);
});
