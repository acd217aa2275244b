import assert from "node:assert/strict";
import { type Compatibility, incompatible } from "../../lib/replication/compatibility.ts";

const has = (identity: Record<string, string>): Compatibility => ({ identity, disks: [], blocks: [] });
const times = (takeover: string, interval: string) =>
  has({ "heartbeat.takeover_ms": takeover, "heartbeat.interval_ms": interval });

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
  assert.match(incompatible(has({}), times("100", "10")) ?? "", /here 100, there nothing/);
});
