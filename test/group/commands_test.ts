import { deepEqual, equal, match } from "node:assert/strict";
import { manualArbiter } from "../../lib/group/arbiter.ts";
import { commandProblem } from "../../lib/group/commands.ts";
import { beginState, step } from "../../lib/group/step.ts";
import { FLAGS, type GroupState, type Phase, ROLES, type Word } from "../../lib/group/types.ts";

const MIB = 1024 * 1024;
const NO_SYNC = { sync_bytes_done: 0, sync_bytes_total: 0, sync_rate: 0, sync_eta_s: 0 };
const SETTINGS = { arbiter: manualArbiter, peerName: "b", onStall: "wait", autoProtect: true } as const;

function at(phase: Phase, known: Partial<GroupState> = {}): GroupState {
  return { ...beginState(SETTINGS), phase, ...known };
}

const SYNCING: Phase = { kind: "syncing", term: 1, generation: 1, leaving: false };
const DIVERGED: Phase = { kind: "diverged", term: 2, why: "", step: "shown" };

Deno.test("a move during a sync is refused with how much is there, and how long it takes once that is known", () => {
  const half = { ...NO_SYNC, sync_bytes_done: 100 * MIB, sync_bytes_total: 200 * MIB };
  const problems = [NO_SYNC, half, { ...half, sync_rate: 1e6, sync_eta_s: 105 }].map((engine) =>
    commandProblem(at(SYNCING), "switchover", engine)?.problem.replace(/.*not whole yet: /, "")
  );
  deepEqual(problems, [
    "0 of 0 MiB are there",
    "100 of 200 MiB are there",
    "100 of 200 MiB are there, about 105 s left",
  ]);
  equal(commandProblem(at({ kind: "protected", term: 1, generation: 1 }), "switchover", half), null);
});

Deno.test("of two VMs that both ran one starts only when the other gave way, or the operator saw that it is off", () => {
  const word = (role: number, flags = 0): Word => ({ generation: 1, term: 2, epoch: 0, role, flags });
  const start = (known: Partial<GroupState>) =>
    commandProblem(at(DIVERGED, known), "start", NO_SYNC)?.problem ?? "";
  match(start({ peer: word(ROLES.PRIMARY) }), /has not given way yet/);
  match(start({ peer: word(ROLES.NONE) }), /has not given way yet/);
  match(start({ silent: true }), /is not heard/);
  equal(start({ peer: word(ROLES.WAITING, FLAGS.DIVERGED | FLAGS.PROMISED) }), "");
  equal(start({ silent: true, confirmedOff: true }), "");
});

Deno.test("of two VMs in one term the one that yields ties ends, and only that one", () => {
  const word: Word = { generation: 1, term: 2, epoch: 0, role: ROLES.PRIMARY, flags: 0 };
  const after = (yieldsTies: boolean, heard: Word) => {
    const state = at({ kind: "solo", term: 2, invite: null }, { settings: { ...SETTINGS, yieldsTies } });
    return step(state, { kind: "word", word: heard }).state.phase.kind;
  };
  equal(after(true, word), "fencing");
  equal(after(false, word), "solo");
  equal(after(true, { ...word, role: ROLES.BACKUP }), "solo");
  equal(after(true, { ...word, term: 1 }), "solo");
});

Deno.test("a host that refused, and then was away, is invited again", () => {
  const solo: Phase = { kind: "solo", term: 2, invite: null };
  const word: Word = { generation: 1, term: 1, epoch: 0, role: ROLES.WAITING, flags: FLAGS.PROMISED };
  const away = at(solo, { refusal: "no", peer: word, silent: true });
  const timer = { kind: "timer", timer: "invite" } as const;
  const { state, actions } = step(away, timer);
  deepEqual(actions.filter(({ kind }) => kind === "set_timer"), [
    { kind: "set_timer", timer: "invite", after: "bound" },
  ]);
  const back = step({ ...state, silent: false, links: [true, false] }, timer);
  deepEqual(back.state.phase, { ...solo, invite: { generation: 2, step: "writing" } });
});
