/** The decisions of a host that has the VM: what is common to all its phases. */

import { asynchronousStep, beginAsynchronous } from "./step_asynchronous.ts";
import { considerInvite, noteTrouble } from "./step_backup.ts";
import { decide, inDeciding, inGoingSolo } from "./step_deciding.ts";
import { beginHandover, inHanding } from "./step_handing.ts";
import { hasNoCopy, lossOf, watchLinks } from "./step_losses.ts";
import { inSolo, inSyncing, invite } from "./step_solo.ts";
import { evaluate } from "./step_waiting.ts";
import { EPOCH_MAX, type PhaseOf, promised, type Turn } from "./turn.ts";
import { FLAGS, type GroupEvent, type Phase, ROLES } from "./types.ts";

export function primaryStep(turn: Turn, event: GroupEvent): void {
  if (event.kind === "qemu_lost" || event.kind === "engine_failed") return vmLost(turn, event);
  if (event.kind === "guest_off") return stop(turn, "the guest powered off");
  if (event.kind === "command") {
    if (event.command === "stop") return stop(turn, "the operator stopped it");
    if (event.command === "yield") return fence(turn, "the operator gave the VM to the other host");
  }
  if (event.kind === "disk_failed") {
    turn.alarm("disk", `A disk of this host failed: ${event.why}`);
    noteTrouble(turn, event.why);
    if (turn.phase.kind === "protected") beginHandover(turn, turn.phase);
    return;
  }
  if (event.kind === "write_failed") turn.alarm("metadata", `The metadata cannot be written: ${event.why}`);
  const { phase } = turn;
  switch (phase.kind) {
    case "solo":
      return inSolo(turn, phase, event);
    case "syncing":
      return inSyncing(turn, phase, event);
    case "protected":
      return inProtected(turn, phase, event);
    case "deciding":
      return inDeciding(turn, phase, event);
    case "going_solo":
      return inGoingSolo(turn, phase, event);
    case "handing":
      return inHanding(turn, phase, event);
    case "asynchronous":
      return asynchronousStep(turn, phase, event);
    case "yielded":
      return inYielded(turn, phase, event);
    default:
      return;
  }
}

/** Enters solo; the gate is open. */
export function enterSolo(turn: Turn, term: number): void {
  const generation = turn.state.disk?.generation ?? 0;
  turn.go({ kind: "solo", term, invite: null });
  turn.state.refusal = ""; // it was of another VM, or of an earlier term
  if (turn.state.settings.arbiter.remote) turn.act({ kind: "note_term", term });
  // Only now is it certain that the other host's copy, if it has one, is behind.
  turn.write({ generation, term, role: "primary", copy: "none" });
  invite(turn);
}

/** A newer term is at work elsewhere: this VM stops first of all. */
export function fence(turn: Turn, why: string): void {
  const { state, phase } = turn;
  const term = Math.max(state.peer?.term ?? 0, state.disk?.term ?? 0);
  state.common = 0;
  turn.act({ kind: "hold" }, { kind: "kill_qemu" });
  turn.alarm("fenced", `This host's VM is stopped: ${why}`);
  const yields = yieldedCopy(phase);
  const copy = ranAlone(phase) ? "diverged" as const : "stale" as const;
  // A VM that ran alone was ahead of every copy of its generation: nobody is to take this for leave to go on.
  const generation = yields?.generation ?? (state.disk?.generation ?? 0) + 1;
  // A copy is of the term in which it was made: the disks of whoever overtook it had all that ever left of it when the newer term was written.
  const made = yields?.term ?? term;
  turn.write({ generation, term: made, role: "backup", copy });
  turn.go({ kind: "fencing", term, why, yields, diverged: copy === "diverged" });
}

/** True when this VM let output leave that no other copy has: who overtook it did not go on from here. */
function ranAlone(phase: Phase): boolean {
  switch (phase.kind) {
    case "solo":
      return true;
    case "going_solo":
      return phase.step === "opening";
    case "asynchronous":
      return phase.step !== "asking" && phase.step !== "returning";
    default:
      return false;
  }
}

/** The copy that has all that this VM ever let out; null: it may have run alone. */
function yieldedCopy(phase: Phase): { term: number; generation: number } | null {
  switch (phase.kind) {
    // While syncing: had it become whole, the gate was shut before.
    case "syncing":
      return phase.leaving ? null : { term: phase.term, generation: phase.generation };
    case "protected":
    case "deciding":
    case "handing":
      return { term: phase.term, generation: phase.generation };
    case "asynchronous":
      return ranAlone(phase) ? null : { term: phase.term, generation: phase.generation };
    case "going_solo":
      return phase.step === "writing" ? { term: phase.term, generation: phase.generation } : null;
    default:
      return null;
  }
}

