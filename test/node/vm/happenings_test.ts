import assert from "node:assert/strict";
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
