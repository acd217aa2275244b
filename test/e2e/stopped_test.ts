/** A VM that ends on purpose: by an operator, or by itself. */

import assert from "node:assert/strict";
import { reached, Scene } from "./kit.ts";

Deno.test("a VM that the operator stopped is not taken over: its runner stays until the backup knows", async () => {
  await using scene = await Scene.open();
  await scene.protect();
  const backup = scene.pair.runner("b");
  await scene.pair.runner("a").call("stop");
  await scene.pair.runner("a").ended;
  await backup.event((event) => event.event === "peer" && event["silent"] === true);
  await backup.event(reached("stale"));
  await new Promise((resolve) => setTimeout(resolve, 1000)); // several times the takeover time
  assert.equal((await scene.status("b")).phase, "stale");
  assert.ok(!backup.events.some((event) => event.event === "promoted"));
});
