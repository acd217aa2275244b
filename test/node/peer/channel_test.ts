/** The channel between two nodes, as its users see it. */

import assert from "node:assert/strict";
import { ProblemError } from "../../../lib/model/problem.ts";
import { CALLS_MAX } from "../../../lib/node/peer/calls.ts";
import { endOf, knowing, soon, twoEnds, until } from "./kit.ts";

function problem(code: string, pattern = /./): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ProblemError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, pattern);
    return true;
  };
}

Deno.test("two nodes call each other, and what the other side throws comes as what it was", async () => {
  await using ends = await twoEnds();
  const { a, b } = ends;
  b.node.answer("echo", (params) => Promise.resolve({ was: params }));
  a.node.answer("echo", (params) => Promise.resolve({ a: params }));
  b.node.answer("refuse", () =>
    Promise.reject(
      new ProblemError("conflict", { detail: "no", hint: "do", fields: [{ key: "k", problem: "p" }] }),
    ));
  b.node.answer("break", () => Promise.reject(new TypeError("bang")));
  assert.deepEqual(await a.node.call("echo", { x: [1, "é"] }), { was: { x: [1, "é"] } });
  assert.deepEqual(await b.node.call("echo", null), { a: null });
  await assert.rejects(a.node.call("refuse", {}), (error: unknown) => {
    assert.ok(error instanceof ProblemError);
    assert.deepEqual([error.code, error.message, error.hint, error.fields], ["conflict", "no", "do", [{
      key: "k",
      problem: "p",
    }]]);
    return true;
  });
  await assert.rejects(a.node.call("break", {}), problem("failed", /bang/));
  await assert.rejects(a.node.call("nothing", {}), problem("not_found", /does not know nothing/));
  await until("a round trip was measured", () => a.node.rtt_us !== null && b.node.clockOffsetMs !== null);
  assert.deepEqual(a.node.peer, { id: b.identity.id, name: "other" });
  assert.deepEqual(a.node.session?.introduction.name, "b");
});

Deno.test("one connection is kept, whoever dialled first, time and again", async () => {
  for (let i = 0; i < 5; i++) {
    await using ends = await twoEnds();
    const { a, b } = ends;
    b.node.answer("echo", (params) => Promise.resolve(params));
    a.node.answer("echo", (params) => Promise.resolve(params));
    for (let k = 0; k < 20; k++) {
      assert.equal(await a.node.call("echo", k), k);
      assert.equal(await b.node.call("echo", k), k);
    }
    assert.deepEqual(a.reached, [[true, ""]]);
    assert.deepEqual(b.reached, [[true, ""]]);
  }
});

Deno.test("calls are bounded: in time, in number, in size, on both sides", async () => {
  await using ends = await twoEnds();
  const { a, b } = ends;
  const gate = Promise.withResolvers<void>();
  let running = 0;
  b.node.answer("hang", async () => {
    running++;
    await gate.promise;
  });
  b.node.answer("large", () => Promise.resolve("x".repeat(2 ** 20)));
  await assert.rejects(
    a.node.call("hang", {}, { timeout_ms: 50 }),
    problem("peer_unreachable", /hang within/),
  );
  const calls = Array.from({ length: CALLS_MAX }, () => a.node.call("hang", {}).catch((error) => error));
  await assert.rejects(a.node.call("hang", {}), problem("too_many", /wait for their answers/));
  await until("as many as may are answered at once", () => running === CALLS_MAX);
  gate.resolve();
  const results = await Promise.all(calls);
  // The one that timed out was still being answered, so one of these found no room at the other node.
  assert.equal(results.filter((result) => result === null).length, CALLS_MAX - 1);
  await assert.rejects(a.node.call("large", {}), problem("too_large"));
  await assert.rejects(a.node.call("large", "x".repeat(2 ** 20)), problem("too_large"));
  assert.equal(a.node.reachable, true);
});

Deno.test("a node that has just started says so, when what is asked of it is not up yet; later it does not know it", async () => {
  await using young = await twoEnds({ b: { startingMs: 1e9 } });
  await assert.rejects(young.a.node.call("part", {}), problem("peer_unreachable", /still starting/));
  await assert.rejects(young.a.node.open("part", {}), problem("peer_unreachable", /still starting/));
  young.b.node.answer("part", () => Promise.resolve("up"));
  assert.equal(await young.a.node.call("part", {}), "up");
});

Deno.test("the other clock is told from pings, to within the round trip", async () => {
  await using ends = await twoEnds({ b: { now: () => Date.now() + 5_000_000 } });
  const { a, b } = ends;
  await until("both measured", () => a.node.clockOffsetMs !== null && b.node.clockOffsetMs !== null);
  assert.ok(Math.abs(a.node.clockOffsetMs! - 5_000_000) < 1000, `${a.node.clockOffsetMs}`);
  assert.ok(Math.abs(b.node.clockOffsetMs! + 5_000_000) < 1000, `${b.node.clockOffsetMs}`);
});

Deno.test("a node whose service stops says so: the other one knows at once, and again when it is back", async () => {
  await using ends = await twoEnds({ a: { silentMs: 60_000 } });
  const { a, b } = ends;
  const changes: boolean[] = [];
  using _listening = a.node.onChange(() => changes.push(a.node.reachable));
  const asked = Promise.withResolvers<void>();
  b.node.answer("hang", () => {
    asked.resolve();
    return new Promise(() => {});
  });
  const hanging = a.node.call("hang", {}).catch((error) => error);
  await asked.promise;
  const { port } = b.node;
  await b[Symbol.asyncDispose]();
  assert.ok(problem("peer_unreachable")(await soon(hanging, "the end of a call")));
  await until("it is known", () => !a.node.reachable);
  assert.match(a.node.why, /stopped|listens/);
  assert.deepEqual(changes, [false]);
  await assert.rejects(a.node.call("echo", 1), problem("peer_unreachable", /is not heard/));
  await using back = await endOf({ identity: b.identity, listen: { host: "0.0.0.0", port } });
  back.node.know(knowing(a));
  await until("both are reachable again", () => a.node.reachable && back.node.reachable);
  assert.deepEqual(changes, [false, true]);
});
