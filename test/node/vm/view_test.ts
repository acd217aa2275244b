import assert from "node:assert/strict";
import { type ViewFacts, vmView } from "../../../lib/node/vm/view.ts";
import type { VmReport } from "../../../lib/node/vm/records.ts";

const UUID = "7b1e0a52-0000-4000-8000-000000000001";

function report(phase: string, more: Partial<VmReport> = {}): VmReport {
  return {
    uuid: UUID,
    name: "vm",
    runner: phase === "none" ? "none" : "answers",
    failed: "",
    phase: phase === "none" ? "off" : phase,
    step: "",
    why: "",
    since_ms: 1_000,
    sentence: "",
    term: 5,
    silent: false,
    confirmed_off: false,
    commands: {
      start: "no",
      stop: "no",
      switchover: "no",
      promote: "no",
      discard: "no",
      confirm_peer_off: "no",
    },
    peer: null,
    arbiter: "none",
    metadata: null,
    pace: { slowed: false, why: "" },
    epoch: 9,
    sync: null,
    paths: [],
    active: null,
    lines: [],
    sample: null,
    ...more,
  };
}

function facts(here: VmReport, there: VmReport | null, more: Partial<ViewFacts> = {}): ViewFacts {
  return {
    record: {
      uuid: UUID,
      name: "vm",
      revision: 3,
      by: "A",
      at: "",
      file: "",
      active: "",
      disks: [],
      number: 0,
      starts: 1,
      wanted: { running: true, protected: true },
    },
    spec: null,
    node: "a",
    peer: "b",
    reachable: there !== null,
    configured: true,
    here,
    there,
    absent: false,
    replicated: true,
    last_switchover: null,
    ...more,
  };
}

const PRIMARY = 2;
const heard = { peer: { role: PRIMARY, flags: 0 } };

/** What this node's runner and the other one's say, and what it comes to: state, runs_on, backup_on, sentence. */
const TABLE: [VmReport, VmReport | null, string, string | null, string | null, string][] = [
  [report("protected"), report("ready"), "protected", "a", "b", "state.protected"],
  [report("ready"), report("protected"), "protected", "b", "a", "state.protected"],
  // The service of the other node is away; its runner is not, or this one would not say protected.
  [report("protected"), null, "protected", "a", "b", "state.protected"],
  [
    report("protected", { arbiter: "lost" }),
    report("ready"),
    "protected",
    "a",
    "b",
    "state.protected_no_arbiter",
  ],
  [
    report("protected"),
    report("ready", { arbiter: "lost" }),
    "protected",
    "a",
    "b",
    "state.protected_no_arbiter",
  ],
  [
    report("protected", { pace: { slowed: true, why: "" } }),
    report("ready"),
    "protected",
    "a",
    "b",
    "state.protected_slow",
  ],
  // The one says protected, the other one's runner says otherwise.
  [report("protected"), report("receiving"), "syncing", "a", "b", "state.syncing"],
  [report("asking"), report("protected"), "deciding", "b", "a", "state.deciding"],
  [report("promoting"), report("protected"), "taking_over", "b", null, "state.taking_over"],
  [report("protected"), report("none"), "unprotected", "a", null, "state.unprotected"],
  // After a takeover the other node's last word is from before.
  [report("solo", { term: 6 }), report("protected"), "unprotected", "a", null, "state.unprotected"],
  // What this node knows only by hearsay is not known.
  [report("ready", heard), null, "unknown", null, null, "state.unknown"],
  [report("behind", heard), null, "unknown", null, null, "state.unknown"],
  [report("none"), null, "unknown", null, null, "state.unknown"],
  [report("waiting", { why: "x", ...heard }), null, "unknown", null, null, "state.unknown"],
  [report("waiting", { why: "x", silent: true }), null, "waiting", null, null, "state.waiting"],
  [report("solo"), report("waiting"), "unprotected", "a", null, "state.unprotected"],
  [report("syncing"), report("receiving"), "syncing", "a", "b", "state.syncing"],
  [report("asynchronous", { step: "on" }), report("behind"), "degraded", "a", "b", "state.degraded"],
  [report("asynchronous", { step: "asking" }), report("ready"), "protected", "a", "b", "state.protected"],
  [report("handing"), report("ready"), "moving", "a", "b", "state.moving"],
  [report("deciding"), null, "deciding", "a", null, "state.deciding"],
  [report("asking"), null, "deciding", null, null, "state.deciding"],
  [report("promoting"), null, "taking_over", "a", null, "state.taking_over"],
  [report("diverged"), report("solo"), "diverged", "b", null, "state.diverged"],
  [report("diverged"), report("diverged"), "diverged", null, null, "state.diverged"],
  [report("behind"), report("none"), "waiting", null, null, "state.waiting"],
  [report("none", { failed: "no QEMU" }), report("waiting"), "failed", null, null, "state.failed"],
  [
    report("off", { runner: "starting" }),
    report("waiting", { why: "x" }),
    "starting",
    null,
    null,
    "state.starting",
  ],
  [report("starting"), report("waiting"), "starting", "a", null, "state.starting"],
];

