import assert from "node:assert/strict";
import { vmCreate } from "../../../lib/model/vm.ts";
import { merge, type MergeFacts } from "../../../lib/node/vm/merge.ts";
import type { VmRecord } from "../../../lib/node/vm/records.ts";
import { until, view } from "./kit.ts";
import { Nodes, VM } from "./runners_kit.ts";

Deno.test("settings reach the other node at each change, and what changed while it was away when it is back", async () => {
  await using nodes = await Nodes.make();
  const [a, b] = [await nodes.open("a"), await nodes.open("b")];
  await nodes.add(a, { disks: [] });
  assert.equal(await b.file(VM), await a.file(VM));
  nodes.net.cut();
  await a.update(VM, { revision: view(a).revision, spec: { memory: 128 } }, "local");
  assert.equal(view(a).replicated, false);
  assert.equal(view(b).memory_mib, 64);
  nodes.net.mend();
  await until(b, () => view(b).memory_mib === 128 && view(a).replicated);
  assert.equal(view(b).revision, view(a).revision);
});

Deno.test("a VM that was deleted does not come back from a node that was away", async () => {
  await using nodes = await Nodes.make();
  const [a, b] = [await nodes.open("a"), await nodes.open("b")];
  await nodes.add(a);
  nodes.net.cut();
  await a.remove(VM, { disks: false }, "local");
  assert.equal(b.views().length, 1);
  nodes.net.mend();
  await until(b, () => b.views().length === 0);
  assert.equal(a.views().length, 0);
  // The name is free, and nothing of the old one is in the way.
  await nodes.add(b);
  await until(a, () => a.views().length === 1);
});

Deno.test("changed on both sides while apart: the greater revision counts, and an event says so", async () => {
  await using nodes = await Nodes.make();
  const [a, b] = [await nodes.open("a"), await nodes.open("b")];
  await nodes.add(a);
  nodes.net.cut();
  await a.update(VM, { revision: view(a).revision, spec: { memory: 128 } }, "local");
  await b.update(VM, { revision: view(b).revision, spec: { memory: 256 } }, "local");
  await b.update(VM, { revision: view(b).revision, spec: { memory: 512 } }, "local");
  nodes.net.mend();
  await until(a, () => view(a).memory_mib === 512 && view(b).memory_mib === 512);
  const told = [...nodes.heard.a.events, ...nodes.heard.b.events].filter(({ code }) => code === "vm.alarm");
  assert.match(String(told[0]?.params["text"]), /changed on both nodes while they were apart/);
});

Deno.test("a stale look is refused, and so is a VM of the same name, with nothing made", async () => {
  await using nodes = await Nodes.make();
  const a = await nodes.open("a");
  await nodes.add(a);
  const patch = { revision: view(a).revision + 1, spec: { memory: 128 } };
  await assert.rejects(a.update(VM, patch, "local"), { code: "conflict" });
  await assert.rejects(nodes.add(a), { code: "exists" });
  await a.update(VM, { revision: view(a).revision, spec: { nic: [{ mac: "52:54:00:00:00:01" }] } }, "local");
  await assert.rejects(
    nodes.add(a, { name: "other", nics: [{ mac: "52:54:00:00:00:01" }] }),
    /press-1 has a NIC/,
  );
  await assert.rejects(nodes.add(a, { name: "other", spec: { nonsense: 1 } }), (error: unknown) => {
    const { code, fields } = error as { code: string; fields: { key: string }[] };
    assert.deepEqual([code, fields.map(({ key }) => key)], ["invalid", ["spec.nonsense"]]);
    return true;
  });
});

Deno.test("a VM that runs is neither stopped nor deleted by what somebody wanted on the other node while they were apart", async () => {
  await using nodes = await Nodes.make();
  const a = await nodes.open("a");
  let b = await nodes.open("b");
  await nodes.add(a);
  await a.act(VM, "start", "local");
  await until(b, () => view(b).state === "unprotected");
  const edit = (change: (state: { settings: VmRecord }) => void) => {
    const state = JSON.parse(Deno.readTextFileSync(`${nodes.place("b")}/state.json`));
    change(state);
    Deno.writeTextFileSync(`${nodes.place("b")}/state.json`, JSON.stringify(state));
  };
  await nodes.close(b);
  edit(({ settings }) => {
    settings.revision += 5;
    settings.wanted.running = false;
  });
  b = await nodes.open("b");
  await until(b, () => view(b).wanted.running && view(b).state === "unprotected");
  assert.equal(view(a).wanted.running, true);
  await nodes.close(b);
  const uuid = a.reports().here[0]?.uuid ?? "";
  const stone = { uuid, name: VM, at: "2026-01-01", disks: true };
  Deno.writeTextFileSync(`${nodes.directory}/b/vms/tombstones.json`, JSON.stringify([stone]));
  Deno.removeSync(`${nodes.place("b")}/state.json`);
  b = await nodes.open("b");
  await until(b, () => b.views().length === 1 && view(b).state === "unprotected");
  assert.equal(view(a).state, "unprotected");
  assert.notEqual(a.reports().here[0]?.uuid, uuid);
  assert.equal(nodes.starts("a").length, 1);
});

Deno.test("a VM that cannot be started yet is made all the same, and says why", async () => {
  await using nodes = await Nodes.make();
  nodes.net.a.peer = null;
  const a = await nodes.open("a");
  await nodes.add(a, { start: true });
  assert.equal(view(a).state, "stopped");
  assert.match(String(nodes.heard.a.events.at(-1)?.params["text"]), /is not started: .*not paired/);
  await assert.rejects(a.act(VM, "start", "local"), { code: "not_paired" });
});

