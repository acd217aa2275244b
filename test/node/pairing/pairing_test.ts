/** How two nodes become a pair, as the persons in front of them see it. */

import assert from "node:assert/strict";
import { ProblemError } from "../../../lib/model/problem.ts";
import { until } from "../peer/kit.ts";
import { codeOf, compare, digitsOf, pair, reached, TestNode } from "./kit.ts";

function problem(code: string, pattern: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ProblemError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, pattern);
    return true;
  };
}

Deno.test("a code, the same digits on both, two confirmations: paired, with one secret, which survives restarts", async () => {
  await using a = await TestNode.start("alpha");
  await using b = await TestNode.start("beta");
  assert.deepEqual(a.pairing, { step: "none" });
  await compare(a, b);
  assert.equal(digitsOf(a), digitsOf(b));
  assert.match(digitsOf(a), /^\d{3} \d{3}$/);
  assert.equal(a.pairing.step === "comparing" && a.pairing.peer_name, "beta");
  assert.equal(b.pairing.step === "comparing" && b.pairing.peer_id, a.control.id);
  // One person's word is not enough, and nothing is written before the second one's.
  const view = await b.control.confirm("test");
  assert.equal(view.pairing.step === "comparing" && view.pairing.confirmed, true);
  assert.equal(b.read("pair.json"), null);
  assert.equal(a.read("pair.key"), null);
  assert.equal(b.control.channel.peer, null);
  await a.control.confirm("test");
  await until("both are paired", () => [a, b].every(({ pairing }) => pairing.step === "paired"));
  await reached(a, b);
  assert.deepEqual(a.control.channel.peer, { id: b.control.id, name: "beta" });
  assert.match(a.read("pair.key")!, /^[0-9a-f]{64}\n$/);
  assert.equal(a.read("pair.key"), b.read("pair.key"));
  for (const name of ["pair.key", "pair.json"]) {
    assert.equal(Deno.statSync(a.file(name)).mode! & 0o777, 0o600);
  }
  assert.equal(a.control.keyFile(), a.file("pair.key"));
  assert.deepEqual(a.records.of("pair.paired").map(({ params }) => params), [{ node: "beta" }]);
  await a.stop();
  await until("b knows", () => !b.control.channel.reachable);
  assert.equal(b.pairing.step, "paired");
  await b.stop();
  await a.run();
  await b.run();
  await reached(a, b);
  assert.deepEqual(a.records.of("pair.paired").length, 1);
  await assert.rejects(a.control.invite("test"), problem("conflict", /paired with beta/));
});

Deno.test("each pairing has a code, digits and a secret of its own", async () => {
  await using a = await TestNode.start("alpha");
  await using b = await TestNode.start("beta");
  const seen = new Set<string>();
  for (let i = 0; i < 3; i++) {
    await compare(a, b);
    seen.add(digitsOf(a));
    await a.control.cancel("test");
    await until("b is told", () => b.pairing.step === "failed");
    assert.equal(b.pairing.step === "failed" && b.pairing.code, "cancelled");
    assert.deepEqual(a.pairing, { step: "none" });
  }
  assert.equal(seen.size, 3);
  await pair(a, b);
  const first = a.read("pair.key");
  await a.control.remove("test");
  await until("b is told", () => b.pairing.step === "none");
  assert.deepEqual([a.read("pair.json"), a.read("pair.key"), b.read("pair.json"), b.read("pair.key")], [
    null,
    null,
    null,
    null,
  ]);
  await pair(b, a);
  assert.notEqual(a.read("pair.key"), first);
});

