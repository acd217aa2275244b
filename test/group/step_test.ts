import assert from "node:assert/strict";
import { lanArbiter } from "../../lib/group/arbiter.ts";
import { beginState, step } from "../../lib/group/step.ts";
import { wordOf } from "../../lib/group/turn.ts";
import { at, metadata, word } from "./step_tables.ts";
import {
  type Action,
  FLAGS,
  type GroupEvent,
  type GroupState,
  type Phase,
  ROLES,
  type Settings,
} from "../../lib/group/types.ts";

const settings: Settings = { arbiter: lanArbiter, peerName: "b", onStall: "wait", autoProtect: true };

function stateIn(phase: Phase, facts: Partial<GroupState> = {}): GroupState {
  const state: GroupState = { ...beginState(settings), disk: metadata(), lanTrust: "ok", phase, ...facts };
  return { ...state, said: wordOf(state) };
}

const play = (from: GroupState, ...events: GroupEvent[]) => {
  const actions: Action[] = [];
  let state = from;
  for (const event of events) {
    const result = step(state, event);
    state = result.state;
    actions.push(...result.actions);
  }
  return { state, actions, kinds: actions.map((action) => action.kind) };
};
const silence = (lanAnswers: boolean): GroupEvent[] => [
  { kind: "peer", silent: true, lanAnswers, checked: false },
  { kind: "peer", silent: true, lanAnswers, checked: true },
];
const backupDisk = metadata({ role: "backup", copy: "whole" });

Deno.test("a backup promotes when all paths are silent and the LAN answers, in a new term that is written first", () => {
  const ready = stateIn({ kind: "ready", ...at }, {
    disk: backupDisk,
    peer: word({ role: ROLES.PRIMARY }),
    heard: 5,
  });
  const asked = play(ready, ...silence(true));
  assert.equal(asked.state.phase.kind, "promoting");
  const write = asked.actions.find((action) => action.kind === "write");
  assert.equal(write?.metadata.term, 6);
  assert.ok(!asked.kinds.includes("promote"));
  const written: GroupEvent[] = [{ kind: "written", metadata: metadata({ term: 6 }) }];
  const checked = play(asked.state, ...written, {
    kind: "peer",
    silent: true,
    lanAnswers: true,
    checked: true,
  });
  assert.deepEqual(checked.actions.filter((a) => a.kind === "promote"), [{
    kind: "promote",
    term: 6,
    unless: "heard",
  }]);
  assert.equal(play(checked.state, { kind: "promoted" }).state.phase.kind, "solo");
});

Deno.test("a backup that hears neither peer nor LAN holds, and never promotes later by silence", () => {
  const ready = stateIn({ kind: "ready", ...at }, { disk: backupDisk, heard: 5 });
  const held = play(ready, ...silence(false), { kind: "timer", timer: "lan" });
  assert.equal(held.state.phase.kind, "asking");
  assert.ok(held.kinds.includes("alarm"));
  const later = play(held.state, ...silence(true), { kind: "timer", timer: "lan" }, ...silence(true));
  assert.equal(later.state.phase.kind, "asking");
});

Deno.test("the operator's word that the other host is off lets an isolated host go on", () => {
  const held = play(stateIn({ kind: "ready", ...at }, { disk: backupDisk, heard: 5 }), ...silence(false));
  const confirmed = play(held.state, { kind: "command", command: "confirm_peer_off" });
  assert.equal(confirmed.state.phase.kind, "promoting");
  const heard = play(held.state, { kind: "peer", silent: false, lanAnswers: true, checked: false });
  assert.equal(play(heard.state, { kind: "command", command: "confirm_peer_off" }).state.phase.kind, "ready");
});

Deno.test("a copy that is not whole is never promoted", () => {
  for (const stepName of ["copying", "marking"] as const) {
    const receiving = stateIn({ kind: "receiving", ...at, keep: false, step: stepName }, {
      disk: backupDisk,
    });
    const after = play(receiving, ...silence(true), { kind: "command", command: "start" });
    assert.equal(after.state.phase.kind, "receiving");
    assert.ok(!after.kinds.includes("promote"));
  }
});

Deno.test("a zombie stops its VM first of all when it hears of a newer term", () => {
  for (const kind of ["protected", "syncing"] as const) {
    const before = stateIn(kind === "protected" ? { kind, ...at } : { kind, ...at, leaving: false });
    const after = play(before, { kind: "word", word: word({ role: ROLES.PRIMARY, term: 6, flags: 0 }) });
    assert.deepEqual(after.kinds.slice(0, 2), ["hold", "kill_qemu"]);
    assert.equal(after.state.phase.kind, "fencing");
  }
});

