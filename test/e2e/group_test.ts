/** Coming back, moving on purpose, and what may not be joined or started: FAULTS.md rows 12 and 23, and what two hosts that do
 * not fit say. */

import assert from "node:assert/strict";
import { tearNext } from "../../lib/lab/faults/torn.ts";
import type { Host } from "../../lib/lab/places.ts";
import { soon } from "../lab/support.ts";
import { brokenPromises, differences, next, reached, Scene } from "./kit.ts";

const other = (host: Host): Host => host === "a" ? "b" : "a";

Deno.test("a backup that comes back is made whole by itself, and then the other host may die", async () => {
  const { scene, client } = await Scene.counting();
  await using _ = scene;
  const alone = next(scene.pair.runner("a"), reached("solo"));
  await scene.killRunner("b");
  const { sentence } = await alone();
  assert.match(String(sentence), /^Unprotected/);
  assert.ok(await client.answered(50), "the guest does not answer while it is alone");
  const backup = await scene.restart("b");
  assert.match((await scene.status("a")).sentence, /^Protected/);
  assert.ok(await client.answered(50));
  const promoted = next(backup, reached("solo"));
  await scene.lab.powerOff("a");
  await promoted();
  assert.ok(await client.answered(50), "the guest does not answer after the takeover");
  assert.deepEqual(brokenPromises(await client.stop()), []);
});

Deno.test("control: before the backup is whole again the loss of the other host takes the guest with it", async () => {
  const { scene, client } = await Scene.counting({}, { patience_ms: 3000 });
  await using _ = scene;
  const alone = next(scene.pair.runner("a"), reached("solo"));
  await scene.killRunner("b");
  await alone();
  await scene.lab.powerOff("a");
  const held = (await scene.pair.start("b")).event((event) =>
    event.event === "alarm" && event["code"] === "held"
  );
  assert.match(String((await held)["text"]), /not started/);
  assert.equal((await scene.status("b")).phase, "waiting");
  assert.notDeepEqual(brokenPromises(await client.stop()), []);
});

Deno.test("a planned switchover moves the VM there and back, twice, and loses nothing", async () => {
  const { scene, client } = await Scene.counting();
  await using _ = scene;
  let primary: Host = "a";
  for (let move = 0; move < 4; move++) {
    const from = scene.pair.runner(primary);
    const to = scene.pair.runner(other(primary));
    assert.ok(await client.answered(30));
    const again = next(to, (event) => event.event === "protected");
    const whole = next(from, reached("ready"));
    await from.call("switchover");
    await again();
    await whole();
    primary = other(primary);
    assert.equal((await scene.status(primary)).phase, "protected");
  }
  assert.deepEqual(differences(await scene.verify(primary)), []);
  assert.deepEqual(brokenPromises(await client.stop()), []);
});

Deno.test("a backup that dies with its copy half restored starts nothing alone, and says on disk what it was", async () => {
  const { scene, client } = await Scene.counting({}, { patience_ms: 3000 });
  await using _ = scene;
  assert.ok(await client.answered(50));
  await scene.pair.runner("b").call("failpoint", { name: "restore-half", action: 1 });
  await scene.lab.powerOff("a");
  const { signal } = await scene.pair.runner("b").ended;
  assert.equal(signal, "SIGKILL", "it did not die while it restored its copy");
  const again = await scene.pair.start("b");
  await again.event((event) => event.event === "alarm" && event["code"] === "held");
  const { phase, metadata } = await again.call("status") as {
    phase: string;
    metadata: Record<string, unknown>;
  };
  assert.equal(phase, "waiting");
  assert.deepEqual([metadata["role"], metadata["term"], metadata["copy"]], ["primary", 2, "whole"]);
  assert.ok(!again.events.some(reached("starting")), "it started what it had");
  // When the other host is back they agree on who has the newest disk, and the guest starts anew from it, whole.
  const begins = (host: Host) => scene.pair.runner(host).events.some(reached("solo"));
  await scene.lab.powerOn("a");
  await scene.pair.start("a");
  assert.ok(await soon(() => begins("a") || begins("b"), 30_000), "neither host starts the VM");
  const fresh = await scene.client({ patience_ms: 10_000 });
  assert.ok(await fresh.answered(20));
  const summary = await fresh.stop();
  assert.equal(summary.disk?.ok, true);
  assert.equal(summary.disk?.contiguous, true);
  const before = await client.stop();
  assert.equal(before.connection, "broken", "a cold start cannot keep a connection");
  // Each request wrote a record and flushed it: what was acknowledged before both hosts died is there.
  const kept = (summary.disk?.last ?? 0) - summary.replies;
  assert.ok(
    kept >= before.acknowledged,
    `${kept} of ${before.acknowledged} answered flushes are on the disk`,
  );
});

