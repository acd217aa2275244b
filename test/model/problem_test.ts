import assert from "node:assert/strict";
import { ProblemError, reasonView } from "../../lib/model/problem.ts";
import { explained } from "../../lib/model/problem_english.ts";

Deno.test("whatever is put into a refusal, whoever receives it can read it", () => {
  const said = explained("vm.settings_wrong", { problems: "x".repeat(100_000) });
  assert.ok(reasonView.safeParse(said.reason).success);
  assert.ok(said.detail.length <= 2000);
  assert.equal(new ProblemError("invalid", said).reason?.params?.["problems"]?.toString().length, 2000);
  // The control: as it would be without a bound.
  assert.ok(!reasonView.safeParse({ ...said.reason, params: { problems: "x".repeat(100_000) } }).success);
});
