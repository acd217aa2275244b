import assert from "node:assert/strict";
import { type Arbiter, lanArbiter, manualArbiter, witnessArbiter } from "../../lib/group/arbiter.ts";
import { commandProblem } from "../../lib/group/commands.ts";
import { beginState, step } from "../../lib/group/step.ts";
import { FLAGS, type GroupEvent, type GroupState, type Phase, ROLES } from "../../lib/group/types.ts";
import { at, metadata, word } from "./step_tables.ts";

const NO_SYNC = { sync_bytes_done: 0, sync_bytes_total: 0, sync_rate: 0, sync_eta_s: 0 };
const SILENT: GroupEvent = { kind: "peer", silent: true, lanAnswers: true, checked: true };

function stateIn(phase: Phase, arbiter: Arbiter, facts: Partial<GroupState> = {}): GroupState {
  const settings = { arbiter, peerName: "b", onStall: "wait", autoProtect: true } as const;
  return { ...beginState(settings), disk: metadata(), links: [true, true], peer: word(), phase, ...facts };
}

function play(state: GroupState, ...events: GroupEvent[]): GroupState {
  for (const event of events) state = step(state, event).state;
  return state;
}

/** The VM is stopped in `phase`, and what its host wrote then comes back. */
function stopped(phase: Phase, arbiter: Arbiter, facts: Partial<GroupState> = {}): GroupState {
  const ending = play(stateIn(phase, arbiter, facts), { kind: "command", command: "stop" });
  const { actions, state } = step(ending, { kind: "qemu_gone" });
  const written = actions.find((action) => action.kind === "write");
  assert.ok(written?.kind === "write");
  return play(state, { kind: "written", metadata: written.metadata });
}

const start: GroupEvent = { kind: "command", command: "start" };
const anew = ({ disk, settings }: GroupState): GroupState =>
  play({ ...beginState(settings) }, { kind: "begin", metadata: disk, start: false, durable: null }, SILENT);

Deno.test("a VM that was stopped while another host might have gone on is not started unheard, whoever says so", () => {
  for (const arbiter of [lanArbiter, manualArbiter]) {
    for (const phase of [{ kind: "protected", ...at }, { kind: "syncing", ...at, leaving: false }] as const) {
      const held = play(stopped(phase, arbiter), SILENT, start, SILENT);
      assert.equal(held.phase.kind, "waiting");
      const off = play(held, { kind: "command", command: "confirm_peer_off" }, start);
      assert.equal(off.phase.kind, "starting");
    }
  }
});

Deno.test("an arbiter elsewhere is asked in its place, by the term of what ended", () => {
  for (const again of [(state: GroupState) => state, anew]) {
    const ended = again(stopped({ kind: "protected", ...at }, witnessArbiter));
    const asking = play(ended, SILENT, start, SILENT);
    assert.deepEqual([asking.phase.kind, "why" in asking.phase && asking.phase.why], ["waiting", "asked"]);
    assert.equal(commandProblem(ended, "start", NO_SYNC), null);
    const granted = play(asking, { kind: "granted", term: 9, known: 5 });
    assert.deepEqual(granted.phase, { kind: "starting", term: 9, step: "writing" });
    const refused = play(asking, { kind: "refused", why: "it was granted to the other host", term: 9 });
    assert.equal(refused.phase.kind, "waiting");
  }
});

Deno.test("a VM that was stopped when no other host had a copy starts again, the other one heard or not", () => {
  const promised = word({ role: ROLES.BACKUP, flags: FLAGS.PROMISED });
  const alone = [
    stopped({ kind: "solo", term: 5, invite: null }, lanArbiter),
    stopped({ kind: "protected", ...at }, lanArbiter, { peer: promised }),
  ];
  for (const ended of alone) {
    assert.equal(play(ended, SILENT, start).phase.kind, "starting");
    const back = anew(ended);
    assert.equal(back.phase.kind, "waiting", "not without an order");
    assert.equal(commandProblem(back, "start", NO_SYNC), null);
    assert.equal(play({ ...back, lanTrust: "ok" }, start).phase.kind, "starting");
  }
});
