/** A host's disk fails or is full, and what is to come of it: shared by the rows and the tests. */

import { type CountingClient, next, reached, type Scene } from "../scene.ts";
import type { Host } from "../places.ts";
import type { VolatileStorage } from "../volatile_storage.ts";
import { expect } from "./row.ts";

/** A protected pair, and a client that counts. */
export interface Protected {
  scene: Scene;
  client: CountingClient;
  primary: Host;
  backup: Host;
}

/** What makes a backup's disk useless. */
export const BACKUP_FAULTS: readonly { name: string; cause: (storage: VolatileStorage) => Promise<void> }[] =
  [
    { name: "is full", cause: (storage) => storage.quota(1) },
    { name: "fails", cause: (storage) => storage.fail({ on: "sync", file: "disk0.journal", error: "EIO" }) },
  ];

/** A backup that cannot store what it is sent tries again seldom, ms. */
const AGAIN_MS = 150_000;
const MOST_TRIES = 10;

/** The backup's disk becomes useless: the guest goes on unprotected, and its host says why; with the disk well it is protected again. */
export async function backupDiskFails(on: Protected, cause: (storage: VolatileStorage) => Promise<void>) {
  const { scene, client } = on;
  const storage = scene.pair.storage(on.backup);
  const [primary, backup] = [scene.pair.runner(on.primary), scene.pair.runner(on.backup)];
  const alone = next(primary, reached("solo"));
  const lost = next(backup, (event) => event.event === "alarm" && event["code"] === "copy-lost");
  await cause(storage);
  const text = String((await lost())["text"]);
  expect(/image|journal/.test(text), `the alarm says what failed: ${text}`);
  await alone();
  const tries = () => backup.events.filter(reached("joining")).length;
  const before = tries();
  expect(await client.answered(300), "the guest goes on");
  const { sentence } = await scene.status(on.primary);
  expect(/^Unprotected/.test(sentence), `the state says that it is unprotected: ${sentence}`);
  expect(tries() - before < MOST_TRIES, `the backup tries seldom, not ${tries() - before} times`);
  const again = next(primary, (event) => event.event === "protected");
  await storage.heal();
  await again(AGAIN_MS);
  expect(await client.answered(50), "the guest answers when it is protected again");
}

/** The primary's disk fails: the VM moves to the whole copy. */
export async function primaryDiskFails({ scene, client, primary, backup }: Protected): Promise<void> {
  const moved = next(scene.pair.runner(backup), reached("solo"));
  const alarm = diskAlarm(scene, primary);
  await scene.pair.storage(primary).fail({ on: "sync", file: "*", error: "EIO" });
  await alarm();
  await moved();
  expect(await client.answered(50), "the guest answers after the switchover");
}

/** The disk of the only host fails: the guest sees the error, and nothing takes its place. How many counts it had acknowledged. */
export async function onlyDiskFails(on: Omit<Protected, "backup">): Promise<number> {
  const alarm = diskAlarm(on.scene, on.primary);
  expect(await on.client.answered(20), "the guest answers before the fault");
  await on.scene.pair.storage(on.primary).fail({ on: "sync", file: "*", error: "EIO" });
  await alarm();
  const { reason, replies } = await on.client.summary;
  expect(/the guest answered "/.test(String(reason)), `the guest sees the error: ${reason}`);
  const { phase } = await on.scene.status(on.primary);
  expect(phase === "solo", `the host goes on alone: ${phase}`);
  return replies;
}

/** Waits for the alarm that tells of a host's own disk. */
function diskAlarm(scene: Scene, host: Host): () => Promise<void> {
  const alarm = next(
    scene.pair.runner(host),
    (event) => event.event === "alarm" && event["code"] === "disk",
  );
  return async () => {
    const text = String((await alarm())["text"]);
    expect(/disk of this host/.test(text), `the alarm names the disk: ${text}`);
  };
}
