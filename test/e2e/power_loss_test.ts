/** Power loss of both hosts, with all that was not synced gone, or reordered and torn: FAULTS.md row 21. */

import assert from "node:assert/strict";
import { differences } from "./kit.ts";
import { losses, PowerScene } from "./power_loss_kit.ts";

Deno.test("both hosts lose power under load, again and again: every flush that was answered is there, whoever is back first", async () => {
  await using power = await PowerScene.open();
  const seeds = [undefined, 1 + Math.floor(Math.random() * 1e6), 1 + Math.floor(Math.random() * 1e6)];
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