function stop(turn: Turn, why: string): void {
  const { phase, state } = turn;
  const term = "term" in phase ? phase.term : 0;
  const generation = "generation" in phase ? phase.generation : state.disk?.generation ?? 0;
  // Also when that cannot be written down: no other host's disks hold more, while this runner lives.
  state.durable = { generation, epoch: EPOCH_MAX };
  turn.act({ kind: "hold" }, { kind: "kill_qemu" });
  const alone = phase.kind === "solo" || ("generation" in phase && promised(state.peer, phase));
  turn.go({ kind: "stopping", term, generation, alone, why });
}

/** QEMU, or the engine, is gone: a whole copy takes over at once; without one the VM is down. */
function vmLost(turn: Turn, event: Extract<GroupEvent, { kind: "qemu_lost" | "engine_failed" }>): void {
  const { phase, state } = turn;
  const { why } = event;
  if (phase.kind === "yielded") return;
  turn.act({ kind: "hold" }, { kind: "kill_qemu" });
  state.common = 0;
  // Of this generation no other host's disks hold more, while this runner lives.
  if (event.kind === "qemu_lost" && "generation" in phase) {
    state.durable = { generation: phase.generation, epoch: EPOCH_MAX };
  }
  const hasBackup = phase.kind === "protected" || phase.kind === "deciding" || phase.kind === "handing" ||
    phase.kind === "syncing" || (phase.kind === "going_solo" && phase.step === "writing") ||
    (phase.kind === "asynchronous" && !ranAlone(phase));
  if (hasBackup && !promised(state.peer, phase) && !hasNoCopy(state.peer)) {
    const { term, generation } = phase;
    turn.alarm("qemu", `The VM ended here (${why}); the other host takes over`);
    turn.write({ generation, term: Math.max(term, state.disk?.term ?? 0), role: "primary", copy: "whole" });
    turn.go({ kind: "yielded", term, generation });
    return;
  }
  turn.alarm("vm-down", `The VM ended here (${why}), and there is no backup that could go on`);
  turn.go({ kind: "stopped", term: "term" in phase ? phase.term : 0, why });
}

function inProtected(turn: Turn, phase: PhaseOf<"protected">, event: GroupEvent): void {
  watchLinks(turn, event);
  if (event.kind === "command" && event.command === "switchover") return beginHandover(turn, phase);
  // The backup is asked to give its copy up, in writing, as one that does not keep up would be.
  if (!turn.state.settings.autoProtect) return decide(turn, { ...phase, cause: "operator" });
  if (event.kind === "pace" && event.wants === "asynchronous") {
    return beginAsynchronous(turn, phase, event.why);
  }
  if (event.kind === "protection_failed") {
    turn.alarm("engine", `Protection ended, the VM runs on: ${event.why}`);
    return decide(turn, { ...phase, cause: "engine" });
  }
  if (event.kind === "stalled") {
    turn.alarm("stalled", "The backup does not keep up: no epoch was committed for longer than the bound");
    if (turn.state.settings.onStall === "solo") decide(turn, { ...phase, cause: "stall" });
    return;
  }
  const cause = lossOf(turn, phase, event);
  if (cause !== null) decide(turn, { ...phase, cause });
}

function inYielded(turn: Turn, phase: PhaseOf<"yielded">, event: GroupEvent): void {
  if (event.kind === "message" && event.message.kind === "invite") return considerInvite(turn, event.message);
  if (event.kind === "word" && event.word.role === ROLES.PRIMARY && event.word.term > phase.term) {
    return turn.go({ kind: "waiting", why: "the other host has the VM", wantsStart: false });
  }
  // One that is ready to be behind goes on with its copy, as soon as it hears of this.
  const gaveUp = event.kind === "word" && promised(event.word, phase) &&
    (event.word.flags & FLAGS.BEHIND) === 0;
  const alone = event.kind === "word" &&
    (event.word.role === ROLES.WAITING || event.word.role === ROLES.NONE || gaveUp);
  if (alone || (event.kind === "command" && event.command === "start")) {
    turn.go({
      kind: "waiting",
      why: "the other host cannot take over",
      wantsStart: event.kind === "command",
    });
    evaluate(turn);
  }
}
