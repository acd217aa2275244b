/** Probes of the paths: what keeps a line alive, and what does not. */

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import type { PairSettings } from "../../../lib/model/node.ts";
import { Paths } from "../../../lib/node/pairing/paths.ts";
import { decodeProbe, encodeProbe, Probes } from "../../../lib/node/peer/probes.ts";
import { KEY, Records, until } from "./kit.ts";

const PROBE = { kind: 2, path: 1, number: 5n, run: new Uint8Array(8).fill(3) };

Deno.test("a probe is read by who has the key, as who sent it, and whole; nothing else is one", () => {
  const bytes = encodeProbe(PROBE, { key: KEY, from: "A" });
  const read = decodeProbe(bytes, { key: KEY, from: "A" });
  assert.deepEqual([read?.kind, read?.path, read?.number, [...read!.run]], [2, 1, 5n, [...PROBE.run]]);
  assert.equal(decodeProbe(bytes, { key: KEY, from: "B" }), null);
  assert.equal(decodeProbe(bytes, { key: new Uint8Array(32), from: "A" }), null);
  for (let i = 0; i < bytes.length; i++) {
    const wrong = Uint8Array.from(bytes);
    wrong[i]! ^= 1;
    assert.equal(decodeProbe(wrong, { key: KEY, from: "A" }), null, `byte ${i}`);
  }
  for (const length of [0, 1, bytes.length - 1]) {
    assert.equal(decodeProbe(bytes.subarray(0, length), { key: KEY, from: "A" }), null);
  }
  assert.equal(decodeProbe(new Uint8Array([...bytes, 0]), { key: KEY, from: "A" }), null);
  assert.equal(
    decodeProbe(encodeProbe({ ...PROBE, path: 3 }, { key: KEY, from: "A" }), { key: KEY, from: "A" }),
    null,
  );
});

/** A UDP port that is free on all of this test's addresses. */
async function freePort(): Promise<number> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "0.0.0.0", () => resolve()));
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return port;
}

Deno.test("a line that is not answered is down while the other node is heard, with an event; and up again when it is", async () => {
  const [here, there] = [await freePort(), await freePort()];
  const records = new Records();
  const ids = (own: string, other: string) => ({ own: () => own, theirs: () => [other] });
  using paths = new Paths({
    probes: { key: KEY, ids: ids("A", "B"), port: here, everyMs: 20 },
    peerPort: () => there,
    reachable: () => false,
    interfaces: () => [],
    now: Date.now,
    recorder: records,
    changed: () => {},
  });
  using other = new Probes({ key: KEY, ids: ids("B", "A"), port: there, everyMs: 20 });
  const settings: PairSettings = {
    link_a: { local: "127.0.5.1", peer: "127.0.5.2" },
    link_b: { local: "127.0.6.1", peer: "127.0.6.2" },
    lan: null,
    arbiter: "manual",
    witness: null,
    takeover_ms: 150,
  };
  const a = { local: "127.0.5.2", peer: "127.0.5.1", port: here };
  const b = { local: "127.0.6.2", peer: "127.0.6.1", port: here };
  const states = () => paths.views().map(({ state }) => state).join();
  assert.equal(states(), "unset,unset,unset");
  paths.set(settings);
  other.set({ a, b });
  await until("both are up", () => states() === "up,up,unset");
  other.set({ a });
  await until("one is down", () => states() === "up,down,unset");
  assert.deepEqual(records.of("link.down").map(({ name, params }) => [name, params["line"]]), [["b", "B"]]);
  // Somebody else on that line who answers without the key keeps nothing alive.
  const stranger = createSocket("udp4");
  stranger.on(
    "message",
    (_, from) =>
      stranger.send(encodeProbe(PROBE, { key: new Uint8Array(32), from: "B" }), from.port, from.address),
  );
  await new Promise<void>((resolve) => stranger.bind(there, b.local, () => resolve()));
  const asked = new Promise((resolve) => stranger.once("message", resolve));
  await asked;
  assert.equal(states(), "up,down,unset");
  await new Promise<void>((resolve) => stranger.close(() => resolve()));
  other.set({ a, b });
  await until("both are up", () => states() === "up,up,unset");
  assert.equal(records.of("link.up").length, 1);
  // Nobody is heard at all: that says nothing of the lines.
  other.set({});
  await until("nothing is known", () => states() === "unknown,unknown,unset");
  assert.equal(records.of("link.down").length, 1);
});
