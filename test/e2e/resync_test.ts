/** A sync is cut in the middle, again and again: it goes on where it was. FAULTS.md rows 23 and 24. */

import assert from "node:assert/strict";
import type { LabRunner, RunnerEvent } from "../../lib/lab/pair.ts";
import { differences, next, reached, Scene } from "./kit.ts";

const MIB = 1024 * 1024;
/** MiB of random bytes on the guest's disk. */
const DISK = 256;

/** A guest that runs alone, with a disk full of random bytes, and lines of 100 Mbit/s. */
async function aloneWithDisk(): Promise<Scene> {
  const scene = await Scene.open({ disk: DISK, rate_mbit: 100 });
  try {
    using image = await Deno.open(scene.pair.image("a"), { write: true });
    for (let i = 0; i < DISK; i++) {
      const bytes = new Uint8Array(MIB);
      for (let at = 0; at < MIB; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
      await image.write(bytes);
    }
    const primary = await scene.pair.start("a", { begin: true });
    await primary.event(reached("solo"));
  } catch (error) {
    await scene[Symbol.asyncDispose]();
    throw error;
  }
  return scene;
}

function syncing(disk_bytes: number) {
  return (event: RunnerEvent) =>
    event.event === "sync" && event["phase"] === "disk" && Number(event["bytes_sent"]) > disk_bytes;
}

/** Both lines are cut while the disk goes over, until the sync has failed; then they come back. */
async function cutMidway(scene: Scene, primary: LabRunner): Promise<RunnerEvent> {
  const failed = next(primary, (event) => event.event === "sync_failed" || event.event === "protected");
  await Promise.all([scene.lab.cutLink("a"), scene.lab.cutLink("b")]);
  const event = await failed();
  await Promise.all([scene.lab.mendLink("a"), scene.lab.mendLink("b")]);
  return event;
}

/** Bytes that each attempt of a sync sent: the last that it said. */
function attempts(events: readonly RunnerEvent[]): number[] {
  const sent: number[] = [];
  let last = 0;
  for (const event of events) {
    if (event.event === "sync") last = Number(event["bytes_sent"]);
    if (event.event !== "sync_failed" && event.event !== "protected") continue;
    sent.push(last);
    last = 0;
  }
  return sent;
}

Deno.test("a sync that is cut three times in the middle goes on where it was, and the copy is equal", async () => {
  await using scene = await aloneWithDisk();
  const primary = scene.pair.runner("a");
  let midway = next(primary, syncing(20 * MIB));
  await scene.pair.start("b");
  for (let i = 0; i < 3; i++) {
    await midway(90_000);
    const event = await cutMidway(scene, primary);
    midway = next(primary, syncing(20 * MIB));
    assert.equal(event.event, "sync_failed", "the sync had ended before the cut");
    assert.equal(event["resumable"], true);
  }
  await primary.event((event) => event.event === "protected", 120_000);
  await scene.pair.runner("b").event(reached("ready"));
  const sent = attempts(primary.events);
  assert.equal(sent.length, 4);
  const all = sent.reduce((sum, bytes) => sum + bytes, 0);
  // The disk, the memory that is not zero (some 60 MiB, half of it compressed away), and what was on its way at each cut.
  assert.ok(all < 1.4 * DISK * MIB, `${sent.map((bytes) => Math.round(bytes / MIB))} MiB were sent`);
  assert.deepEqual(differences(await scene.verify("a")), []);
});

Deno.test("control: with a record that counts everything as acknowledged the copy differs, and it is noticed", async () => {
  await using scene = await aloneWithDisk();
  const primary = scene.pair.runner("a");
  const midway = next(primary, syncing(20 * MIB));
  await scene.pair.start("b");
  await midway(90_000);
  await primary.call("failpoint", { name: "sync-record", action: 3 });
  const event = await cutMidway(scene, primary);
  assert.equal(event["resumable"], true);
  await primary.call("failpoint", { name: "sync-record", action: 0 });
  await primary.event((event) => event.event === "protected", 120_000);
  await scene.pair.runner("b").event(reached("ready"));
  assert.ok(differences(await scene.verify("a")).includes("disk"));
});

Deno.test("an empty host whose disk is of another size is refused with both sizes", async () => {
  await using scene = await Scene.open();
  await Deno.truncate(scene.pair.image("b"), 16 * MIB);
  const primary = await scene.pair.start("a", { begin: true });
  await scene.pair.start("b");
  const { text } = await primary.event((event) => event.event === "alarm" && event["code"] === "refused");
  assert.match(String(text), /33554432/);
  assert.match(String(text), /16777216/);
  assert.equal((await scene.status("a")).phase, "solo");
});
