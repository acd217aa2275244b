/** What several clients see of the guest's key-value store while one fault after the other strikes, as one order; and what its log
 * holds, also after both hosts lost their power: FAULTS.md rows 2 to 6, 10, 17, 21 and 23. */

import assert from "node:assert/strict";
import { verdictText } from "../../lib/lab/kv_history.ts";
import { KvTrial } from "../../lib/lab/kv_trial.ts";
import { program, Scene, type SceneOptions } from "./kit.ts";

const FAULTS = 5;
/** ms. Longer than elsewhere: a runner that itself stood still for as long as a takeover takes no longer trusts its silence, and on a
 * machine that runs other tests too that happens. */
const TAKEOVER = 500;

/** A protected pair, and a trial of it whose seed is printed; `LINEARIZABLE_SEED` plays one again. */
async function trial(options: SceneOptions = {}) {
  const seed = Number(Deno.env.get("LINEARIZABLE_SEED") ?? crypto.getRandomValues(new Uint32Array(1))[0]);
  console.log(`seed ${seed}`);
  const scene = await Scene.open({ takeover: TAKEOVER, ...options });
  try {
    await scene.protect();
  } catch (error) {
    await scene[Symbol.asyncDispose]();
    throw error;
  }
  const say = (line: string) => console.log(`  ${line}`);
  return { scene, played: new KvTrial(scene, { self: program().self, seed, say }) };
}

Deno.test("clients see one store, in order, through random faults and the loss of both hosts' power", async () => {
  const { scene, played } = await trial();
  await using _scene = scene;
  await using _played = played;
  await played.begin();
  for (const fault of played.faults(FAULTS)) await played.play(fault);
  await played.losePowerOfBoth();
  const outcome = await played.end();
  console.log(JSON.stringify(outcome));
  assert.ok(outcome.ok, verdictText(outcome));
  assert.deepEqual(outcome.errors, []);
});

Deno.test("control: without output commit the same checks find what clients saw and what is gone", async () => {
  const { scene, played } = await trial({ noOutputCommit: true });
  await using _scene = scene;
  await using _played = played;
  await played.begin({ patience_ms: 3000 });
  await played.answered(300);
  await played.play("power off of the primary");
  const outcome = await played.end();
  console.log(verdictText(outcome));
  assert.ok(outcome.violation !== null, `no violation: ${verdictText(outcome)}`);
  assert.ok(
    outcome.log.some((problem) => problem.startsWith("acknowledged as record")),
    verdictText(outcome),
  );
});
