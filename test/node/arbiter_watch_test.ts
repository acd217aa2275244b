import assert from "node:assert/strict";
import type { NewEvent } from "../../lib/model/event.ts";
import type { PairSettings } from "../../lib/model/node.ts";
import { ArbiterWatch, realProbes } from "../../lib/node/arbiter_watch.ts";

const SETTINGS: PairSettings = {
  link_a: { local: "10.0.1.1", peer: "10.0.1.2" },
  link_b: null,
  lan: { local: "10.0.0.1", peer: "10.0.0.2", bridge: "br0", reference: "10.0.0.254" },
  arbiter: "lan",
  witness: { address: "10.0.0.9", port: 7810, id: "W", pair: "p" },
  takeover_ms: 150,
};

function watched(settings: PairSettings | null, answers: () => boolean) {
  const events: NewEvent[] = [];
  const asked: string[] = [];
  const watch = new ArbiterWatch({
    settings: () => settings,
    recorder: { event: (event) => void events.push(event), sample() {} },
    probes: {
      ping: (address) => Promise.resolve((asked.push(`ping ${address}`), answers())),
      connect: (address, port) => Promise.resolve((asked.push(`connect ${address} ${port}`), answers())),
    },
    now: () => 0,
  });
  return { watch, events, asked };
}

Deno.test("the gateway counts as lost only when it did not answer twice, and each change is one event", async () => {
  let answers = true;
  const { watch, events, asked } = watched(SETTINGS, () => answers);
  await using _watch = watch;
  assert.equal(watch.view([])?.state, "unknown");
  await watch.look();
  assert.deepEqual([watch.view([])?.state, events.length], ["reachable", 0]);
  answers = false;
  await watch.look();
  assert.equal(watch.view([])?.state, "reachable");
  await watch.look();
  assert.equal(watch.view([])?.state, "lost");
  await watch.look();
  answers = true;
  await watch.look();
  assert.deepEqual(events.map((event) => event.code), ["arbiter.lost", "arbiter.reachable"]);
  assert.ok(asked.every((one) => one === "ping 10.0.0.254"));
});

Deno.test("a witness is asked by a connection, and what a runner says of it outranks that", async () => {
  const { watch, asked } = watched({ ...SETTINGS, arbiter: "witness" }, () => true);
  await using _watch = watch;
  await watch.look();
  assert.deepEqual(asked, ["connect 10.0.0.9 7810"]);
  assert.equal(watch.view([])?.state, "reachable");
  assert.equal(watch.view(["reachable", "lost"])?.state, "lost");
});

Deno.test("what answers at the witness's address and is not it counts as lost at once, with why, until the settings are another's", async () => {
  const events: NewEvent[] = [];
  let settings = { ...SETTINGS, arbiter: "witness" as const };
  await using watch = new ArbiterWatch({
    settings: () => settings,
    recorder: { event: (event) => void events.push(event), sample() {} },
    probes: {
      connect: () => Promise.resolve(true),
      witness: ({ id }) =>
        Promise.resolve(id === "X" ? { ok: true } : { ok: false, why: "its ID is X", refused: true }),
    },
  });
  await watch.look();
  assert.deepEqual([watch.view([])?.state, watch.view([])?.why], ["lost", "its ID is X"]);
  settings = { ...settings, witness: { ...SETTINGS.witness!, id: "X" } };
  await watch.look();
  assert.deepEqual([watch.view([])?.state, watch.view([])?.why], ["reachable", undefined]);
  assert.deepEqual(events.map((event) => [event.code, event.params.why]), [["arbiter.lost", "its ID is X"]]);
});

Deno.test("a question that cannot even be asked is an answer: the watch goes on, and says why", async () => {
  let broken = true;
  const watch = new ArbiterWatch({
    settings: () => ({ ...SETTINGS, arbiter: "witness" }),
    recorder: { event() {}, sample() {} },
    probes: {
      witness: () => {
        if (broken) throw new Error("identity.pem may be read by others");
        return Promise.resolve({ ok: true });
      },
    },
  });
  await using _watch = watch;
  for (let i = 0; i < 2; i++) await watch.look();
  const { state, why } = watch.view([])!;
  assert.deepEqual([state, why], ["lost", "identity.pem may be read by others"]);
  broken = false;
  await watch.look();
  assert.equal(watch.view([])?.state, "reachable");
});

Deno.test("a person as arbiter is not looked for, and without settings there is none", async () => {
  const manual = watched({ ...SETTINGS, arbiter: "manual" }, () => false);
  await manual.watch.look();
  assert.deepEqual([manual.watch.view([])?.state, manual.asked.length], ["none", 0]);
  await manual.watch[Symbol.asyncDispose]();
  const none = watched(null, () => false);
  await none.watch.look();
  assert.equal(none.watch.view([]), null);
  await none.watch[Symbol.asyncDispose]();
});

Deno.test("a connection shows whether somebody listens", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  assert.equal(await realProbes.connect("127.0.0.1", port), true);
  listener.close();
  assert.equal(await realProbes.connect("127.0.0.1", port), false);
});
