/** Lines that break, and what the channel makes of it. */

import assert from "node:assert/strict";
import { ProblemError } from "../../../lib/model/problem.ts";
import { type End, endOf, HOST, knowing, until } from "./kit.ts";
import { Line } from "./proxy.ts";

interface Stage extends AsyncDisposable {
  a: End;
  b: End;
  /** Lines from a to b; b knows no way to a. */
  lines: Line[];
}

/** Two ends with lines between them that a test can break. */
async function stage(
  { lines: count, silentMs = 8000, both = false }: { lines: number; silentMs?: number; both?: boolean },
): Promise<Stage> {
  const a = await endOf({ name: "a", silentMs });
  const b = await endOf({ name: "b", silentMs });
  b.node.answer("echo", (params) => Promise.resolve(params));
  a.node.answer("echo", (params) => Promise.resolve(params));
  const lines: Line[] = [];
  for (let i = 0; i < count; i++) lines.push(await Line.to(b.node.port));
  const back = both ? [await Line.to(a.node.port)] : [];
  const targets = (list: Line[]) => list.map(({ port }) => ({ host: HOST, port }));
  a.node.know(knowing(b, { targets: targets(lines) }));
  b.node.know(knowing(a, { targets: targets(back) }));
  await until("both are reachable", () => a.node.reachable && b.node.reachable);
  return {
    a,
    b,
    lines: [...lines, ...back],
    async [Symbol.asyncDispose]() {
      await a[Symbol.asyncDispose]();
      await b[Symbol.asyncDispose]();
      for (const line of [...lines, ...back]) await line[Symbol.asyncDispose]();
    },
  };
}

/** Whether a call goes through: one that is on its way when a connection breaks fails. */
function answers({ node }: End): Promise<boolean> {
  return node.call("echo", 1, { timeout_ms: 500 }).then(() => true, () => false);
}

Deno.test("a connection that breaks is replaced before the other node counts as lost, and calls wait for it", async () => {
  await using scene = await stage({ lines: 1, silentMs: 20_000 });
  const { a, b, lines } = scene;
  for (let i = 1; i <= 5; i++) {
    lines[0]!.flap();
    await until("it was noticed", () => a.node.session === null || lines[0]!.carried > i);
    assert.equal(await a.node.call("echo", i), i);
    await until("b has it too", () => b.node.session !== null);
    assert.equal(await b.node.call("echo", i), i);
  }
  assert.deepEqual(a.reached, [[true, ""]]);
  assert.deepEqual(b.reached, [[true, ""]]);
});

Deno.test("both nodes dial: whichever way is left open is found, and one connection is kept", async () => {
  await using scene = await stage({ lines: 1, both: true, silentMs: 20_000 });
  const { a, b, lines } = scene;
  const [there, back] = [lines[0]!, lines[1]!];
  for (const line of [there, back]) {
    line.cut();
    for (const end of [a, b]) await until("a call goes through", () => answers(end));
    line.mend();
  }
  assert.deepEqual(a.reached, [[true, ""]]);
});

Deno.test("a line that swallows everything is left for the other one before the node counts as lost", async () => {
  await using scene = await stage({ lines: 2, silentMs: 4000 });
  const { a, b, lines } = scene;
  assert.deepEqual(lines.map(({ carried }) => carried), [1, 0]);
  lines[0]!.swallow();
  await until("the other line carries it", () => lines[1]!.carried > 0 && a.node.session !== null);
  for (const end of [a, b]) await until("a call goes through", () => answers(end));
  assert.deepEqual(a.reached, [[true, ""]]);
  assert.deepEqual(b.reached, [[true, ""]]);
});

Deno.test("a node that is not heard on any line is unreachable on both, with why and since when; and back when a line is", async () => {
  await using scene = await stage({ lines: 1, silentMs: 200 });
  const { a, b, lines } = scene;
  const before = Date.now();
  lines[0]!.swallow();
  await until("both know", () => !a.node.reachable && !b.node.reachable);
  assert.ok(a.node.since_ms >= before);
  // The one that missed the other first ended the connection, which the other one saw.
  const whys = [a, b].map(({ reached }) => reached.at(-1)![1]);
  assert.ok(whys.some((why) => /nothing was heard for 0\.2 s/.test(why)), whys.join("; "));
  assert.ok(
    whys.every((why) => /nothing was heard|was closed|no answer|said hello/.test(why)),
    whys.join("; "),
  );
  await assert.rejects(
    a.node.call("echo", 1),
    (error: unknown) => error instanceof ProblemError && error.code === "peer_unreachable",
  );
  lines[0]!.mend();
  await until("both are back", () => a.node.reachable && b.node.reachable);
  assert.equal(await a.node.call("echo", 1), 1);
  assert.deepEqual(a.reached.map(([up]) => up), [true, false, true]);
});

Deno.test("a pair that is dissolved here is refused there from then on, and says why", async () => {
  await using scene = await stage({ lines: 1 });
  const { a, b } = scene;
  b.node.know(null);
  await until("a is told", () => a.refusals.some(({ code }) => code === "not_paired"));
  assert.equal(a.node.reachable, false);
  assert.equal(b.node.peer, null);
  assert.deepEqual(b.strangers.slice(0, 1), [a.identity.id]);
  assert.ok(b.strangers.length <= 5, "told too often");
  b.node.know(knowing(a));
  await until("they are a pair again", () => a.node.reachable && b.node.reachable);
});

Deno.test("two nodes with different keys of the pair, or without a common protocol, refuse each other and say why", async () => {
  await using a = await endOf({ name: "a" });
  await using b = await endOf({ name: "b" });
  await using c = await endOf({ name: "c", version: "9.9.9", protocols: { oldest: 7, newest: 9 } });
  a.node.know(knowing(b));
  b.node.know(knowing(a, { key: new Uint8Array(32) }));
  const refused = (end: End, code: string) => end.refusals.find((refusal) => refusal.code === code);
  await until("both know", () => [a, b].every((end) => refused(end, "key") !== undefined));
  assert.equal(a.node.reachable, false);
  a.node.know(knowing(c));
  c.node.know(knowing(a));
  await until("both know", () => [a, c].every((end) => refused(end, "version") !== undefined));
  assert.match(refused(a, "version")!.error, /1\.0\.0 \(protocol 1\)/);
  assert.match(refused(a, "version")!.error, /9\.9\.9 \(protocols 7 to 9\)/);
  assert.match(refused(c, "version")!.hint, /1\.0\.0/);
});
