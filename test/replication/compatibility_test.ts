import assert from "node:assert/strict";
import { incompatible, type Own, readCompatibility, said } from "../../lib/replication/compatibility.ts";

const versions = {
  program: "0.1.0",
  protocol: { oldest: 1, newest: 1 },
  qemu: "7.2.22",
  machine: "pc-q35-7.2",
  machines: ["pc-q35-7.2"],
  fixedMachine: undefined,
};
let hosts = 0;
const has = (identity: Record<string, string>, more: Partial<Own> = {}): Own => ({
  node: `host-${++hosts}`,
  versions,
  spec: {},
  identity,
  disks: [],
  blocks: [],
  ...more,
});
const times = (takeover: string, interval: string) =>
  has({ "heartbeat.takeover_ms": takeover, "heartbeat.interval_ms": interval });

Deno.test("hosts whose heartbeats differ are refused, with both values named", () => {
  assert.equal(incompatible(times("100", "10"), times("100", "10")), undefined);
  assert.match(
    incompatible(times("90", "10"), times("100", "10")) ?? "",
    /differ in heartbeat\.takeover_ms: on the backup 100, on the primary 90\./,
  );
  assert.match(
    incompatible(times("100", "20"), times("100", "10")) ?? "",
    /differ in heartbeat\.interval_ms: on the backup 10, on the primary 20\./,
  );
  assert.match(
    incompatible(has({}), times("100", "10")) ?? "",
    /on the backup 100, on the primary nothing/,
  );
});

Deno.test("hosts of one name are refused: an arbiter that goes by names would take the one for the other", () => {
  assert.equal(incompatible(has({}, { node: "left" }), has({}, { node: "right" })), undefined);
  assert.match(
    incompatible(has({}, { node: "press" }), has({}, { node: "press" })) ?? "",
    /Both hosts have the name "press"\. Give each/,
  );
});

Deno.test("hosts with different arbiters are refused: each would be granted its own term", () => {
  assert.match(
    incompatible(has({ arbiter: "lan" }), has({ arbiter: "etcd iservft/press/scada" })) ?? "",
    /differ in arbiter: on the backup etcd iservft\/press\/scada, on the primary lan\./,
  );
});

Deno.test("what only a newer program must have alike does not keep an older one from being the backup", () => {
  assert.equal(incompatible(has({ "a new value": "7" }), has({})), undefined);
});

Deno.test("files for the VM that differ are refused with the key and both values, disks and blocks with theirs", () => {
  const text = incompatible(has({}, { spec: { memory: "512" } }), has({}, { spec: { memory: "256" } }));
  assert.match(
    text ?? "",
    /differ in memory: on the backup "256", on the primary "512"\. Make them the same/,
  );
  assert.match(
    incompatible(has({}, { disks: [5] }), has({})) ?? "",
    /on the backup none bytes, on the primary 5/,
  );
  const block = (bytes: number) => has({}, { blocks: [{ name: "pc.bios", bytes }] });
  assert.match(incompatible(block(1), block(2)) ?? "", /memory blocks differ \(pc\.bios 2\)/);
  assert.equal(incompatible(block(2), block(2)), undefined);
  assert.equal(incompatible(block(2), has({})), undefined, "blocks are known only while QEMU runs");
});

Deno.test("versions are judged before what they may have called differently", () => {
  const newer = { ...versions, program: "9.0.0", protocol: { oldest: 5, newest: 6 } };
  const text = incompatible(has({}, { versions: newer, spec: { memory: "512" } }), has({}));
  assert.match(text ?? "", /iservft-edge 9\.0\.0 \(protocols 5 to 6\), the backup 0\.1\.0 \(protocol 1\)/);
});

Deno.test("what a host says can be read again; what is nothing of the kind is refused in a sentence", () => {
  const ours = has({ "heartbeat.interval_ms": "10" });
  const heard = readCompatibility(JSON.parse(JSON.stringify(said(ours))));
  assert.equal(incompatible(heard, { ...ours, node: "the other" }), undefined);
  assert.ok(!JSON.stringify(said(ours)).includes("machines"), "what only the judge needs is not sent");
  for (const raw of [undefined, null, 5, {}, { identity: {}, disks: [] }, { ...said(ours), versions: 7 }]) {
    assert.equal(readCompatibility(raw), undefined);
  }
  assert.match(incompatible(undefined, ours) ?? "", /did not say what it has.*iservft-edge 0\.1\.0/);
});
