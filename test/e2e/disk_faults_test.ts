/** A host's disk that fails or is full: FAULTS.md rows 13 and 14. */

import assert from "node:assert/strict";
import {
  BACKUP_FAULTS,
  backupDiskFails,
  onlyDiskFails,
  primaryDiskFails,
} from "../../lib/lab/faults/disk_faults.ts";
import { brokenPromises, reached, Scene } from "./kit.ts";

const HOSTS_PARTS = { primary: "a", backup: "b" } as const;

for (const { name, cause } of BACKUP_FAULTS) {
  Deno.test(`the backup's disk ${name}: the guest goes on unprotected, and is protected again when the disk is well`, async () => {
    const { scene, client } = await Scene.counting({ volatileStorage: true });
    await using _ = scene;
    await backupDiskFails({ scene, client, ...HOSTS_PARTS }, cause);
    assert.deepEqual(brokenPromises(await client.stop()), []);
  });
}

Deno.test("the primary's disk fails: the VM moves to the whole copy, and nothing is lost", async () => {
  const { scene, client } = await Scene.counting({ volatileStorage: true });
  await using _ = scene;
  assert.ok(await client.answered(50));
  await primaryDiskFails({ scene, client, ...HOSTS_PARTS });
  assert.deepEqual(brokenPromises(await client.stop()), []);
});

Deno.test("the only host's disk fails: the guest sees the error, and its host says so", async () => {
  await using scene = await Scene.open({ volatileStorage: true });
  const runner = await scene.pair.start("a", { begin: true });
  await runner.event(reached("solo"));
  const client = await scene.client();
  await onlyDiskFails({ scene, client, primary: "a" });
});
