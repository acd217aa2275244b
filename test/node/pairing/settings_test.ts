/** Links, LAN and arbiter: the same on both nodes, or as they were. */

import assert from "node:assert/strict";
import type { PairSettings } from "../../../lib/model/node.ts";
import { ProblemError } from "../../../lib/model/problem.ts";
import { propose } from "../../../lib/node/pairing/interfaces.ts";
import { exchanged } from "../../../lib/node/pairing/settings.ts";
import { until } from "../peer/kit.ts";
import { card, paired, reached, TestNode } from "./kit.ts";

const LEFT = [
  card("eth1", "127.0.2.1", { speed_mbit: 10_000 }),
  card("eth2", "127.0.3.1", { speed_mbit: 1000 }),
  card("br0", "127.0.4.1", { bridge: true }),
];
const RIGHT = [
  card("enp5s0", "127.0.2.2", { speed_mbit: 10_000 }),
  card("enp6s0", "127.0.3.2"),
  card("br0", "127.0.4.2", { bridge: true }),
];

const SETTINGS: PairSettings = {
  link_a: { local: "127.0.2.1", peer: "127.0.2.2" },
  link_b: { local: "127.0.3.1", peer: "127.0.3.2" },
  lan: { local: "127.0.4.1", peer: "127.0.4.2", bridge: "br0", reference: "127.0.4.3" },
  arbiter: "lan",
  witness: null,
  takeover_ms: 150,
};

async function twoNodes(): Promise<{ a: TestNode; b: TestNode } & AsyncDisposable> {
  const a = await TestNode.start("alpha", { interfaces: LEFT });
  const b = await TestNode.start("beta", { interfaces: RIGHT });
  await paired(a, b);
  return {
    a,
    b,
    async [Symbol.asyncDispose]() {
      await a[Symbol.asyncDispose]();
      await b[Symbol.asyncDispose]();
    },
  };
}

function fieldsOf(error: unknown): string[] {
  assert.ok(error instanceof ProblemError, String(error));
  assert.equal(error.code, "invalid", error.message);
  return error.fields.map(({ key }) => key);
}

Deno.test("settings hold on both nodes, local and peer exchanged, also after restarts, and carry the channel", async () => {
  await using nodes = await twoNodes();
  const { a, b } = nodes;
  assert.equal(a.control.settings(), null);
  const view = await a.control.configure(SETTINGS, "test");
  assert.deepEqual(view.settings, SETTINGS);
  await until("b has them", () => b.control.settings() !== null);
  assert.deepEqual(b.control.settings(), exchanged(SETTINGS));
  assert.deepEqual(a.records.of("pair.configured").map(({ actor }) => actor), ["test"]);
  assert.deepEqual(b.records.of("pair.configured").map(({ actor }) => actor), [null]);
  await a.stop();
  await b.stop();
  await a.run();
  await b.run();
  await reached(a, b);
  assert.deepEqual([a.control.settings(), b.control.settings()], [SETTINGS, exchanged(SETTINGS)]);
  // And changed from the other side.
  await b.control.configure({ ...exchanged(SETTINGS), link_b: null }, "test");
  await until("a has them", () => a.control.settings()?.link_b === null);
  await until(
    "each path that is set is up, on both",
    () =>
      [a, b].every(({ control }) => control.view().paths.map(({ state }) => state).join() === "up,unset,up"),
  );
  const [path] = a.control.view().paths;
  assert.deepEqual([path?.interface, path?.local, path?.peer, path?.speed_mbit], [
    "eth1",
    "127.0.2.1",
    "127.0.2.2",
    10_000,
  ]);
  assert.ok(path!.rtt_us! > 0 && path!.since !== null);
});

Deno.test("settings that are wrong on this node or on the other are refused, each with its key, and nothing changes", async () => {
  await using nodes = await twoNodes();
  const { a, b } = nodes;
  const wrong: [Partial<PairSettings>, string[]][] = [
    [{ link_a: { local: "127.0.9.1", peer: "127.0.2.2" } }, ["link_a.local"]],
    [{ link_a: { local: "127.0.2.1", peer: "127.0.9.2" } }, ["link_a.peer"]],
    [{ link_b: { local: "127.0.2.1", peer: "127.0.2.2" } }, ["link_b"]],
    [{ link_b: { local: "127.0.3.1", peer: "127.0.3.1" } }, ["link_b.peer"]],
    [{ lan: { ...SETTINGS.lan!, bridge: "br9" } }, ["lan.bridge"]],
    [{ lan: { ...SETTINGS.lan!, reference: null } }, ["lan.reference"]],
    [{ arbiter: "witness" }, ["witness"]],
    [{ witness: { address: "10.0.0.1", port: 7810, id: "nonsense", pair: "press" } }, ["witness.id"]],
    [{ link_a: { local: "somewhere", peer: "127.0.2.2" } }, ["link_a.local"]],
    [{ takeover_ms: 1 }, ["takeover_ms"]],
  ];
  for (const [change, keys] of wrong) {
    await assert.rejects(
      a.control.configure({ ...SETTINGS, ...change }, "test"),
      (error) => {
        assert.deepEqual(fieldsOf(error), keys, JSON.stringify(change));
        return true;
      },
    );
  }
  assert.deepEqual([a.control.settings(), b.control.settings()], [null, null]);
  await b.stop();
  await until("it is missed", () => !a.control.channel.reachable);
  await assert.rejects(
    a.control.configure(SETTINGS, "test"),
    (error) => error instanceof ProblemError && error.code === "peer_unreachable",
  );
  assert.equal(a.control.settings(), null);
  assert.equal(a.read("pair_settings.json"), null);
});

