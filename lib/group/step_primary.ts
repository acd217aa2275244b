/** The decisions of a host that has the VM. */

import { considerInvite } from "./step_backup.ts";
import { evaluate } from "./step_waiting.ts";
import { type PhaseOf, promised, type Turn } from "./turn.ts";
import { type Cause, type GroupEvent, type Message, type Phase, ROLES, type Word } from "./types.ts";

export function primaryStep(turn: Turn, event: GroupEvent): void {
  if (event.kind === "qemu_lost" || event.kind === "engine_failed") return vmLost(turn, event.why);
  if (event.kind === "guest_off") return stop(turn, "the guest powered off");
  if (event.kind === "command") {
    if (event.command === "stop") return stop(turn, "the operator stopped it");
    if (event.command === "yield") return fence(turn, "the operator gave the VM to the other host");
  }
  if (event.kind === "disk_failed") {
    turn.alarm("disk", `A disk of this host failed: ${event.why}`);
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
  // A VM that ran alone was ahead of every copy of its generation: nobody is to take this for leave to go on.
  const generation = yields?.generation ?? (state.disk?.generation ?? 0) + 1;
  turn.write({ generation, term, role: "backup", copy: "stale" });
  turn.go({ kind: "fencing", term, why, yields });
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
  turn.act({ kind: "hold" }, { kind: "kill_qemu" });
  turn.go({ kind: "stopping", term, generation, why });
}

/** QEMU, or the engine, is gone: a whole copy takes over at once; without one the VM is down. */
function vmLost(turn: Turn, why: string): void {
  const { phase, state } = turn;
  if (phase.kind === "yielded") return;
  turn.act({ kind: "hold" }, { kind: "kill_qemu" });
  state.common = 0;
  const hasBackup = phase.kind === "protected" || phase.kind === "deciding" || phase.kind === "handing" ||
    phase.kind === "syncing" || (phase.kind === "going_solo" && phase.step === "writing");
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

/** Invites the other host to be the backup, when there is one that could. */
function invite(turn: Turn): void {
  const { phase, state } = turn;
  if (phase.kind !== "solo" || phase.invite !== null || !state.settings.autoProtect) return;
  const { peer, silent, links, disk } = state;
  if (peer === null || silent || !(links[0] || links[1])) return;
  const able = peer.role !== ROLES.NONE && peer.role !== ROLES.PRIMARY;
  if (!able || peer.term > phase.term) return;
  const generation = Math.max(disk?.generation ?? 0, peer.generation) + 1;
  turn.go({ ...phase, invite: { generation, step: "writing" } });
  turn.write({ generation, term: phase.term, role: "primary", copy: "partial" });
}

function sendInvite(turn: Turn, phase: PhaseOf<"solo">): void {
  if (phase.invite === null) return;
  const { term, invite: { generation } } = phase;
  turn.act({
    kind: "send",
    message: { kind: "invite", term, generation, keepGeneration: turn.state.common },
  });
  turn.act({ kind: "set_timer", timer: "invite", after: "second" });
}

function inSolo(turn: Turn, phase: PhaseOf<"solo">, event: GroupEvent): void {
  const { peer } = turn.state;
  if (event.kind === "word" && event.word.role === ROLES.PRIMARY && event.word.term === phase.term) {
    turn.alarm(
      "two-active",
      `Both hosts run the VM in term ${phase.term}; choose one, and let the other yield`,
    );
  }
  switch (event.kind) {
    case "written":
      return soloWritten(turn, phase, event.metadata);
    case "write_failed":
      turn.act({ kind: "set_timer", timer: "invite", after: "second" });
      return turn.go({ ...phase, invite: null });
    case "message":
      return soloMessage(turn, phase, event.message);
    case "timer":
      if (event.timer !== "invite") return;
      if (phase.invite?.step !== "sent") return invite(turn);
      // Not answered: the same invitation again, while there is somebody to hear it.
      if (turn.state.silent || peer === null) return turn.go({ ...phase, invite: null });
      return sendInvite(turn, phase);
    case "word":
    case "link":
    case "peer":
    case "command":
      return invite(turn);
    default:
      return;
  }
}

function soloWritten(turn: Turn, phase: PhaseOf<"solo">, disk: { generation: number; copy: string }): void {
  if (phase.invite === null || disk.generation !== phase.invite.generation) return;
  const { generation, step } = phase.invite;
  if (step === "writing" && disk.copy === "partial") {
    const next = { ...phase, invite: { generation, step: "sent" as const } };
    turn.go(next);
    sendInvite(turn, next);
  } else if (step === "agreed" && disk.copy === "whole") {
    if (promised(turn.state.peer, { term: phase.term, generation })) {
      turn.act({ kind: "set_timer", timer: "invite", after: "second" });
      return turn.go({ ...phase, invite: null });
    }
    const changedOnly = turn.state.common !== 0;
    turn.state.common = 0;
    turn.act({ kind: "sync", generation, term: phase.term, changedOnly });
    turn.go({ kind: "syncing", term: phase.term, generation, leaving: false });
    if (cutOff(turn)) turn.act({ kind: "set_timer", timer: "links", after: "takeover" });
  }
}

function soloMessage(turn: Turn, phase: PhaseOf<"solo">, message: Message): void {
  if (
    phase.invite === null || message.generation !== phase.invite.generation || message.term !== phase.term
  ) return;
  if (message.kind === "refuse") {
    turn.alarm("refused", `The other host refused to be the backup: ${message.why}`);
    turn.act({ kind: "set_timer", timer: "invite", after: "second" });
    return turn.go({ ...phase, invite: null });
  }
  if (message.kind !== "accept" || phase.invite.step !== "sent") return;
  if (!message.keep) turn.state.common = 0;
  // From here on the copy may become whole without our knowing: this is written before the first byte goes.
  turn.go({ ...phase, invite: { ...phase.invite, step: "agreed" } });
  turn.write({ generation: message.generation, term: phase.term, role: "primary", copy: "whole" });
}

function cutOff(turn: Turn): boolean {
  return !turn.state.links[0] && !turn.state.links[1];
}

/** What ends a copying, or protection, from outside; null: nothing did. */
function lossOf(turn: Turn, phase: { term: number; generation: number }, event: GroupEvent): Cause | null {
  if (event.kind === "peer" && turn.state.silent) return "silence";
  if (event.kind === "timer" && event.timer === "links" && cutOff(turn)) return "links";
  if (event.kind === "word") {
    if (promised(event.word, phase)) return "promised";
    if (hasNoCopy(event.word)) return "copy-lost";
  }
  // It may have started anew so fast that its word is the same as before it joined.
  if (event.kind === "link" && event.up && hasNoCopy(turn.state.peer)) return "copy-lost";
  return null;
}

/** The peer's runner has started anew: what it had in memory is gone. */
function hasNoCopy(peer: Word | null): boolean {
  return peer !== null && (peer.role === ROLES.WAITING || peer.role === ROLES.NONE);
}

function watchLinks(turn: Turn, event: GroupEvent): void {
  if (event.kind !== "link" || event.up) return;
  if (cutOff(turn)) turn.act({ kind: "set_timer", timer: "links", after: "takeover" });
  else turn.alarm("link", `Link ${event.link === 0 ? "A" : "B"} is down; the other one carries the data`);
}

function inSyncing(turn: Turn, phase: PhaseOf<"syncing">, event: GroupEvent): void {
  watchLinks(turn, event);
  if (event.kind === "protected") {
    turn.state.common = phase.generation;
    turn.go({ kind: "protected", term: phase.term, generation: phase.generation });
    return;
  }
  if (phase.leaving) {
    if (event.kind === "solo_open") return enterSolo(turn, phase.term);
    // The copy may have become whole meanwhile: then going on alone needs a grant.
    if (event.kind === "solo_refused") decide(turn, { ...phase, cause: "silence" });
    return;
  }
  const refused = event.kind === "message" && event.message.kind === "refuse";
  if (lossOf(turn, phase, event) === null && !refused) return;
  turn.go({ ...phase, leaving: true });
  turn.act({ kind: "open", term: phase.term, cancelHandover: false, unless: "never" });
}

function inProtected(turn: Turn, phase: PhaseOf<"protected">, event: GroupEvent): void {
  watchLinks(turn, event);
  if (event.kind === "command" && event.command === "switchover") return beginHandover(turn, phase);
  if (event.kind === "stalled") {
    turn.alarm("stalled", "The backup does not keep up: no epoch was committed for longer than the bound");
    if (turn.state.settings.onStall === "solo") decide(turn, { ...phase, cause: "stall" });
    return;
  }
  const cause = lossOf(turn, phase, event);
  if (cause !== null) decide(turn, { ...phase, cause });
}

/** Output waits (no epoch commits) while the arbiter is asked. */
function decide(
  turn: Turn,
  from: { term: number; generation: number; cause: Cause; handed?: boolean },
): void {
  const { term, generation, cause, handed = false } = from;
  turn.go({ kind: "deciding", term, generation, cause, bound: false, handed, why: "" });
  settle(turn);
}

function settle(turn: Turn): void {
  const { state } = turn;
  if (turn.phase.kind !== "deciding") return;
  const { term, generation, handed } = turn.phase;
  const gaveWay = promised(state.peer, turn.phase);
  if (!turn.phase.bound && !gaveWay && recovered(turn, turn.phase)) {
    turn.go(
      handed
        ? { kind: "handing", term, generation, step: "offered" }
        : { kind: "protected", term, generation },
    );
    return;
  }
  const { phase } = turn;
  if (!gaveWay && state.silent && !state.silenceChecked) return turn.act({ kind: "check_silence" });
  let verdict = turn.judge("solo", gaveWay);
  if (handed && verdict.kind === "grant" && verdict.because === "silence") {
    // It was told to go on, and may do so where it is not heard.
    verdict = { kind: "hold", why: "the VM was handed over: confirm that the other host is off" };
  }
  if (verdict.kind === "grant") {
    const unless = verdict.because === "peer gave way" ? "never" : "heard";
    return grantSolo(turn, { term, generation, handed, unless, next: turn.nextTerm() });
  }
  const why = verdict.kind === "ask" ? "asked" : verdict.why;
  if (phase.kind !== "deciding" || why === phase.why) return;
  turn.go({ ...phase, why });
  if (verdict.kind === "ask") turn.act({ kind: "ask", term: turn.nextTerm(), purpose: "solo" });
  else turn.alarm("held", `The VM's output waits: ${why}`);
}

function recovered(turn: Turn, phase: PhaseOf<"deciding">): boolean {
  if (hasNoCopy(turn.state.peer)) {
    if (!turn.state.silent) turn.go({ ...phase, cause: "copy-lost" });
    return false;
  }
  if (phase.cause === "silence") return !turn.state.silent;
  if (phase.cause === "links") return !cutOff(turn);
  return false;
}

function grantSolo(
  turn: Turn,
  grant: { term: number; generation: number; next: number; handed: boolean; unless: "heard" | "never" },
): void {
  turn.go({ kind: "going_solo", ...grant, step: "writing" });
  // Until the gate is open the other copy may still be the newer one: it says so should we restart here.
  turn.write({ generation: grant.generation, term: grant.next, role: "primary", copy: "whole" });
}

function inDeciding(turn: Turn, phase: PhaseOf<"deciding">, event: GroupEvent): void {
  if (event.kind === "granted") {
    const { term, generation, handed } = phase;
    return grantSolo(turn, { term, generation, handed, unless: "never", next: event.term });
  }
  const decides = event.kind === "peer" || event.kind === "word" || event.kind === "link" ||
    event.kind === "command" || event.kind === "timer";
  if (event.kind === "refused") turn.go({ ...phase, why: event.why });
  else if (decides) settle(turn);
}

function inGoingSolo(turn: Turn, phase: PhaseOf<"going_solo">, event: GroupEvent): void {
  const { term, generation, next, handed, unless } = phase;
  if (event.kind === "written" && phase.step === "writing" && event.metadata.term === next) {
    turn.go({ ...phase, step: "opening" });
    return turn.act({ kind: "open", term: next, cancelHandover: handed, unless });
  }
  if (event.kind === "solo_open") return enterSolo(turn, next);
  if (event.kind === "solo_refused") {
    if (event.why === "not_this_term") return fence(turn, "the engine has seen a newer term");
    turn.go({ kind: "deciding", term, generation, cause: "silence", bound: true, handed, why: "" });
    return turn.act({ kind: "check_silence" });
  }
  if (event.kind === "write_failed") {
    turn.go({ kind: "deciding", term, generation, cause: "silence", bound: true, handed, why: event.why });
    turn.act({ kind: "set_timer", timer: "decide", after: "second" });
  }
}

function beginHandover(turn: Turn, phase: PhaseOf<"protected">): void {
  turn.go({ kind: "handing", term: phase.term, generation: phase.generation, step: "last" });
  turn.act({ kind: "handover" }, { kind: "set_timer", timer: "handing", after: "bound" });
}

function inHanding(turn: Turn, phase: PhaseOf<"handing">, event: GroupEvent): void {
  const { term, generation } = phase;
  const back = (why: string) => {
    turn.alarm("switchover", `The switchover did not take place: ${why}`);
    turn.act({ kind: "cancel_handover" });
    turn.go({ kind: "protected", term, generation });
  };
  const cause = lossOf(turn, phase, event);
  if (phase.step === "last") {
    if (event.kind === "handed") return turn.go({ ...phase, step: "offered" });
    if (event.kind === "timer" && event.timer === "handing") {
      return back("the last epoch was not committed in time");
    }
    if (cause === null) return;
    back("the other host was lost");
    return decide(turn, { term, generation, cause });
  }
  // Offered: the other host may have started it already. Only its own word, or a grant, brings the VM back.
  if (
    event.kind === "message" && event.message.kind === "refuse" && event.message.generation === generation
  ) {
    return back(event.message.why);
  }
  if (event.kind === "timer" && event.timer === "handing") {
    return decide(turn, { term, generation, cause: "stall", handed: true });
  }
  if (cause !== null) decide(turn, { term, generation, cause, handed: true });
}

function inYielded(turn: Turn, phase: PhaseOf<"yielded">, event: GroupEvent): void {
  if (event.kind === "message" && event.message.kind === "invite") return considerInvite(turn, event.message);
  if (event.kind === "word" && event.word.role === ROLES.PRIMARY && event.word.term > phase.term) {
    return turn.go({ kind: "waiting", why: "the other host has the VM", wantsStart: false });
  }
  const alone = event.kind === "word" &&
    (event.word.role === ROLES.WAITING || event.word.role === ROLES.NONE || promised(event.word, phase));
  if (alone || (event.kind === "command" && event.command === "start")) {
    turn.go({
      kind: "waiting",
      why: "the other host cannot take over",
      wantsStart: event.kind === "command",
    });
    evaluate(turn);
  }
}
