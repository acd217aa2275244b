/** A power loss at any moment of pairing, and pairs that only one node knows of. */

import assert from "node:assert/strict";
import { ProblemError } from "../../../lib/model/problem.ts";
import { PairStore } from "../../../lib/node/pairing/store.ts";
import { until } from "../peer/kit.ts";
import { compare, pair, paired, reached, TestNode } from "./kit.ts";

/** What a node's files would be if power had been lost after they were written, and before the channel stood. */
function asPending(node: TestNode): void {
  const stored = JSON.parse(node.read("pair.json")!);
  Deno.writeTextFileSync(node.file("pair.json"), JSON.stringify({ ...stored, state: "pending" }));
}

function failedWith(node: TestNode): string | null {
  return node.pairing.step === "failed" ? node.pairing.code : null;
}

Deno.test("power lost on one or both after both had stored the pair: it is finished when they meet", async () => {
  await using a = await TestNode.start("alpha");
  await using b = await TestNode.start("beta");
  await paired(a, b);
  for (const pending of [[a, b], [a], [b]]) {
    await a.stop();
    await b.stop();
    for (const node of pending) asPending(node);
    await a.run();
    for (const node of pending.filter((node) => node === a)) {
      assert.equal(failedWith(node), "interrupted");
      assert.equal(node.control.channel.peer, null);
      assert.equal(node.control.keyFile(), null);
    }
    await b.run();
    await until("both are paired", () => [a, b].every(({ pairing }) => pairing.step === "paired"));
    await reached(a, b);
  }
});

Deno.test("power lost on one before it had stored the pair: the other one drops it, says so, and they can pair again", async () => {
  await using a = await TestNode.start("alpha");
  await using b = await TestNode.start("beta");
  await paired(a, b);
  await a.stop();
  await b.stop();
  asPending(a);
  new PairStore(b.directory).remove();
  await a.run();
  await b.run();
  await until("a knows", () => failedWith(a) === "interrupted" && a.read("pair.json") === null);
  assert.match(a.pairing.step === "failed" ? a.pairing.detail : "", /before it had stored/);
  assert.equal(a.read("pair.key"), null);
  await pair(b, a);
});

Deno.test("a node that cannot write the pair down says so, and neither of the two is left with half a pair", async () => {
  for (const who of [0, 1]) {
    await using a = await TestNode.start("alpha");
    await using b = await TestNode.start("beta");
    const [full, other] = who === 0 ? [a, b] : [b, a];
    await compare(a, b);
    Deno.mkdirSync(full.file("pair.key.new")); // in the way of the file
    await Promise.all([a.control.confirm("test"), b.control.confirm("test")]);
    await until("it says so", () => failedWith(full) === "storage");
    await until(
      "the other one dropped it",
      () => other.read("pair.json") === null && failedWith(other) !== null,
    );
    assert.deepEqual([full.control.channel.peer, other.control.channel.peer], [null, null]);
    Deno.removeSync(full.file("pair.key.new"));
    await pair(a, b);
  }
});

Deno.test("an interrupted pairing whose other node stays away can be cancelled, or done anew with another one", async () => {
  await using a = await TestNode.start("alpha");
  await using b = await TestNode.start("beta");
  await using c = await TestNode.start("gamma");
  await paired(a, b);
  await a.stop();
  await b.stop();
  asPending(a);
  await a.run();
  assert.equal(failedWith(a), "interrupted");
  await pair(a, c);
  assert.equal(a.control.channel.peer?.name, "gamma");
  await c.stop();
  await a.stop();
  asPending(a);
  await a.run();
  assert.deepEqual((await a.control.cancel("test")).pairing, { step: "none" });
  assert.equal(a.read("pair.json"), null);
  await c.run();
  await until("c is told", () => c.control.view().problem?.code === "not_paired");
  await c.control.remove("test");
  await paired(a, c);
  // And what it left of its key does not fit: power lost between a new key and the new pair's file.
  await a.stop();
  asPending(a);
  Deno.writeTextFileSync(a.file("pair.key"), `${"ab".repeat(32)}\n`);
  await a.run();
  assert.deepEqual(a.pairing, { step: "none" });
});

Deno.test("a paired node whose key is another one, or whose file is damaged, does not start without a word", async () => {
  await using a = await TestNode.start("alpha");
  await using b = await TestNode.start("beta");
  await paired(a, b);
  await a.stop();
  Deno.writeTextFileSync(a.file("pair.key"), `${"ab".repeat(32)}\n`);
  await assert.rejects(a.run(), /pair\.key is not the pair's key/);
  Deno.writeTextFileSync(a.file("pair.json"), "{");
  await assert.rejects(a.run(), /pair\.json is damaged/);
});

Deno.test("dissolving a pair needs both nodes' leave when both are there, and tells the other one", async () => {
  await using a = await TestNode.start("alpha");
  await using b = await TestNode.start("beta");
  await assert.rejects(
    a.control.remove("test"),
    (error) => error instanceof ProblemError && error.code === "not_paired",
  );
  await paired(a, b);
  a.mayRemove = "scada is protected by it";
  await assert.rejects(a.control.remove("test"), /scada is protected/);
  a.mayRemove = null;
  b.mayRemove = "press is protected by it";
  await assert.rejects(a.control.remove("test"), /press is protected/);
  assert.deepEqual([a.pairing.step, b.pairing.step], ["paired", "paired"]);
  b.mayRemove = null;
  assert.deepEqual((await a.control.remove("test")).pairing, { step: "none" });
  await until("b knows", () => b.pairing.step === "none");
  assert.deepEqual(a.records.of("pair.removed").map(({ actor, params }) => [actor, params["node"]]), [[
    "test",
    "beta",
  ]]);
  await until("b told it", () => b.records.of("pair.removed").length === 1);
});

Deno.test("a dead node is replaced: removed without it, another one paired; should it come back, it says that it is not paired any more", async () => {
  await using a = await TestNode.start("alpha");
  await using dead = await TestNode.start("beta");
  await using fresh = await TestNode.start("gamma");
  await paired(a, dead);
  await dead.stop();
  await until("a knows", () => !a.control.channel.reachable);
  await a.control.remove("test");
  await pair(a, fresh);
  await dead.run();
  await until("it is told", () => dead.control.view().problem?.code === "not_paired");
  assert.equal(dead.pairing.step, "paired");
  await until("it was seen", () => a.records.of("pair.stranger").length > 0);
  await dead.control.remove("test");
  assert.deepEqual(dead.control.view().problem, null);
  await reached(a, fresh);
});
