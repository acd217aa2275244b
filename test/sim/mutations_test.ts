import assert from "node:assert/strict";
import { mutations } from "./mutations.ts";
import { generate } from "./schedule.ts";
import { simulate } from "./simulate.ts";

/** Seeds within which each has to be found. */
const WITHIN = 3000;

for (const [name, { what, broken, finds, arbiter, kinds }] of mutations()) {
  Deno.test(`found out: ${what}`, async () => {
    for (let seed = 1; seed <= WITHIN; seed++) {
      const { violation } = await simulate(generate(seed, { arbiter, kinds }), { broken });
      if (violation === null || !finds.test(violation)) continue;
      console.log(`${name}: found by seed ${seed}: ${violation}`);
      return;
    }
    assert.fail(`${name} was not found within ${WITHIN} seeds`);
  });
}
