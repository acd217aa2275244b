/** A host's disk that fails or is full: FAULTS.md rows 13 and 14. */

import assert from "node:assert/strict";
import type { VolatileStorage } from "../../lib/lab/volatile_storage.ts";
import { brokenPromises, next, reached, Scene } from "./kit.ts";

/** What makes a backup's disk useless, and what the alarm says of it. */
const BACKUP_FAULTS: { name: string; cause: (storage: VolatileStorage) => Promise<void> }[] = [
  { name: "is full", cause: (storage) => storage.quota(1) },
  { name: "fails", cause: (storage) => storage.fail({ on: "sync", file: "disk0.journal", error: "EIO" }) },
];

for (const { name, cause } of BACKUP_FAULTS) {
  Deno.test(`the backup's disk ${name}: the guest goes on unprotected, and is protected again when the disk is well`, async () => {
    const { scene, client } = await Scene.counting({ volatileStorage: true });
    await using _ = scene;
    const [primary, backup] = [scene.pair.runner("a"), scene.pair.runner("b")];
    const alone = next(primary, reached("solo"));
    const lost = next(backup, (event) => event.event === "alarm" && event["code"] === "copy-lost");
    await cause(scene.pair.storage("b"));
    assert.match(String((await lost())["text"]), /image|journal/);
    await alone();
    const tries = () => backup.events.filter(reached("joining")).length;
    const before = tries();
    assert.ok(await client.answered(300), "the guest does not go on");
    assert.match((await scene.status("a")).sentence, /^Unprotected/);
    assert.ok(tries() - before < 10, `the backup tried ${tries() - before} times meanwhile`);
    const again = next(primary, (event) => event.event === "protected");
    await scene.pair.storage("b").heal();
    await again(150_000);
    assert.ok(await client.answered(50));
    assert.deepEqual(brokenPromises(await client.stop()), []);
  });
}

Deno.test("the primary's disk fails: the VM moves to the whole copy, and nothing is lost", async () => {
  const { scene, client } = await Scene.counting({ volatileStorage: true });
  await using _ = scene;
  const moved = next(scene.pair.runner("b"), reached("solo"));
  const alarm = next(scene.pair.runner("a"), (event) => event.event === "alarm" && event["code"] === "disk");
  assert.ok(await client.answered(50));
  await scene.pair.storage("a").fail({ on: "sync", file: "*", error: "EIO" });
  assert.match(String((await alarm())["text"]), /disk of this host failed/);
  await moved();
  assert.ok(await client.answered(50), "the guest does not answer after the switchover");
  assert.deepEqual(brokenPromises(await client.stop()), []);
});

Deno.test("the only host's disk fails: the guest sees the error, and its host says so", async () => {
  await using scene = await Scene.open({ volatileStorage: true });
  const runner = await scene.pair.start("a", { begin: true });
  const alarm = next(runner, (event) => event.event === "alarm" && event["code"] === "disk");
  const client = await scene.client();
  assert.ok(await client.answered(20));
  await scene.pair.storage("a").fail({ on: "sync", file: "*", error: "EIO" });
  await alarm();
  const { reason } = await client.stop();
  assert.match(String(reason), /the guest answered "/);
  assert.equal((await scene.status("a")).phase, "solo");
});