Deno.test("both links cut, LAN alive: the primary asks, the backup writes and then promises, the primary goes on", () => {
  const primary = play(
    stateIn({ kind: "protected", ...at }, { links: [true, true], peer: word() }),
    { kind: "link", link: 0, up: false },
    { kind: "link", link: 1, up: false },
    { kind: "timer", timer: "links" },
  );
  assert.equal(primary.state.phase.kind, "deciding");
  assert.ok((primary.state.said.flags & FLAGS.ASKS_PROMISE) !== 0);
  const backup = play(stateIn({ kind: "ready", ...at }, { disk: backupDisk, heard: 5 }), {
    kind: "word",
    word: primary.state.said,
  });
  assert.equal(backup.state.said.flags & FLAGS.PROMISED, 0, "promised before it was written");
  const stale = play(backup.state, {
    kind: "written",
    metadata: metadata({ role: "backup", copy: "stale" }),
  });
  assert.ok((stale.state.said.flags & FLAGS.PROMISED) !== 0);
  const solo = play(primary.state, { kind: "word", word: stale.state.said });
  assert.equal(solo.state.phase.kind, "going_solo");
  // Whatever it sees from now on, the backup does not start that copy.
  assert.equal(play(stale.state, ...silence(true)).state.phase.kind, "stale");
});

Deno.test("one lost link changes nothing but raises an alarm", () => {
  const before = stateIn({ kind: "protected", ...at }, { links: [true, true], peer: word() });
  const after = play(before, { kind: "link", link: 0, up: false }, { kind: "timer", timer: "links" });
  assert.equal(after.state.phase.kind, "protected");
  assert.deepEqual(after.kinds, ["alarm"]);
});

Deno.test("a primary whose QEMU died says so, and the backup takes over without waiting for silence", () => {
  const primary = play(stateIn({ kind: "protected", ...at }, { peer: word() }), {
    kind: "qemu_lost",
    why: "killed",
  });
  assert.deepEqual(primary.kinds.slice(0, 2), ["hold", "kill_qemu"]);
  assert.equal(primary.state.said.role, ROLES.YIELDED);
  const backup = play(stateIn({ kind: "ready", ...at }, { disk: backupDisk, heard: 5 }), {
    kind: "word",
    word: primary.state.said,
  });
  assert.equal(backup.state.phase.kind, "promoting");
});

Deno.test("after a power loss of both the copy that ran last starts, and an older one waits", () => {
  const waiting: Phase = { kind: "waiting", why: "", wantsStart: false };
  const solo = metadata({ term: 6, copy: "none" });
  const stale = metadata({ term: 5, role: "backup", copy: "stale" });
  const newer = stateIn(waiting, { disk: solo });
  const older = stateIn(waiting, { disk: stale });
  const said = (state: GroupState) => state.said;
  assert.equal(play(newer, { kind: "word", word: said(older) }).state.phase.kind, "starting");
  assert.equal(play(older, { kind: "word", word: said(newer) }).state.phase.kind, "waiting");
  assert.equal(play(older, ...silence(true)).state.phase.kind, "waiting");
});

Deno.test("an empty host never starts the VM of a peer that has one, even when told to", () => {
  const empty = stateIn({ kind: "waiting", why: "", wantsStart: true }, { disk: null });
  const after = play(empty, { kind: "word", word: word({ role: ROLES.WAITING, flags: FLAGS.LAST_SOLO }) });
  assert.equal(after.state.phase.kind, "waiting");
});

Deno.test("an invitation of an older term, or of a generation used before, is refused", () => {
  const stale = stateIn({ kind: "stale", ...at }, {
    disk: metadata({ role: "backup", copy: "stale" }),
    heard: 6,
  });
  for (const [term, generation] of [[5, 9], [6, 3]] as const) {
    const message = { kind: "invite", term, generation, keepGeneration: 0 } as const;
    const after = play(stale, { kind: "message", message });
    assert.equal(after.state.phase.kind, "stale");
    const sent = after.actions.find((action) => action.kind === "send");
    assert.equal(sent?.message.kind, "refuse");
  }
});

Deno.test("after a freeze of its own a primary does not grant itself anything by silence", () => {
  const before = stateIn({ kind: "protected", ...at }, { peer: word() });
  const after = play(before, { kind: "own_stall" }, ...silence(true), { kind: "timer", timer: "lan" });
  assert.equal(after.state.phase.kind, "deciding");
});
