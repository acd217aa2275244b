import assert from "node:assert/strict";
import { PairRecord } from "../../../lib/node/pairing/record.ts";
import { PairStore } from "../../../lib/node/pairing/store.ts";
import { newIdentity } from "../peer/kit.ts";

Deno.test("the other node is looked for on the lines first, then by its other addresses, and never where this node is itself", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const record = new PairRecord(new PairStore(directory));
    assert.equal(record.known(null, { hosts: [], port: 7811 }), null);
    const { id } = newIdentity();
    const addresses = ["10.0.0.2", "172.17.0.1", "10.1.0.2"];
    const peer = { id, version: "1", introduction: { name: "../<b>", port: 7811, addresses } };
    record.create({ peer, key: "ab".repeat(32), address: "10.0.0.2", at: 0 });
    const path = { local: "10.1.0.1", peer: "10.1.0.2" };
    const settings = {
      link_a: path,
      link_b: null,
      lan: null,
      arbiter: "manual",
      witness: null,
      takeover_ms: 150,
    } as const;
    // Both have a bridge for containers with the same address.
    const known = record.known(settings, { hosts: ["10.0.0.1", "172.17.0.1"], port: 7811 });
    assert.deepEqual(known?.targets, [
      { host: "10.1.0.2", port: 7811, local: "10.1.0.1" },
      { host: "10.0.0.2", port: 7811 },
    ]);
    assert.deepEqual([known?.settled, known?.name, known?.ids], [false, "b", [id]]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