const record = (more: Partial<VmRecord>): VmRecord => ({
  uuid: "7b1e0a52-0000-4000-8000-000000000001",
  name: "vm",
  revision: 3,
  by: "A",
  at: "",
  file: "",
  active: "",
  disks: [],
  number: null,
  starts: 1,
  wanted: { running: false, protected: true },
  ...more,
});

Deno.test("both nodes come to the same settings, whoever merges: of two with one revision those where the VM runs", () => {
  const mine = record({ file: "mine" });
  const theirs = record({ file: "theirs" });
  const facts = (mineRuns: boolean, theirsRun: boolean): MergeFacts => ({
    mine: [{ record: mine, runs_here: mineRuns, peer_has: 2 }],
    theirs: [{ record: theirs, runs_here: theirsRun }],
    myTombstones: [],
    theirTombstones: [],
    me: "A",
    other: "B",
  });
  const turned = ({ mine, theirs, me, other, ...rest }: MergeFacts): MergeFacts => ({
    ...rest,
    mine: theirs.map((side) => ({ ...side, peer_has: 2 })),
    theirs: mine,
    me: other,
    other: me,
  });
  for (
    const [mineRuns, theirsRun, winner] of [[true, false, "mine"], [false, true, "theirs"], [
      false,
      false,
      "theirs",
    ]] as const
  ) {
    const one = merge(facts(mineRuns, theirsRun));
    const other = merge(turned(facts(mineRuns, theirsRun)));
    assert.equal(one.take[0]?.file ?? "mine", winner);
    assert.equal(other.take[0]?.file ?? "theirs", winner);
    assert.equal(one.conflicts.length, 1);
  }
  const clash = merge({
    ...facts(false, false),
    theirs: [{ record: record({ uuid: crypto.randomUUID() }), runs_here: false }],
  });
  assert.deepEqual([clash.take, clash.clashes], [[], ["vm"]]);
});

Deno.test("the other node, taken over by somebody, gets no file of this one: neither to read nor to write", async () => {
  await using nodes = await Nodes.make();
  const secret = `${nodes.directory}/secret`;
  await Deno.writeTextFile(secret, "x", { mode: 0o600 });
  const [a, b] = [await nodes.open("a"), await nodes.open("b")];
  const target = `${nodes.directory}/cron.img`;
  const evil = [
    { name: "writes", disks: [{ kind: "existing", path: target }], made: [{ path: target, bytes: 512 }] },
    { name: "reads", spec: { kernel: "k", initrd: secret }, made: [] },
  ];
  for (const { made, ...vm } of evil) {
    await a.add(vmCreate.parse({ memory_mib: 64, protect: false, ...vm }), made, "local");
  }
  await until(a, () => a.views().length === 2);
  assert.deepEqual(b.views(), []);
  assert.throws(() => Deno.statSync(target), Deno.errors.NotFound);
  const told = nodes.heard.b.events.map(({ params }) => String(params["text"]));
  assert.ok(told.some((text) => text.includes("cron.img") && text.includes("images")), told.join("\n"));
  // One that is as it should be goes over, and changes of it that are not do not.
  await nodes.add(a);
  await until(b, () => b.views().length === 1);
  await a.update(VM, {
    revision: a.views().find(({ name }) => name === VM)!.revision,
    spec: { kernel: secret },
  }, "local");
  assert.doesNotMatch(await b.file(VM), /secret/);
  assert.equal(a.views().find(({ name }) => name === VM)?.replicated, false);
});

Deno.test("a report of the other node whose time is none is refused: whoever shows it would end by it", async () => {
  await using nodes = await Nodes.make();
  const [a, b] = [await nodes.open("a"), await nodes.open("b")];
  await nodes.add(a);
  await a.act(VM, "start", "local");
  await until(b, () => view(b).state === "unprotected");
  const { here } = a.reports();
  nodes.net.cut();
  nodes.net.b.reachable = true;
  const report = (since_ms: number) => ({ node: "node-a", vms: [{ ...here[0], since_ms }] });
  const tell = async (since_ms: number) => await nodes.net.b.answers.get("vm.report")!(report(since_ms));
  await assert.rejects(tell(1e300));
  await tell(Date.now());
  assert.equal(view(b).state, "unprotected");
});

Deno.test("settings of one VM are not taken by the name of another", async () => {
  await using nodes = await Nodes.make();
  const [a, b] = [await nodes.open("a"), await nodes.open("b")];
  await nodes.add(a);
  await until(b, () => b.views().length === 1);
  const { settings } = JSON.parse(Deno.readTextFileSync(`${nodes.place("b")}/state.json`));
  const record = { ...settings, uuid: crypto.randomUUID(), revision: 1 };
  const tell = async (name: string) =>
    await nodes.net.b.answers.get("vm.settings")!({
      name,
      mine: { record, runs_here: false, switchovers: [] },
    });
  await assert.rejects(tell("another"), { code: "invalid" });
  Object.assign(record, { uuid: settings.uuid, revision: Number.MAX_SAFE_INTEGER });
  await assert.rejects(tell(VM), /revision/, "no change could come after it, and none be read again");
  Object.assign(record, { revision: 9, starts: Number.MAX_SAFE_INTEGER });
  await assert.rejects(tell(VM), /starts/);
  Object.assign(record, { uuid: crypto.randomUUID(), revision: 1, starts: 0 });
  await tell(VM); // one of its name that is another one is kept apart
  const after = JSON.parse(Deno.readTextFileSync(`${nodes.place("b")}/state.json`));
  assert.equal(after.settings.uuid, settings.uuid);
});
