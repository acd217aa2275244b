import assert from "node:assert/strict";
import { manualArbiter } from "../../lib/group/arbiter.ts";
import { commandProblem, operatorView } from "../../lib/group/commands.ts";
import { beginState, step } from "../../lib/group/step.ts";
import { wordOf } from "../../lib/group/turn.ts";
import {
  type Command,
  FLAGS,
  type GroupEvent,
  type GroupState,
  type Phase,
  ROLES,
} from "../../lib/group/types.ts";
import { at, metadata, word } from "./step_tables.ts";

const NO_SYNC = { sync_bytes_done: 0, sync_bytes_total: 0, sync_rate: 0, sync_eta_s: 0 };

function stateIn(phase: Phase, facts: Partial<GroupState> = {}): GroupState {
  // Nothing but the peer's own word grants anything here.
  const settings = { arbiter: manualArbiter, peerName: "b", onStall: "wait", autoProtect: true } as const;
  const state: GroupState = {
    ...beginState(settings),
    disk: metadata(),
    links: [true, true],
    phase,
    ...facts,
  };
  return { ...state, said: wordOf(state) };
}

function play(state: GroupState, ...events: GroupEvent[]) {
  const actions = events.flatMap((event) => {
    const result = step(state, event);
    state = result.state;
    return result.actions;
  });
  return { state, actions };
}

const command = (command: Command): GroupEvent => ({ kind: "command", command });
const backup = stateIn({ kind: "ready", ...at }, { disk: metadata({ role: "backup", copy: "whole" }) });

Deno.test("unprotect: the primary goes on alone once the backup has written that its copy will not start, and invites nobody", () => {
  const asked = play(stateIn({ kind: "protected", ...at }, { peer: word() }), command("unprotect"));
  assert.equal(asked.state.phase.kind, "deciding");
  const copy = play(backup, { kind: "word", word: asked.state.said });
  assert.equal(copy.state.said.flags & FLAGS.PROMISED, 0, "promised before it was written");
  const stale = play(copy.state, { kind: "written", metadata: metadata({ role: "backup", copy: "stale" }) });
  const going = play(asked.state, { kind: "word", word: stale.state.said });
  assert.equal(going.state.phase.kind, "going_solo");
  const solo = play(
    going.state,
    { kind: "written", metadata: metadata({ term: 6, copy: "whole" }) },
    { kind: "solo_open", term: 6 },
    { kind: "word", word: stale.state.said },
    { kind: "timer", timer: "invite" },
  );
  assert.deepEqual(solo.state.phase, { kind: "solo", term: 6, invite: null });
  const again = play(solo.state, command("protect"));
  assert.equal(again.state.phase.kind === "solo" && again.state.phase.invite?.step, "writing");
});

Deno.test("unprotect as a sync ends: the engine's no to leaving it is no answer to going alone in the next term", () => {
  const syncing = stateIn({ kind: "syncing", ...at, leaving: false }, { peer: word() });
  const left = play(syncing, command("unprotect"));
  assert.ok(left.actions.some(({ kind, ...rest }) => kind === "open" && "term" in rest && rest.term === 5));
  // The copy became whole first: now it is asked, and what was asked of the engine is answered late.
  const late = play(
    left.state,
    { kind: "protected" },
    { kind: "word", word: word({ role: ROLES.BACKUP, flags: FLAGS.PROMISED }) },
    { kind: "solo_refused", term: 5, why: "not_this_term" },
  );
  assert.equal(late.state.phase.kind, "going_solo");
  assert.ok(!late.actions.some(({ kind }) => kind === "kill_qemu"));
  const refused = play(late.state, { kind: "solo_refused", term: 6, why: "not_this_term" });
  assert.equal(refused.state.phase.kind, "fencing");
});

Deno.test("unprotect without the backup's word waits, and without the command nothing happens", () => {
  const before = stateIn({ kind: "protected", ...at }, { peer: word() });
  const asked = play(before, command("unprotect"), { kind: "word", word: word() });
  assert.equal(asked.state.phase.kind, "deciding");
  assert.equal(play(before, { kind: "word", word: word() }).state.phase.kind, "protected");
});

Deno.test("unprotect during a sync, or an invitation, ends it", () => {
  const syncing = play(
    stateIn({ kind: "syncing", ...at, leaving: false }, { peer: word() }),
    command("unprotect"),
  );
  assert.equal(syncing.state.phase.kind === "syncing" && syncing.state.phase.leaving, true);
  const invited = stateIn({ kind: "solo", term: 5, invite: { generation: 4, step: "sent" } });
  assert.deepEqual(play(invited, command("unprotect")).state.phase, { kind: "solo", term: 5, invite: null });
  const whole = play(
    stateIn({ kind: "syncing", ...at, leaving: true }, { peer: word() }),
    command("unprotect"),
    { kind: "protected" },
  );
  assert.equal(
    whole.state.phase.kind,
    "deciding",
    "a copy that became whole meanwhile is given up in writing",
  );
});

Deno.test("unprotect is the primary's, and not for while its output has run ahead", () => {
  const problem = (phase: Phase) => commandProblem(stateIn(phase), "unprotect", NO_SYNC)?.problem ?? "";
  assert.equal(problem({ kind: "protected", ...at }), "");
  assert.match(problem({ kind: "ready", ...at }), /does not run the VM/);
  assert.match(problem({ kind: "asynchronous", ...at, step: "on", why: "" }), /behind/);
  const view = operatorView(play(backup, command("unprotect")).state, NO_SYNC);
  assert.equal(view.auto_protect, false);
  assert.equal(view.commands["confirm_peer_off"]?.problem, "The other host is heard: it is not off");
});