Deno.test("a wrong code is refused and told, five make the code void, and a right one then is refused too", async () => {
  await using a = await TestNode.start("alpha");
  await using b = await TestNode.start("beta");
  await a.control.invite("test");
  const right = codeOf(a);
  const { makeCode } = await import("../../../lib/node/pairing/secrets.ts");
  await assert.rejects(
    b.control.join(
      { address: a.address, code: `${right.slice(0, -1)}${right.endsWith("A") ? "B" : "A"}` },
      "test",
    ),
    problem("invalid", /mistyped/),
  );
  for (let left = 4; left >= 0; left--) {
    await assert.rejects(
      b.control.join({ address: a.address, code: makeCode() }, "test"),
      problem("refused", /code/),
    );
    assert.equal(b.pairing.step === "failed" && b.pairing.code, left === 0 ? "void" : "wrong_code");
    assert.equal(a.pairing.step, left === 0 ? "failed" : "inviting");
  }
  assert.equal(a.pairing.step === "failed" && a.pairing.code, "void");
  await assert.rejects(
    b.control.join({ address: a.address, code: right }, "test"),
    problem("refused", /does not wait/),
  );
  assert.equal(a.records.of("pair.attempt_refused").length, 6);
  await pair(a, b); // nothing is left behind
});

Deno.test("a code is no good after its time, and digits that nobody confirms go away on both", async () => {
  await using a = await TestNode.start("alpha", { limits: { inviteMs: 30 } });
  await using b = await TestNode.start("beta");
  await a.control.invite("test");
  const code = codeOf(a);
  await until("it has expired", () => a.pairing.step === "failed" && a.pairing.code === "expired");
  await assert.rejects(
    b.control.join({ address: a.address, code }, "test"),
    problem("refused", /does not wait/),
  );
  await using c = await TestNode.start("gamma", { limits: { compareMs: 50 } });
  await compare(c, b);
  await b.control.confirm("test");
  await until("it has expired", () => c.pairing.step === "failed" && c.pairing.code === "expired");
  await until("the other one is told", () => b.pairing.step === "failed");
  assert.equal(b.read("pair.json"), null);
  await assert.rejects(b.control.confirm("test"), problem("conflict", /no digits/));
});

Deno.test("a second joiner is refused while the digits are compared, and the first one goes on", async () => {
  await using a = await TestNode.start("alpha");
  await using b = await TestNode.start("beta");
  await using c = await TestNode.start("gamma");
  await a.control.invite("test");
  const code = codeOf(a);
  await b.control.join({ address: a.address, code }, "test");
  await until("a compares", () => a.pairing.step === "comparing");
  await assert.rejects(
    c.control.join({ address: a.address, code }, "test"),
    problem("refused", /does not wait/),
  );
  await Promise.all([a.control.confirm("test"), b.control.confirm("test")]);
  await reached(a, b);
  assert.equal(a.control.channel.peer?.name, "beta");
});

Deno.test("who types a node's own address, nobody's, or nonsense is told what is wrong", async () => {
  await using a = await TestNode.start("alpha");
  await a.control.invite("test");
  const code = codeOf(a);
  await assert.rejects(
    a.control.join({ address: a.address, code }, "test"),
    problem("refused", /this node's own/),
  );
  await using b = await TestNode.start("beta");
  const { port } = b;
  await b.stop();
  await b.run();
  await assert.rejects(
    b.control.join({ address: "127.0.0.1:1", code }, "test"),
    problem("peer_unreachable", /nothing listens there/),
  );
  await assert.rejects(
    b.control.join({ address: "no address!", code }, "test"),
    problem("invalid", /no address/),
  );
  assert.equal(b.port, port);
});

Deno.test("nodes whose versions do not go together say so with both versions, and are not paired", async () => {
  await using a = await TestNode.start("alpha");
  const { Link } = await import("../../../lib/node/peer/link.ts");
  const { openTls } = await import("../../../lib/node/peer/dialler.ts");
  const { newIdentity } = await import("../peer/kit.ts");
  await a.control.invite("test");
  const socket = await openTls({ host: "127.0.0.1", port: a.port }, {
    credentials: newIdentity(),
    signal: new AbortController().signal,
  });
  const link = new Link(socket);
  const introduction = { name: "b", port: 1, addresses: [] };
  link.say(1, { kind: "pair", oldest: 7, newest: 9, version: "9.9.9", introduction, commitment: "future" });
  const frame = await link.next();
  assert.match(new TextDecoder().decode(frame!.body), /1\.0\.0 \(protocol 1\).*9\.9\.9 \(protocols 7 to 9\)/);
  link.end("seen");
  assert.equal(a.pairing.step, "inviting");
});