Deno.test("a metadata write torn in the middle costs nothing: the one before it holds, and the host joins again", async () => {
  const { scene, client } = await Scene.counting();
  await using _ = scene;
  const file = (host: Host) => `${scene.pair.dataDirectory(host)}/demo/group.meta`;
  const alone = next(scene.pair.runner("a"), reached("solo"));
  await scene.killRunner("b");
  await alone();
  await tearNext(file("b"));
  await scene.restart("b");
  assert.ok(await client.answered(30));
  // The former primary's, too: it does not start a second VM by what it was before.
  const promoted = next(scene.pair.runner("b"), reached("solo"));
  await scene.killRunner("a");
  await promoted();
  await tearNext(file("a"));
  const back = await scene.restart("a");
  assert.ok(!back.events.some(reached("starting")), "it started the VM although the other host has it");
  assert.deepEqual(brokenPromises(await client.stop()), []);
  // The control: with no slot left it does not take itself for an empty host.
  await scene.killRunner("a");
  const bytes = await Deno.readFile(file("a"));
  await Deno.writeFile(file("a"), bytes.fill(0xee));
  await assert.rejects(scene.pair.start("a"), /no slot whose checksum is right/);
});

Deno.test("two hosts with different files for the VM are refused, with both values named", async () => {
  await using scene = await Scene.open();
  const file = `${scene.pair.dataDirectory("b")}/vm.toml`;
  await Deno.writeTextFile(file, (await Deno.readTextFile(file)).replace("vcpus = 1", "vcpus = 2"));
  const [backup, primary] = await Promise.all([
    scene.pair.start("b"),
    scene.pair.start("a", { begin: true }),
  ]);
  const alarm = await backup.event((event) => event.event === "alarm" && event["code"] === "incompatible");
  assert.match(
    String(alarm["text"]),
    /differ in vcpus: on the backup "2", on the primary "1" \(the default\)/,
  );
  const refused = await primary.event((event) => event.event === "alarm" && event["code"] === "refused");
  assert.ok(String(refused["text"]).includes("differ in vcpus"));
  assert.equal((await scene.status("a")).phase, "solo");
  assert.equal((await scene.status("b")).phase, "waiting");
  // The control: with the same file the same host joins.
  await Deno.copyFile(`${scene.pair.dataDirectory("a")}/vm.toml`, file);
  await scene.killRunner("b");
  await scene.restart("b");
});

Deno.test("a host with another key never connects, and nothing of it is heard", async () => {
  await using scene = await Scene.open();
  const key = `${scene.pair.dataDirectory("b")}/key`;
  const right = await Deno.readTextFile(key);
  await Deno.writeTextFile(key, "5a".repeat(32), { mode: 0o600 });
  const [stranger, primary] = await Promise.all([
    scene.pair.start("b"),
    scene.pair.start("a", { begin: true }),
  ]);
  await stranger.event((event) =>
    event.event === "link" && !event["up"] && event["reason"] !== "Connection refused"
  );
  await primary.event(reached("solo"), 60_000);
  const heard = (runner: typeof primary) =>
    runner.events.some((event) =>
      (event.event === "link" && event["up"] === true) || (event.event === "path" && event["alive"] === true)
    );
  assert.ok(!heard(stranger) && !heard(primary), "a line or a path came up");
  assert.equal((await scene.status("b")).phase, "waiting");
  // The control: with the right key the same host is heard, and becomes the backup.
  await scene.killRunner("b");
  await Deno.writeTextFile(key, right, { mode: 0o600 });
  await scene.restart("b");
  assert.ok(heard(primary));
});
