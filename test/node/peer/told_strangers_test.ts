import assert from "node:assert/strict";
import { Strangers } from "../../../lib/node/peer/strangers.ts";

Deno.test("a stranger is told of once a day, many are told of as a few, and a new one is told of again later", () => {
  let now = 0;
  const strangers = new Strangers(() => now);
  assert.equal(strangers.tells("a"), true);
  for (; now < 23 * 3600 * 1000; now += 30_000) assert.equal(strangers.tells("a"), false);
  now = 24 * 3600 * 1000;
  assert.equal(strangers.tells("a"), true);
  const told = Array.from({ length: 1000 }, (_, i) => strangers.tells(`other ${i}`)).filter((tells) => tells);
  assert.ok(told.length > 0 && told.length <= 5, `${told.length} were told of at once`);
  now += 3600 * 1000;
  assert.equal(strangers.tells("new"), true);
});
