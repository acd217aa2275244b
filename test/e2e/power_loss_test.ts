/** Power loss of both hosts, with all that was not synced gone, or reordered and torn: FAULTS.md row 21. */

import assert from "node:assert/strict";
import { losses } from "../../lib/lab/faults/power_loss.ts";
import { HOSTS } from "../../lib/lab/places.ts";
import { differences, reached } from "./kit.ts";
import { powerScene } from "./power_loss_kit.ts";

Deno.test("both hosts lose power under load, again and again: every flush that was answered is there, whoever is back first", async () => {
  await using on = await powerScene();
  const { power } = on;
  const seeds = [undefined, 1 + Math.floor(Math.random() * 1e6)];
  for (const [round, seed] of seeds.entries()) {
    const at = `round ${round}, seed ${seed ?? "none"}`;
    const found = await power.cutAndLook(seed);
    assert.deepEqual(losses(found), [], at);
    const { host, last } = await power.comeBack(round % 2 === 0 ? ["a", "b"] : ["b", "a"]);
    assert.ok(
      last >= found.promised,
      `${at}: host ${host} started with ${last} of ${found.promised} records`,
    );
    assert.deepEqual(differences(await power.scene.verify(host)), [], at);
  }
});

Deno.test("control: with the journal's syncs switched off the same check finds answered flushes lost", async () => {
  await using on = await powerScene();
  const { power } = on;
  const { pair } = power.scene;
  // Only the journals make anything durable: the images' own syncs do not end before the cut.
  const holdImages = () =>
    Promise.all(HOSTS.map((host) => pair.storage(host).slowSync({ file: "disk.img", ms: 600_000 })));
  await holdImages();
  assert.deepEqual(losses(await power.cutAndLook()), []);
  await power.comeBack(["a", "b"]);
  await holdImages();
  for (const host of HOSTS) {
    await pair.runner(host).call("failpoint", { name: "journal-unsynced", action: 3 });
  }
  const found = losses(await power.cutAndLook());
  assert.ok(found.some((text) => /answered flushes are on neither host/.test(text)), `it found ${found}`);
});

Deno.test("a host that comes back alone starts nothing by itself; told that the other is off it starts what it has", async () => {
  await using on = await powerScene();
  const { power } = on;
  const { scene } = power;
  // The other host's journal is slow: what was answered was answered by this one's.
  await scene.pair.storage("a").slowSync({ file: "*", ms: 600_000 });
  const { replies } = await power.cutBoth();
  const log = await power.comesBackAlone("b");
  assert.ok(log.last >= replies, `${log.last} of ${replies} answered flushes are there`);
  const runner = scene.pair.runner("b");
  await runner.call("confirm_peer_off");
  await runner.call("start");
  await runner.event(reached("solo"));
  assert.ok(await power.askGuest() >= replies, "the guest finds less than its disk had");
});