Deno.test("a VM is what both nodes' runners say together, and protected only where nothing speaks against it", () => {
  for (const [here, there, ...wanted] of TABLE) {
    const view = vmView(facts(here, there));
    const seen = [view.state, view.runs_on, view.backup_on, view.verdict.said.code];
    assert.deepEqual(seen, wanted, `${here.phase} and ${there?.phase ?? "nothing"}`);
    assert.equal(view.actions.switchover?.ok ?? false, false, "a runner that refuses is not asked");
  }
});

Deno.test("the same on both nodes: only who is here differs", () => {
  for (const [here, there, state] of TABLE) {
    if (there === null) continue;
    const other = vmView(facts(there, here, { node: "b", peer: "a" }));
    const view = vmView(facts(here, there));
    assert.equal(other.state, state, `${there.phase} and ${here.phase}`);
    assert.deepEqual([other.runs_on, other.backup_on], [view.runs_on, view.backup_on]);
  }
});

Deno.test("a VM that nobody wants to run is stopped, and can be started and deleted; one that runs cannot", () => {
  const stopped = { ...facts(report("none"), report("none")) };
  stopped.record = { ...stopped.record, wanted: { running: false, protected: true } };
  const { state, actions } = vmView(stopped);
  assert.equal(state, "stopped");
  assert.deepEqual([actions.start?.ok, actions.delete?.ok, actions.stop?.ok], [true, true, false]);
  const runs = vmView(facts(report("protected", { commands: { switchover: null } }), report("ready")));
  assert.deepEqual(
    [runs.actions.start?.ok, runs.actions.delete?.ok, runs.actions.stop?.ok, runs.actions.switchover?.ok],
    [false, false, true, true],
  );
  const alone = vmView({ ...stopped, peer: null });
  assert.match(alone.actions.start?.why ?? "", /Pair this node/);
});

Deno.test("a person may say that the other node is off only where something waits for it, and promote only what the runner would", () => {
  const silent = { silent: true, commands: { confirm_peer_off: null, promote: "Make sure that it is off" } };
  const asking = vmView(facts(report("asking", silent), null));
  assert.equal(asking.actions.confirm_peer_off?.ok, true);
  assert.equal(asking.verdict.next?.code, "next.confirm_off");
  assert.equal(vmView(facts(report("solo", silent), null)).actions.confirm_peer_off?.ok, false);
  const confirmed = report("behind", { ...silent, confirmed_off: true, commands: { promote: null } });
  const view = vmView(facts(confirmed, null));
  assert.deepEqual([view.actions.confirm_peer_off?.ok, view.actions.promote?.ok], [false, true]);
  assert.equal(view.verdict.next?.code, "next.promote");
});

Deno.test("what is unprotected because no line carries anything is mended at the cables, not by waiting", () => {
  const lines = (...up: boolean[]) => up.map((up) => ({ up, out_mbit: 0, in_mbit: 0 }));
  const next = (...up: boolean[]) => {
    const holder = report("solo", { lines: lines(...up) });
    return vmView(facts(holder, report("none"))).verdict.next;
  };
  assert.deepEqual(next(false, false), { code: "next.check_line", params: { line: "A, B" } });
  assert.deepEqual(next(false), { code: "next.check_line", params: { line: "A" } });
  assert.equal(next(false, true)?.code, "next.wait");
});

Deno.test("a VM that the other node has not taken is not said to run there: it can be stopped, and deleted", () => {
  const waits = report("waiting", { why: "it is empty", ...heard });
  const view = vmView(facts(waits, null, { absent: true, reachable: true }));
  assert.deepEqual([view.state, view.actions.stop.ok], ["waiting", true]);
  assert.match(JSON.stringify(view.verdict.said), /has not taken this VM/);
  assert.equal(vmView(facts(waits, null, { reachable: true })).state, "unknown");
});
