/** A host's runner ends in the middle of something: FAULTS.md rows 10, 11 and 12. One client counts over one connection
 * through all the deaths of a test, and each host comes back as the backup. */

import assert from "node:assert/strict";
import type { Host } from "../../lib/lab/places.ts";
import { brokenPromises, differences, guestMemory, next, reached, Scene } from "./kit.ts";

/** Where the backup dies: while it takes an epoch in, and while its journal writes to the image. */
const BACKUP_DIES = [
  "stage-whole",
  "apply-half",
  "acknowledged",
  "journal-written",
  "journal-synced",
  "image-half",
  "journal-trim",
];

/** Where the primary dies: in its pause, while it sends an epoch, before the commit opens the gate, and in its journal. */
const PRIMARY_DIES = [
  "checkpoint-stopped",
  "checkpoint-copied",
  "send-half",
  "send-before-end",
  "commit-received",
  "journal-written",
  "journal-synced",
  "image-half",
];

const other = (host: Host): Host => host === "a" ? "b" : "a";

Deno.test("a backup that dies anywhere in an epoch costs nothing, and the restarted one is whole again", async (t) => {
  const { scene, client } = await Scene.counting();
  await using _ = scene;
  const primary = scene.pair.runner("a");
  for (const failpoint of BACKUP_DIES) {
    const went = await t.step(failpoint, async () => {
      const alone = next(primary, reached("solo"));
      await scene.dieAt("b", failpoint);
      const { sentence } = await alone();
      assert.match(String(sentence), /^Unprotected/);
      assert.ok(await client.answered(20), "the guest does not answer while it is alone");
      await scene.restart("b");
      assert.ok(await client.answered(20), "the guest does not answer while it is protected again");
      assert.deepEqual(differences(await scene.verify("a")), []);
    });
    if (!went) return; // what follows would only fail by it
  }
  assert.deepEqual(brokenPromises(await client.stop()), []);
});

Deno.test("a primary that dies anywhere in an epoch loses nothing: the backup goes on from the last whole one", async (t) => {
  const { scene, client } = await Scene.counting();
  await using _ = scene;
  let primary: Host = "a";
  for (const failpoint of PRIMARY_DIES) {
    const went = await t.step(`${failpoint}, on host ${primary}`, async () => {
      const backup = other(primary);
      const promoted = next(scene.pair.runner(backup), reached("solo"));
      await scene.dieAt(primary, failpoint);
      await promoted();
      assert.ok(await client.answered(20), "the guest does not answer after the takeover");
      await scene.restart(primary);
      assert.deepEqual(differences(await scene.verify(backup)), []);
      primary = backup;
    });
    if (!went) return; // what follows would only fail by it
  }
  assert.deepEqual(brokenPromises(await client.stop()), []);
});

Deno.test("control: a copy with a page of another epoch in it is noticed, by the comparison and by the guest", async () => {
  const { scene, client } = await Scene.counting({}, { patience_ms: 3000 });
  await using _ = scene;
  assert.ok(await client.answered(50));
  assert.deepEqual(differences(await scene.verify("a")), []);
  using copy = await guestMemory(scene.pair.runner("b").child.pid);
  await copy.damage();
  assert.ok(differences(await scene.verify("a")).includes("memory"), "the comparison noticed nothing");
  const promoted = next(scene.pair.runner("b"), reached("solo"));
  await scene.lab.powerOff("a");
  await promoted();
  assert.notDeepEqual(brokenPromises(await client.stop()), []);
});

Deno.test("a primary whose backup died lets nothing out before it has leave to go on alone", async () => {
  const { scene, client } = await Scene.counting({ arbiter: "manual" });
  await using _ = scene;
  assert.ok(await client.answered(50));
  const primary = scene.pair.runner("a");
  const held = next(primary, (event) => event.event === "alarm" && event["code"] === "held");
  await scene.dieAt("b", "apply-half");
  await held();
  const { engine: { out_frames } } = await scene.status("a");
  assert.equal(await client.answered(1, 1000), false, "the guest answered without a grant");
  assert.equal((await scene.status("a")).engine.out_frames, out_frames, "frames left without a grant");
  // The control: with the grant the very same check sees answers, and frames.
  await primary.call("confirm_peer_off");
  assert.ok(await client.answered(20), "the guest does not answer although the operator confirmed");
  assert.notEqual((await scene.status("a")).engine.out_frames, out_frames);
  assert.deepEqual(brokenPromises(await client.stop()), []);
});
