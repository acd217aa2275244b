/** The primary is lost: FAULTS.md rows 2, 3 and 4. */

import assert from "node:assert/strict";
import { checkDisk } from "../../lib/lab/guest_image.ts";
import type { LabRunner } from "../../lib/lab/pair.ts";
import { soon } from "../lab/support.ts";
import { brokenPromises, next, reached, Scene } from "./kit.ts";

/** Whether the backup took over before it had noticed any silence. */
function wasTold(backup: LabRunner): boolean {
  const { events } = backup;
  const takeover = events.findIndex(reached("promoting"));
  assert.ok(takeover >= 0, "the backup did not take over");
  return !events.slice(0, takeover).some((event) => event.event === "peer" && event["silent"] === true);
}

function qemus(scene: Scene, host: "a" | "b"): number[] {
  return scene.lab.processes(host).filter(({ words }) => words[0]?.includes("qemu-system"))
    .map(({ pid }) => pid);
}

Deno.test("a primary's runner is killed: its QEMU goes with it, and the backup loses nothing", async () => {
  const { scene, client } = await Scene.counting();
  await using _ = scene;
  assert.ok(await client.answered(100));
  const [qemu] = qemus(scene, "a");
  const promoted = next(scene.pair.runner("b"), reached("solo"));
  await scene.killRunner("a");
  await promoted();
  assert.ok(
    qemu !== undefined && await soon(() => !qemus(scene, "a").includes(qemu)),
    "QEMU outlived its runner",
  );
  assert.ok(await client.answered(100), "the guest does not answer after the takeover");
  assert.deepEqual(brokenPromises(await client.stop()), []);
  assert.equal(wasTold(scene.pair.runner("b")), false, "a runner that was killed has told nobody");
});

Deno.test("a primary's QEMU is killed: the backup is told, does not wait for silence, and loses nothing", async () => {
  const { scene, client } = await Scene.counting({ takeover: 10_000 });
  await using _ = scene;
  assert.ok(await client.answered(100));
  const backup = scene.pair.runner("b");
  const promoted = next(backup, reached("solo"));
  const [qemu] = qemus(scene, "a");
  assert.ok(qemu !== undefined);
  Deno.kill(qemu, "SIGKILL");
  await promoted();
  assert.ok(await client.answered(100), "the guest does not answer after the takeover");
  assert.deepEqual(brokenPromises(await client.stop()), []);
  assert.ok(wasTold(backup), "it waited for silence");
});

Deno.test("a primary loses its power while the guest writes: nothing is lost, and the survivor's disk is whole", async () => {
  const { scene, client } = await Scene.counting({}, { write: 4096 });
  await using _ = scene;
  assert.ok(await client.answered(200));
  const backup = scene.pair.runner("b");
  const promoted = next(backup, reached("solo"));
  await scene.lab.powerOff("a");
  await promoted();
  assert.ok(await client.answered(200), "the guest does not answer after the takeover");
  const summary = await client.stop();
  assert.deepEqual(brokenPromises(summary), []);
  assert.equal(summary.disk?.last, summary.disk?.expected_last);
  await backup.call("stop");
  await backup.ended;
  const { clean, text } = await checkDisk(scene.pair.image("b"));
  assert.ok(clean, text);
  await noticesDamage(scene);
});

/** The control of the check above: with one block of the inode table lost, it is not clean. */
async function noticesDamage(scene: Scene): Promise<void> {
  const image = scene.pair.image("b");
  using file = await Deno.open(image, { read: true, write: true });
  const head = new Uint8Array(4096 * 2);
  await file.seek(0, Deno.SeekMode.Start);
  await file.read(head);
  const inodeTable = new DataView(head.buffer).getUint32(4096 + 8, true);
  await file.seek(inodeTable * 4096, Deno.SeekMode.Start);
  await file.write(new Uint8Array(4096).fill(0x5a));
  assert.equal((await checkDisk(image)).clean, false, "the check of the disk notices nothing");
}

Deno.test("control: output that does not wait for its epoch is lost with the primary, and the check says so", async () => {
  const { scene, client } = await Scene.counting({ noOutputCommit: true }, { patience_ms: 3000 });
  await using _ = scene;
  assert.ok(await client.answered(100));
  const promoted = next(scene.pair.runner("b"), reached("solo"));
  await scene.lab.powerOff("a");
  await promoted();
  const broken = brokenPromises(await client.stop());
  assert.ok(broken.some((promise) => promise.includes("acknowledged counts were lost")), broken.join("; "));
});

Deno.test("control: epochs just as long lose nothing while output waits for them", async () => {
  const hostToml = "[rhythm]\nmin_epoch_ms = 500\nmax_epoch_ms = 500\n";
  const { scene, client } = await Scene.counting({ hostToml });
  await using _ = scene;
  assert.ok(await client.answered(4));
  const promoted = next(scene.pair.runner("b"), reached("solo"));
  await scene.lab.powerOff("a");
  await promoted();
  assert.ok(await client.answered(10), "the guest does not answer after the takeover");
  assert.deepEqual(brokenPromises(await client.stop()), []);
});
