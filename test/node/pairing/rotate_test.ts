/** A new identity for a node of a pair. */

import assert from "node:assert/strict";
import { ProblemError } from "../../../lib/model/problem.ts";
import { IDENTITY_FILE, openIdentity, readIdentity } from "../../../lib/node/identity.ts";
import { openTls } from "../../../lib/node/peer/dialler.ts";
import { greet, offerOf } from "../../../lib/node/peer/greeting.ts";
import { Link } from "../../../lib/node/peer/link.ts";
import { HOST, until } from "../peer/kit.ts";
import { paired, reached, TestNode } from "./kit.ts";

/** What a node keeps of the other one's identity. */
function kept(node: TestNode): { id: string; next_id: string | null } {
  const { id, next_id } = JSON.parse(node.read("pair.json")!).peer;
  return { id, next_id };
}

async function settled(node: TestNode, other: TestNode): Promise<void> {
  await until("the other node has dropped the old identity", () => kept(other).id === node.control.id);
  assert.equal(kept(other).next_id, null);
  await reached(node, other);
}

Deno.test("a node takes a new identity without pairing anew, and its old one opens nothing any more", async () => {
  await using a = await TestNode.start("alpha");
  await using b = await TestNode.start("beta");
  await paired(a, b);
  const old = readIdentity(a.file("identity"))!;
  const key = a.read("pair.key");
  for (let i = 0; i < 2; i++) {
    const before = a.control.id;
    await a.control.rotate("test");
    assert.notEqual(a.control.id, before);
    assert.equal(readIdentity(a.file("identity"))?.id, a.control.id);
    await settled(a, b);
    assert.equal(b.control.channel.peer?.id, a.control.id);
  }
  await b.control.rotate("test");
  await settled(b, a);
  assert.equal(a.read("pair.key"), key);
  await a.stop();
  await b.stop();
  await a.run();
  await b.run();
  await reached(a, b);
  const socket = await openTls({ host: HOST, port: b.port }, {
    credentials: old,
    signal: new AbortController().signal,
  });
  const link = new Link(socket);
  const known = { ids: [b.control.id], name: "b", key: new Uint8Array(32), targets: [], settled: true };
  const introduction = { name: "a", port: 1, addresses: [] };
  const ids = { own: old.id, theirs: b.control.id };
  await assert.rejects(
    greet(link, { ids, address: HOST, offer: offerOf("1.0.0"), introduction, known }),
    /not paired with this one/,
  );
  link.end("seen");
});

Deno.test("power lost at any moment of a change of identity: it is finished, or had not begun", async () => {
  await using a = await TestNode.start("alpha");
  await using b = await TestNode.start("beta");
  await paired(a, b);
  const next = () => readIdentity(a.file("identity/next"));
  // Made, and not told.
  await a.stop();
  const made = openIdentity(a.file("identity/next"));
  await a.run();
  await until("it was finished", () => a.control.id === made.id);
  await settled(a, b);
  assert.equal(next(), null);
  // Made and told, and not taken.
  await a.stop();
  await b.stop();
  const told = openIdentity(a.file("identity/next"));
  const stored = JSON.parse(b.read("pair.json")!);
  stored.peer.next_id = told.id;
  Deno.writeTextFileSync(b.file("pair.json"), JSON.stringify(stored));
  await a.run();
  await b.run();
  await until("it was finished", () => a.control.id === told.id);
  await settled(a, b);
  // Taken, and not yet met with it.
  await a.stop();
  await b.stop();
  const taken = openIdentity(a.file("identity/next"));
  stored.peer = { ...stored.peer, id: told.id, next_id: taken.id };
  Deno.writeTextFileSync(b.file("pair.json"), JSON.stringify(stored));
  Deno.renameSync(a.file(`identity/next/${IDENTITY_FILE}`), a.file(`identity/${IDENTITY_FILE}`));
  await a.run();
  await b.run();
  await settled(a, b);
  assert.equal(a.control.id, taken.id);
  // Control: without the other node's knowing of it, a new identity is a stranger.
  await a.stop();
  const unknown = openIdentity(a.file("identity/next"));
  Deno.renameSync(a.file(`identity/next/${IDENTITY_FILE}`), a.file(`identity/${IDENTITY_FILE}`));
  await a.run();
  await until("it is refused", () => a.control.view().problem?.code === "not_paired");
  assert.equal(a.control.id, unknown.id);
  assert.equal(kept(b).id, taken.id);
});

Deno.test("a new identity is not begun while the other node is not heard; a node that is alone just takes one", async () => {
  await using a = await TestNode.start("alpha");
  await using b = await TestNode.start("beta");
  await paired(a, b);
  await b.stop();
  await until("it is missed", () => !a.control.channel.reachable);
  const before = a.control.id;
  await assert.rejects(
    a.control.rotate("test"),
    (error) => error instanceof ProblemError && error.code === "peer_unreachable",
  );
  assert.equal(a.control.id, before);
  assert.equal(readIdentity(a.file("identity/next")), null);
  await a.control.remove("test");
  await a.control.rotate("test");
  assert.notEqual(a.control.id, before);
});
