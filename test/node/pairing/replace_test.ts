/** The other node is dead for good, and VMs run on here. */

import assert from "node:assert/strict";
import { ProblemError } from "../../../lib/model/problem.ts";
import type { PairSettings } from "../../../lib/model/node.ts";
import { keptOf, withKept } from "../../../lib/node/pairing/replacing.ts";
import { PairStore } from "../../../lib/node/pairing/store.ts";
import { HOST, until } from "../peer/kit.ts";
import { card, compare, pair, paired, reached, TestNode } from "./kit.ts";

const SETTINGS: PairSettings = {
  link_a: { local: "127.0.2.1", peer: "127.0.2.2" },
  link_b: null,
  lan: { local: "127.0.4.1", peer: "127.0.4.2", bridge: "br0", reference: "127.0.4.9" },
  arbiter: "witness",
  witness: { address: "127.0.0.9", port: 7810, id: "", pair: "press" },
  takeover_ms: 400,
};

const cards = (last: number) => [
  card("eth0", HOST),
  card("eth1", `127.0.2.${last}`),
  card("br0", `127.0.4.${last}`, { bridge: true }),
];

function refused(pattern: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ProblemError && error.code === "refused", String(error));
    assert.match(error.message, pattern);
    return true;
  };
}

Deno.test("replacing needs silence and VMs that run alone; then nobody has the key, and the old node is refused whatever it has", async () => {
  await using a = await TestNode.start("alpha", { interfaces: cards(1), limits: { silentMs: 400 } });
  await using b = await TestNode.start("beta", { interfaces: cards(2), limits: { silentMs: 400 } });
  await assert.rejects(a.control.replace("test"), /not paired/);
  await paired(a, b);
  const { witness, ...settings } = SETTINGS;
  const id = b.control.id;
  await a.control.configure({ ...settings, witness: { ...witness!, id } }, "test");
  const key = b.read("pair.key");
  await assert.rejects(a.control.replace("test"), refused(/it is not off/));
  await b.stop();
  await until("a notices", () => !a.control.channel.reachable);
  a.mayReplace = "press-1 does not run alone on this node (deciding).";
  await assert.rejects(a.control.replace("test"), refused(/press-1 does not run alone/));
  assert.equal(a.read("pair.key"), key, "nothing was changed");
  a.mayReplace = null;
  const view = await a.control.replace("test");
  assert.deepEqual([view.pairing, view.settings, a.read("pair.json")], [{ step: "none" }, null, null]);
  assert.deepEqual(a.records.of("pair.replaced").map(({ params }) => params), [{ node: "beta" }]);
  const own = a.read("pair.key")!;
  assert.match(own, /^[0-9a-f]{64}\n$/, "its VMs have a key");
  assert.notEqual(own, key);
  assert.equal(Deno.statSync(a.file("pair.key")).mode! & 0o777, 0o600);

  await b.run(); // with its old identity and its old key
  await until("b is told", () => b.control.view().problem?.code === "not_paired");
  assert.equal(b.control.channel.reachable, false);
  assert.equal(a.control.channel.peer, null);
  await b.stop();

  // An attempt that comes to nothing leaves the VMs their key; so does a restart.
  await using c = await TestNode.start("gamma", { interfaces: cards(2) });
  await compare(a, c);
  await a.control.cancel("test");
  await a.stop();
  await a.run();
  assert.equal(a.read("pair.key"), own);
  await pair(a, c);
  assert.equal(a.read("pair.key"), c.read("pair.key"));
  assert.equal([own, key].includes(a.read("pair.key")!), false);

  // Proposed on either node: with what the VMs that run keep.
  for (const node of [a, c]) {
    const { proposals } = await node.control.suggest();
    const { arbiter, witness: kept, takeover_ms, lan } = proposals!;
    assert.deepEqual([arbiter, kept?.id, takeover_ms, lan?.reference], ["witness", id, 400, "127.0.4.9"]);
  }
  a.unfit = "press-1 runs here: not while the VM runs";
  const { proposals } = await a.control.suggest();
  await assert.rejects(a.control.configure(proposals!, "test"), /press-1 runs here/);
  await assert.rejects(
    c.control.configure((await c.control.suggest()).proposals!, "test"),
    /press-1 runs here/,
  );
  a.unfit = null;
  await a.control.configure(proposals!, "test");
  assert.equal(a.read("pair_kept.json"), null, "from here on the pair's settings count");
  await reached(a, c);
  await a.control.remove("test");
  assert.equal(a.read("pair.key"), null, "a pair that is dissolved leaves no key");
});

Deno.test("power lost at any moment of giving a node up: it is the old pair, or none, and the VMs have a key", async () => {
  const directory = await Deno.makeTempDir({ prefix: "pair-" });
  try {
    const begin = () => {
      const store = new PairStore(directory);
      const key = "5e".repeat(32);
      const peer = { id: "B", next_id: null, name: "beta", port: 7811, addresses: [] };
      const key_id = store.keyId();
      store.create({ version: 1, state: "paired", peer, key_id: key_id ?? "", paired_at: "" }, key);
      const pair = {
        version: 1 as const,
        state: "paired" as const,
        peer,
        key_id: store.keyId()!,
        paired_at: "",
      };
      store.create(pair, key);
      assert.equal(store.read()?.key, key);
      return key;
    };
    const left = () => Deno.readTextFileSync(`${directory}/pair.key`).trim();
    const kept = keptOf(SETTINGS);
    // Each file is written whole, one after the other: after each of them.
    const key = begin();
    Deno.writeTextFileSync(`${directory}/pair_kept.json`, JSON.stringify(kept));
    assert.equal(new PairStore(directory).read()?.key, key, "it was not given up yet");
    Deno.writeTextFileSync(`${directory}/pair.key`, "7f".repeat(32));
    assert.equal(new PairStore(directory).read(), null);
    assert.deepEqual([left(), new PairStore(directory).kept()], ["7f".repeat(32), kept]);
    begin();
    new PairStore(directory).remove(kept);
    assert.equal(new PairStore(directory).read(), null);
    assert.notEqual(left(), key);
    // The negative control: without the note another key is a damaged pair.
    new PairStore(directory).remove();
    begin();
    Deno.writeTextFileSync(`${directory}/pair.key`, "7f".repeat(32));
    assert.throws(() => new PairStore(directory).read(), /is not the pair's key/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("what VMs keep is theirs, the rest is proposed", () => {
  assert.equal(keptOf(null), null);
  const proposal: PairSettings = { ...SETTINGS, arbiter: "lan", witness: null, takeover_ms: 150, lan: null };
  assert.deepEqual(withKept(proposal, keptOf(SETTINGS)), {
    ...proposal,
    arbiter: "witness",
    witness: SETTINGS.witness,
    takeover_ms: 400,
  });
  assert.equal(withKept(proposal, null), proposal);
});
