/** The pair has other lines, or another key, while a VM runs. */

import assert from "node:assert/strict";
import type { PairSettings } from "../../../lib/model/node.ts";
import { VmManager } from "../../../lib/node/vm/manager.ts";
import { plan } from "../../../lib/node/vm/plan.ts";
import { readTextFile } from "../../../lib/durable_file.ts";
import { until, view } from "./kit.ts";
import { Nodes, SETTINGS, VM } from "./runners_kit.ts";

/** What the pair is now, as its part of the node says. */
interface Pair {
  settings: PairSettings | null;
  key: string | null;
}

/** Node A with a VM that runs alone. */
async function alone(nodes: Nodes, pair: Pair): Promise<VmManager> {
  const manager = await VmManager.open({
    ...nodes.options("a"),
    pairSettings: () => pair.settings,
    pairKeyId: () => pair.key,
  });
  await nodes.add(manager, { spec: { stop_s: 0 } });
  await manager.act(VM, "start", "local");
  assert.equal(view(manager).state, "unprotected");
  return manager;
}

/** The hosts' files that the runner was told to read again. */
function relinks(nodes: Nodes): string[] {
  return (readTextFile(`${nodes.place("a")}/relinks`) ?? "").split("\0").slice(0, -1);
}

function state(nodes: Nodes) {
  const { settings, local } = JSON.parse(readTextFile(`${nodes.place("a")}/state.json`)!);
  return { starts: settings.starts, host_of: local.host_of };
}

const told = (nodes: Nodes, code: string) => nodes.heard.a.codes().filter((one) => one === code).length;

Deno.test("another key, then other lines: the runner takes each once, and is neither ended nor started", async () => {
  await using nodes = await Nodes.make();
  const pair: Pair = { settings: SETTINGS, key: "old" };
  await using a = await alone(nodes, pair);
  const [pid, before] = [nodes.pid("a"), state(nodes)];
  pair.key = "own";
  pair.settings = null; // the other node is being replaced
  a.pairChanged();
  await until(a, () => told(nodes, "vm.relinked") === 1);
  assert.deepEqual(state(nodes), before, "its file is the same");
  pair.key = "new";
  pair.settings = { ...SETTINGS, link_a: { local: "10.0.0.1", peer: "10.0.0.77" } };
  a.pairChanged();
  await until(a, () => told(nodes, "vm.relinked") === 2);
  const [first, second] = relinks(nodes);
  assert.equal(relinks(nodes).length, 2);
  assert.match(first!, /peer = "10\.0\.0\.2"/);
  assert.match(second!, /peer = "10\.0\.0\.77"/);
  const starts = before.starts + 1;
  assert.deepEqual(state(nodes), { starts, host_of: starts }, "the other node's runner reads its file anew");
  assert.deepEqual([nodes.pid("a"), nodes.starts("a").length], [pid, 1]);
});

Deno.test("without a pair a runner that ended goes on with its file and a key of its own; without a key it does not", async () => {
  await using nodes = await Nodes.make();
  const pair: Pair = { settings: SETTINGS, key: "old" };
  await using a = await alone(nodes, pair);
  const first = nodes.pid("a");
  pair.settings = null;
  pair.key = "own";
  Deno.kill(first, "SIGKILL");
  await until(a, () => ![0, first].includes(nodes.pid("a")) && a.reports().here[0]?.phase === "waiting");
  pair.key = null;
  Deno.kill(nodes.pid("a"), "SIGKILL");
  await until(a, () => a.reports().here[0]?.failed.includes("not paired") === true);
  assert.equal(nodes.starts("a").length, 2);
});

Deno.test("what a VM that runs cannot take is said before it is set, and once; it keeps the lines that it has", async () => {
  await using nodes = await Nodes.make();
  const pair: Pair = { settings: SETTINGS, key: "old" };
  await using a = await alone(nodes, pair);
  const lines = { link_a: { local: "10.0.0.1", peer: "10.0.0.77" } };
  assert.equal(a.unfit({ ...SETTINGS, ...lines }, { all: true }), null);
  assert.match(a.unfit({ ...SETTINGS, takeover_ms: 300 }, { all: true })!, /the takeover time/);
  assert.equal(
    a.unfit({ ...SETTINGS, takeover_ms: 300 }, { all: false }),
    null,
    "it counts from the next start on",
  );
  assert.match(a.unfit({ ...SETTINGS, ...lines, takeover_ms: 300 }, { all: false })!, /the takeover time/);
  const file = readTextFile(`${nodes.place("a")}/host.toml`);
  pair.settings = { ...SETTINGS, ...lines, takeover_ms: 300 };
  a.pairChanged();
  await until(a, () => told(nodes, "vm.alarm") === 1);
  for (let i = 0; i < 3; i++) await nodes.tell("a", "go", { to: "solo" }); // it is looked at again at each change
  assert.deepEqual([relinks(nodes), told(nodes, "vm.alarm")], [[], 1]);
  assert.equal(readTextFile(`${nodes.place("a")}/host.toml`), file);
});

Deno.test("a node is replaced only while each VM runs here alone and hears nobody, or is stopped", async () => {
  await using nodes = await Nodes.make();
  await using a = await alone(nodes, { settings: SETTINGS, key: "old" });
  assert.match(a.whyNotReplace()!, /runner is heard/);
  await nodes.tell("a", "go", { to: "solo", silent: true });
  await until(a, () => a.whyNotReplace() === null);
  for (const phase of ["protected", "deciding", "waiting", "ready"]) {
    await nodes.tell("a", "go", { to: phase });
    await until(a, () => a.whyNotReplace()?.includes(`(${phase})`) === true);
  }
  await nodes.tell("a", "go", { to: "solo" });
  await until(a, () => view(a).state === "unprotected");
  await a.act(VM, "stop", "local");
  await until(a, () => a.reports().here[0]?.runner === "none");
  assert.equal(a.whyNotReplace(), null);
});

Deno.test("only a VM that runs alone is given other lines", () => {
  const facts = { runs: true, wanted: { running: true, protected: true }, begin: false, outdated: false };
  const times = { now_ms: 0, start_at_ms: 0, unwanted_since_ms: null };
  const step = (phase: string, relink: boolean) =>
    plan({ ...facts, ...times, relink, status: { phase, auto_protect: true, commands: {} } });
  assert.equal(step("solo", true), "relink");
  assert.equal(step("solo", false), null);
  for (const phase of ["protected", "syncing", "starting", "waiting", "ready"]) {
    assert.equal(step(phase, true), null);
  }
});