Deno.test("power lost between the two nodes' taking new settings: the one that lacks them takes them when they meet", async () => {
  await using nodes = await twoNodes();
  const { a, b } = nodes;
  await a.control.configure(SETTINGS, "test");
  await until("b has them", () => b.control.settings() !== null);
  const older = b.read("pair_settings.json")!;
  await a.control.configure({ ...SETTINGS, takeover_ms: 500 }, "test");
  await until("b has them", () => b.control.settings()?.takeover_ms === 500);
  const newer = b.read("pair_settings.json")!;
  await b.stop();
  // As if b had written them beside the old ones, and lost power before it heard that they hold.
  Deno.writeTextFileSync(b.file("pair_settings.json"), older);
  Deno.writeTextFileSync(b.file("pair_settings.json.staged"), newer);
  await b.run();
  await until("b has the newer ones", () => b.control.settings()?.takeover_ms === 500);
  assert.deepEqual(JSON.parse(b.read("pair_settings.json")!), JSON.parse(newer));
  assert.equal(b.read("pair_settings.json.staged"), null);
  // As if b had prepared a change of a's that a then never made: it is forgotten.
  await b.stop();
  const next = { ...JSON.parse(newer), revision: 9, change: "x" };
  Deno.writeTextFileSync(b.file("pair_settings.json.staged"), JSON.stringify(next));
  await b.run();
  await reached(a, b);
  assert.equal(b.control.settings()?.takeover_ms, 500);
  assert.equal(b.read("pair_settings.json.staged"), null);
  await a.control.configure({ ...SETTINGS, takeover_ms: 600 }, "test");
  await until("b has them", () => b.control.settings()?.takeover_ms === 600);
});

Deno.test("two persons who change the settings at once on both nodes end with the same ones on both", async () => {
  await using nodes = await twoNodes();
  const { a, b } = nodes;
  for (let i = 0; i < 5; i++) {
    const results = await Promise.allSettled([
      a.control.configure({ ...SETTINGS, takeover_ms: 1000 + i }, "test"),
      b.control.configure({ ...exchanged(SETTINGS), takeover_ms: 2000 + i }, "test"),
    ]);
    for (const result of results) {
      if (result.status === "rejected") assert.equal((result.reason as ProblemError).code, "conflict");
    }
    await until("both have the same", () => {
      const theirs = b.control.settings();
      return JSON.stringify(a.control.settings()) === JSON.stringify(theirs && exchanged(theirs));
    });
  }
});

Deno.test("what is proposed: the LAN where both have the bridge, the two fastest networks that they share as lines", async () => {
  const found = propose(LEFT, { theirs: RIGHT, gateway: () => "127.0.4.254" });
  assert.deepEqual(found, { ...SETTINGS, lan: { ...SETTINGS.lan, reference: "127.0.4.254" } });
  assert.equal(propose(LEFT, { theirs: [], gateway: () => null }), null);
  assert.equal(propose(LEFT, { theirs: LEFT, gateway: () => null }), null); // the same addresses: a copy of a machine
  const onlyLan = propose([LEFT[2]!], { theirs: [RIGHT[2]!], gateway: () => null });
  assert.deepEqual([onlyLan?.link_a, onlyLan?.arbiter], [
    { local: "127.0.4.1", peer: "127.0.4.2" },
    "manual",
  ]);
  // A faster network without a cable comes after a slower one with.
  const unplugged = LEFT.map((one) => one.name === "eth1" ? { ...one, carrier: false } : one);
  assert.equal(propose(unplugged, { theirs: RIGHT, gateway: () => null })?.link_a.local, "127.0.3.1");
  await using nodes = await twoNodes();
  const { interfaces, proposals } = await nodes.b.control.suggest();
  assert.deepEqual(interfaces, RIGHT);
  assert.deepEqual(proposals?.link_a, { local: "127.0.2.2", peer: "127.0.2.1" });
});
