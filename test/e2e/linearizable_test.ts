/** What several clients see of the guest's key-value store while one fault after the other strikes, as one order; and what its log
 * holds, also after both hosts lost their power: FAULTS.md rows 2 to 6, 10, 17, 21 and 23. */

import assert from "node:assert/strict";
import { verdictText } from "../../lib/lab/kv_history.ts";
import { KvTrial, runKvTrial, TAKEOVER_MS } from "../../lib/lab/kv_trial.ts";
import { program, Scene } from "./kit.ts";

const FAULTS = 5;

/** Printed; `LINEARIZABLE_SEED` plays a trial again. */
function chooseSeed(): number {
  const seed = Number(Deno.env.get("LINEARIZABLE_SEED") ?? crypto.getRandomValues(new Uint32Array(1))[0]);
  console.log(`seed ${seed}`);
  return seed;
}

function say(line: string): void {
  console.log(`  ${line}`);
}

Deno.test("clients see one store, in order, through random faults and the loss of both hosts' power and un-synced writes", async () => {
  const run = { seed: chooseSeed(), faults: FAULTS, bothHosts: true, scene: { volatileStorage: true }, say };
  const outcome = await runKvTrial(program(), run);
  console.log(JSON.stringify(outcome));
  assert.ok(outcome.ok, verdictText(outcome));
  assert.deepEqual(outcome.errors, []);
});

Deno.test("control: without output commit the same checks find what clients saw and what is gone", async () => {
  await using scene = await Scene.open({ takeover: TAKEOVER_MS, noOutputCommit: true });
  await scene.protect();
  await using trial = new KvTrial(scene, { self: program().self, seed: chooseSeed(), say });
  await trial.begin({ patience_ms: 3000 });
  await trial.answered(300);
  await trial.play("power off of the primary");
  const outcome = await trial.end();
  console.log(verdictText(outcome));
  assert.ok(outcome.violation !== null, `no violation: ${verdictText(outcome)}`);
  const gone = outcome.log.filter((problem) => problem.startsWith("acknowledged as record"));
  assert.ok(gone.length > 0, verdictText(outcome));
});
