/** Which of two whole copies starts after both hosts lost power: the one whose disks hold more. FAULTS.md row 21. */

import assert from "node:assert/strict";
import { losses } from "../../lib/lab/faults/power_loss.ts";
import { HOSTS } from "../../lib/lab/places.ts";
import { powerScene } from "./power_loss_kit.ts";

for (const slow of HOSTS) {
  Deno.test(`both hosts lose power while the journal of host ${slow} is slow: the other one's copy starts`, async () => {
    await using on = await powerScene();
    const { power } = on;
    await power.scene.pair.storage(slow).slowSync({ file: "disk0.journal", ms: 600_000 });
    const found = await power.cutAndLook();
    assert.deepEqual(losses(found), []);
    assert.ok(found.logs[slow].last < found.promised, "the slow journal is not behind: nothing is shown");
    const { host, last } = await power.comeBack([slow, slow === "a" ? "b" : "a"]);
    assert.ok(last >= found.promised, `host ${host} started with ${last} of ${found.promised}`);
  });
}
