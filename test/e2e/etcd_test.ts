/** With a site's etcd as the arbiter. */

import assert from "node:assert/strict";
import { findEtcd } from "../etcd_program.ts";
import { brokenPromises, next, reached, Scene } from "./kit.ts";

Deno.test("the primary loses its power: etcd grants the backup a newer term, and nothing is lost", async () => {
  findEtcd();
  const { scene, client } = await Scene.counting({ arbiter: "etcd" });
  await using _ = scene;
  assert.ok(await client.answered(100));
  const promoted = next(scene.pair.runner("b"), reached("solo"));
  const { term, watchdog } = await scene.status("a") as unknown as {
    term: number;
    watchdog: { state: string };
  };
  assert.equal(watchdog.state, "off", "a lab must never use this machine's watchdog");
  await scene.lab.powerOff("a");
  await promoted();
  assert.ok(await client.answered(100), "the guest does not answer after the takeover");
  assert.deepEqual(brokenPromises(await client.stop()), []);
  assert.ok((await scene.status("b")).term > term);
});
