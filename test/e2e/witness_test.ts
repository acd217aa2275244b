/** With a witness: FAULTS.md rows 4, 6, 7, 19 and 20. */

import assert from "node:assert/strict";
import { brokenPromises, next, pause, reached, Scene, type Wanted } from "./kit.ts";

/** Hosts whose guest's output can leave now. */
async function voices(scene: Scene): Promise<string[]> {
  const said = await Promise.all((["a", "b"] as const).map(async (host) => {
    const { phase } = await scene.status(host);
    return ["solo", "protected", "syncing"].includes(phase) ? [host] : [];
  }));
  return said.flat();
}

/** So long that all three paths are cut before the first one is missed. */
const TAKEOVER_MS = 2000;

/** The hosts hear nothing of each other, but both hear the gateway, the clients and, if there is one, the witness. The LAN comes last:
 * when it is missed first, the arbiter "lan" grows suspicious. */
async function part(scene: Scene): Promise<void> {
  await Promise.all([scene.lab.cutLink("a"), scene.lab.cutLink("b")]);
  await scene.lab.partLan();
}

Deno.test("the primary loses its power: the witness grants the backup a newer term, and nothing is lost", async () => {
  const { scene, client } = await Scene.counting({ arbiter: "witness" });
  await using _ = scene;
  assert.ok(await client.answered(100));
  const backup = scene.pair.runner("b");
  const promoted = next(backup, reached("solo"));
  await scene.lab.powerOff("a");
  await promoted();
  assert.ok(await client.answered(100), "the guest does not answer after the takeover");
  assert.deepEqual(brokenPromises(await client.stop()), []);
  assert.deepEqual(await scene.pair.witness.granted(), { term: (await scene.status("b")).term, holder: "b" });
});

Deno.test("two living hosts that are cut off from each other on all three paths: exactly one goes on, nothing is lost", async () => {
  const { scene, client } = await Scene.counting({ arbiter: "witness", takeover: TAKEOVER_MS });
  await using _ = scene;
  assert.ok(await client.answered(100));
  const either = (wanted: Wanted) =>
    Promise.race((["a", "b"] as const).map((host) => next(scene.pair.runner(host), wanted)()));
  const decided = Promise.all([
    either(reached("solo")),
    either(({ event, phase }) => event === "state" && /was granted to the other/.test(JSON.stringify(phase))),
  ]);
  await part(scene);
  await decided;
  assert.ok(await client.answered(100), "the guest does not answer");
  const one = await voices(scene);
  assert.equal(one.length, 1, one.join());
  assert.equal((await scene.pair.witness.granted()).holder, one[0]);
  assert.deepEqual(brokenPromises(await client.stop()), []);
});

Deno.test("control: without a witness two hosts that are cut off from each other, and both reach the gateway, both go on", async () => {
  const { scene } = await Scene.counting({ arbiter: "lan", takeover: TAKEOVER_MS });
  await using _ = scene;
  const both = [
    next(scene.pair.runner("a"), reached("solo"))(),
    next(scene.pair.runner("b"), reached("solo"))(),
  ];
  await part(scene);
  await Promise.all(both);
  assert.deepEqual(await voices(scene), ["a", "b"]);
});

Deno.test("the witness is lost: the pair stays protected and says so; then the primary too: nobody goes on until it is back", async () => {
  const { scene, client } = await Scene.counting({ arbiter: "witness" });
  await using _ = scene;
  const backup = scene.pair.runner("b");
  const alarm = next(backup, (event) => event.event === "alarm" && event["code"] === "witness");
  await scene.pair.witness.kill();
  assert.match(String((await alarm())["text"]), /No automatic takeover .*the witness|nothing listens there/);
  assert.ok(await client.answered(50), "a pair without its witness does not go on");
  assert.equal((await scene.status("a")).phase, "protected");
  assert.match((await scene.status("a")).sentence, /nobody takes over by itself/);
  const asking = next(backup, reached("asking"));
  const promoted = next(backup, reached("solo"));
  await scene.lab.powerOff("a");
  await asking();
  await pause(1500); // ten times the takeover time
  assert.equal((await scene.status("b")).phase, "asking");
  await scene.pair.witness.begin();
  await promoted();
  assert.ok(await client.answered(50), "the guest does not answer after the takeover");
  assert.deepEqual(brokenPromises(await client.stop()), []);
});
