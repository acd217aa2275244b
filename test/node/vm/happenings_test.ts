import assert from "node:assert/strict";
import { Asked } from "../../../lib/node/vm/asked.ts";
import { Happenings } from "../../../lib/node/vm/happenings.ts";

const state = (from: string, to: string, phase: Record<string, unknown> = {}) => ({
  event: "state",
  from,
  to,
  phase: { kind: to, ...phase },
});
const codes = (events: Record<string, unknown>[], handed = false) => {
  const happenings = new Happenings(() => ({ vm: "vm", node: "a", peer: "b" }));
  return events.flatMap((event) => happenings.of(event as never, 1000, handed)).map(({ code }) => code);
};

Deno.test("a planned move is one event, not the alarms of a lost machine", () => {
  const moved = [
    state("protected", "handing"),
    { event: "alarm", code: "fenced", text: "This host's VM is stopped" },
    state("handing", "fencing"),
    { event: "switchover", pause_us: 5000 },
    state("fencing", "waiting", { why: "the other host has the VM" }),
  ];
  assert.deepEqual(codes(moved), ["vm.switchover"]);
  assert.deepEqual(codes(moved.slice(1, 3)), ["vm.alarm"], "without a move it is one");
  assert.deepEqual(codes([state("promoting", "solo")], true), ["vm.runs"]);
  assert.deepEqual(codes([state("promoting", "solo")]), ["vm.taken_over"]);
});

Deno.test("what somebody asked for is told with their name, once; what happens by itself with nobody's", () => {
  const clock = { ms: 1000 };
  const asked = new Asked(() => clock.ms);
  const happenings = new Happenings(
    () => ({ vm: "vm", node: "a", peer: "b" }),
    (code) => asked.whose(code),
  );
  const tell = (...events: Record<string, unknown>[]) =>
    events.flatMap((event) => happenings.of(event as never, clock.ms)).map((
      { code, actor },
    ) => [code, actor]);
  const move = { event: "switchover", pause_us: 5000 };
  const stop = state("stopping", "stopped", { why: "x" });
  const unprotect = [state("protected", "deciding", { cause: "operator" }), state("going_solo", "solo")];
  const wish = asked.begin("switchover", "user:ann");
  assert.deepEqual(tell(stop, move, move), [
    ["vm.stopped", null],
    ["vm.switchover", "user:ann"],
    ["vm.switchover", null],
  ]);
  wish.over();
  asked.begin("unprotect", "local").over();
  asked.begin("stop", "user:bob").over();
  asked.comes("user:eve");
  const came = state("promoting", "solo");
  assert.deepEqual(tell(came, came), [["vm.runs", "user:eve"], ["vm.taken_over", null]]);
  assert.deepEqual(tell(...unprotect, stop), [["vm.unprotected", "local"], ["vm.stopped", "user:bob"]]);
  asked.begin("start", "user:ann").over();
  asked.begin("verify", "user:ann").refused();
  clock.ms += 10_001;
  const verified = { event: "verified", memory: true, blocks: true, device: true, disk: true };
  assert.deepEqual(tell(state("starting", "solo"), verified), [["vm.runs", null], ["vm.verified", null]]);
});

Deno.test("what somebody wanted is told as that; what is held says why; the same words are not told over and over", () => {
  const held = { event: "alarm", code: "held", text: "The VM's output waits: the other host is heard" };
  const wanted = [state("protected", "deciding", { cause: "operator" }), held, state("going_solo", "solo")];
  assert.deepEqual(codes(wanted), ["vm.unprotected"]);
  const lost = [state("protected", "deciding", { cause: "links" }), held, held, state("going_solo", "solo")];
  assert.deepEqual(codes(lost), ["vm.deciding", "vm.alarm", "vm.unprotected"]);
  assert.deepEqual(codes([{ event: "alarm", code: "held", text: "The copy is not started: it is behind" }]), [
    "vm.waiting",
  ]);
  assert.deepEqual(
    codes([state("stopping", "stopped", { why: "x" }), state("starting", "stopped", { why: "x" })]),
    [
      "vm.stopped",
      "vm.failed",
    ],
  );
});
