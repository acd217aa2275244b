import assert from "node:assert/strict";
import { type Arbiter, arbiterOf, type Question } from "../../lib/group/arbiter.ts";

/** Every question there is. */
function questions(): Question[] {
  const flags = [false, true];
  return (["solo", "promote", "start"] as const).flatMap((purpose) =>
    flags.flatMap((silent) =>
      flags.flatMap((lanAnswers) =>
        flags.flatMap((peerGaveWay) =>
          flags.map((confirmedOff) => ({ purpose, silent, lanAnswers, peerGaveWay, confirmedOff }))
        )
      )
    )
  );
}

const granted = (arbiter: Arbiter) =>
  questions().filter((question) => arbiter.judge(question).kind === "grant");

Deno.test("lan grants when the peer gave way, or is silent while the LAN answers or the operator confirmed", () => {
  const expected = questions().filter((q) => q.peerGaveWay || (q.silent && (q.lanAnswers || q.confirmedOff)));
  assert.deepEqual(granted(arbiterOf("lan")), expected);
});

Deno.test("manual grants when the peer gave way, or is silent and the operator confirmed", () => {
  const expected = questions().filter((q) => q.peerGaveWay || (q.silent && q.confirmedOff));
  assert.deepEqual(granted(arbiterOf("manual")), expected);
});

Deno.test("an arbiter elsewhere is asked about silence, and about nothing else", () => {
  for (const name of ["witness", "etcd"] as const) {
    for (const question of questions()) {
      const verdict = arbiterOf(name).judge(question);
      const open = question.silent && !question.peerGaveWay && !question.confirmedOff;
      assert.equal(verdict.kind === "ask", open);
      if (!open) assert.deepEqual(verdict, arbiterOf("manual").judge(question));
    }
  }
});

Deno.test("who is not granted is told why", () => {
  for (const name of ["lan", "manual"] as const) {
    for (const question of questions()) {
      const verdict = arbiterOf(name).judge(question);
      if (verdict.kind === "hold") assert.ok(verdict.why.length > 20);
    }
  }
});
