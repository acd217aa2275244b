import assert from "node:assert/strict";
import { type Compatibility, incompatible } from "../../lib/replication/compatibility.ts";

const has = (identity: Record<string, string>, node: string): Compatibility => ({
  node,
  identity,
  disks: [],
  blocks: [],
});
let hosts = 0;
const times = (takeover: string, interval: string) =>
  has({ "heartbeat.takeover_ms": takeover, "heartbeat.interval_ms": interval }, `host-${++hosts}`);

Deno.test("hosts whose heartbeats differ are refused, with both values named", () => {
  assert.equal(incompatible(times("100", "10"), times("100", "10")), undefined);
  assert.match(
    incompatible(times("90", "10"), times("100", "10")) ?? "",
    /differ in heartbeat\.takeover_ms: here 100, there 90\./,
  );
  assert.match(
    incompatible(times("100", "20"), times("100", "10")) ?? "",
    /differ in heartbeat\.interval_ms: here 10, there 20\./,
  );
  assert.match(incompatible(has({}, "other"), times("100", "10")) ?? "", /here 100, there nothing/);
});

Deno.test("hosts of one name are refused: an arbiter that goes by names would take the one for the other", () => {
  assert.equal(incompatible(has({}, "left"), has({}, "right")), undefined);
  assert.match(
    incompatible(has({}, "press"), has({}, "press")) ?? "",
    /Both hosts have the name "press"\. Give each/,
  );
});

Deno.test("hosts with different arbiters are refused: each would be granted its own term", () => {
  const asks = (arbiter: string, node: string) => has({ arbiter }, node);
  assert.match(
    incompatible(asks("lan", "left"), asks("etcd iservft/press/scada", "right")) ?? "",
    /differ in arbiter: here etcd iservft\/press\/scada, there lan\./,
  );
});
