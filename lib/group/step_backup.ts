/** The decisions of a host that receives, keeps or starts a copy. */

import { asksBehind, inBehind, writeCopy } from "./step_behind.ts";
import { enterSolo, fence } from "./step_primary.ts";
import { evaluate, newerThanPeer } from "./step_waiting.ts";
import { EPOCH_MAX, type PhaseOf, type Turn } from "./turn.ts";
import { type Cause, FLAGS, type GroupEvent, type Message, ROLES, type Word } from "./types.ts";

export function backupStep(turn: Turn, event: GroupEvent): void {
  const { phase } = turn;
  if (event.kind === "write_failed") turn.alarm("metadata", `The metadata cannot be written: ${event.why}`);
  if (event.kind === "message" && event.message.kind === "invite") return considerInvite(turn, event.message);
  switch (phase.kind) {
    case "joining":
      return inJoining(turn, phase, event);
    case "receiving":
      return inReceiving(turn, phase, event);
    case "ready":
      return inReady(turn, phase, event);
    case "behind":
      return inBehind(turn, phase, event);
    case "asking":
      return inAsking(turn, phase, event);
    case "promoting":
      return inPromoting(turn, phase, event);
    case "abandoning":
      return inAbandoning(turn, phase, event);
    case "stale":
      if (phase.unwritten === true) keepWriting(turn, phase, event);
      if (event.kind === "word" || event.kind === "peer") reconsider(turn);
      if (event.kind === "command" && event.command === "start" && turn.state.confirmedOff) {
        turn.go({ kind: "waiting", why: "the operator starts an older copy", wantsStart: true });
        turn.act({ kind: "check_silence" });
      }
      return;
    default:
      return;
  }
}

/** A copy that was given up is still the newest when the other host lost its VM before it had gone on alone. */
function reconsider(turn: Turn): void {
  if (turn.phase.kind !== "stale" || !newerThanPeer(turn.state)) return;
  turn.go({ kind: "waiting", why: "its disks hold more than the other host's", wantsStart: false });
  evaluate(turn);
}

function inAbandoning(turn: Turn, phase: PhaseOf<"abandoning">, event: GroupEvent): void {
  const { term, generation } = phase;
  if (event.kind === "written" && event.metadata.copy === "stale") {
    turn.go({ kind: "stale", term, generation });
    return reconsider(turn);
  }
  if (event.kind !== "write_failed") return;
  // Nothing can be written here, and the primary must not wait for that. Without its QEMU the copy in memory is never started; the one on
  // the disks is, after a restart, of an older term than the primary's next one, which is written before anything leaves.
  turn.state.common = 0;
  turn.act({ kind: "kill_qemu" }, { kind: "set_timer", timer: "decide", after: "second" });
  turn.go({ kind: "stale", term, generation, unwritten: true });
}

function keepWriting(turn: Turn, phase: PhaseOf<"stale">, event: GroupEvent): void {
  if (event.kind === "timer" && event.timer === "decide") writeStale(turn, phase);
  if (event.kind === "write_failed") turn.act({ kind: "set_timer", timer: "decide", after: "second" });
  if (event.kind === "written" && event.metadata.copy === "stale") {
    turn.go({ kind: "stale", term: phase.term, generation: phase.generation });
    reconsider(turn);
  }
}

/** Answers an invitation to be the backup. */
export function considerInvite(turn: Turn, invite: Extract<Message, { kind: "invite" }>): void {
  const { phase, state } = turn;
  const { term, generation, keepGeneration } = invite;
  const refuse = (why: string) =>
    turn.act({ kind: "send", message: { kind: "refuse", term, generation, why } });
  const newest = Math.max(state.disk?.term ?? 0, state.heard);
  if (term < newest) return refuse(`this host has taken part in term ${newest}; ${term} is older`);
  if (state.trouble !== null && !state.trouble.over) return refuse(state.trouble.why);
  if (phase.kind === "promoting" || (phase.kind === "asking" && term <= phase.term)) return;
  if (phase.kind === "joining" && phase.generation === generation) return;
  if (phase.kind === "receiving" && phase.generation === generation && phase.term === term) {
    const keep = phase.keep;
    return turn.act({ kind: "send", message: { kind: "accept", term, generation, keep } });
  }
  if (state.qemu === "primary") return;
  if (generation <= (state.disk?.generation ?? 0)) return refuse(`generation ${generation} was used before`);
  // What a sync that was broken off had brought is as good as a whole copy: only the rest comes.
  const held = phase.kind === "receiving" && phase.step === "copying" ? phase.generation : state.common;
  const keep = keepGeneration !== 0 && held === keepGeneration && state.qemu === "standby";
  state.common = 0;
  if (
    phase.kind === "ready" || phase.kind === "behind" || phase.kind === "asking" || phase.kind === "receiving"
  ) {
    turn.act({ kind: "hold" });
  }
  // Whoever invites has the VM in that term, whatever its heartbeats said before.
  state.peer = { generation, term, epoch: 0, role: ROLES.PRIMARY, flags: 0 };
  state.heard = Math.max(state.heard, term);
  turn.go({ kind: "joining", term, generation, keep, step: "writing" });
  turn.write({ generation, term, role: "backup", copy: "partial" });
}

/** Remembers that this host cannot be a backup for now: it is tried again soon, and later less often. */
export function noteTrouble(turn: Turn, why: string): void {
  const count = (turn.state.trouble?.count ?? 0) + 1;
  turn.state.trouble = { why, count, over: false };
  turn.act({ kind: "set_timer", timer: "trouble", after: count === 1 ? "bound" : "minute" });
}

/** Gives the copy up: it is written down as stale, and only then promised. */
export function abandon(turn: Turn, copy: { term: number; generation: number }): void {
  turn.act({ kind: "hold" });
  const { term, generation } = copy;
  // What was committed is in the disks here, whatever becomes of the copy in memory.
  const { phase } = turn;
  const kept = phase.kind === "receiving" && phase.unused !== undefined; // after a promotion that did not take place
  if (kept || phase.kind === "ready" || phase.kind === "asking") {
    turn.state.durable = { generation, epoch: EPOCH_MAX };
  }
  turn.go({ kind: "abandoning", term, generation });
  writeStale(turn, copy);
}

function writeStale(turn: Turn, copy: { term: number; generation: number }): void {
  turn.write({ generation: copy.generation, term: copy.term, role: "backup", copy: "stale" });
}

function inJoining(turn: Turn, phase: PhaseOf<"joining">, event: GroupEvent): void {
  const { term, generation, keep } = phase;
  if (event.kind === "written" && phase.step === "writing" && event.metadata.generation === generation) {
    turn.go({ ...phase, step: "launching" });
    return turn.act({ kind: "stand_by", generation, term, keep });
  }
  // An earlier joining's answer comes while this one is still being written.
  if (event.kind === "standing" && phase.step === "launching") {
    turn.go({ kind: "receiving", term, generation, keep, step: "copying" });
    if (startedAnew(turn, phase)) return abandon(turn, phase);
    return turn.act({ kind: "send", message: { kind: "accept", term, generation, keep } });
  }
  const failed = event.kind === "standby_failed" || event.kind === "write_failed" ||
    event.kind === "qemu_lost" ||
    event.kind === "engine_failed";
  if (failed) {
    turn.alarm("standby", `This host cannot be the backup: ${event.why}`);
    turn.act({ kind: "send", message: { kind: "refuse", term, generation, why: event.why } });
    turn.act({ kind: "hold" }, { kind: "kill_qemu" });
    turn.go({ kind: "waiting", why: event.why, wantsStart: false });
  }
}

/** True when something here, or the peer's word, makes this copy worthless. */
export function copyEnds(turn: Turn, copy: { term: number; generation: number }, event: GroupEvent): boolean {
  switch (event.kind) {
    case "qemu_lost":
    case "engine_failed":
    case "disk_failed":
      turn.alarm("copy-lost", `The copy is given up: ${event.why}`);
      if (event.kind === "disk_failed") noteTrouble(turn, event.why);
      turn.state.common = 0;
      turn.act({ kind: "kill_qemu" });
      return true;
    case "word": {
      const { word } = event;
      if (word.role === ROLES.STOPPED) return word.term >= copy.term;
      if (word.role === ROLES.PRIMARY && word.term > copy.term) return true;
      // Started anew, it ran alone after this copy was made, or may have.
      if (word.role === ROLES.WAITING && (word.flags & FLAGS.LAST_SOLO) !== 0) return word.term >= copy.term;
      const gaveUp = (word.flags & (FLAGS.PROMISED | FLAGS.COPY_WHOLE)) !== 0;
      if (word.role === ROLES.WAITING && !gaveUp && word.term > copy.term) return true;
      const asks = (word.flags & FLAGS.ASKS_PROMISE) !== 0 && word.generation === copy.generation;
      return asks && word.role === ROLES.PRIMARY;
    }
    default:
      return false;
  }
}

/** Why this host may want to start its copy now; null: no reason. */
function vmGone(turn: Turn, copy: { term: number; generation: number }): Cause | null {
  const { peer, silent, heard } = turn.state;
  if (peer !== null && gaveWay(peer, { ...copy, heard })) {
    return (peer.flags & FLAGS.HANDED) !== 0 ? "handed" : "yielded";
  }
  return silent ? "silence" : null;
}

/** The peer says that the VM of this term is not there any more: it yielded, or its runner has started anew. */
function gaveWay(peer: Word, copy: { term: number; generation: number; heard: number }): boolean {
  if (peer.role === ROLES.YIELDED) return peer.term === copy.term && peer.generation === copy.generation;
  if (peer.role !== ROLES.WAITING || (peer.flags & FLAGS.LAST_SOLO) !== 0 || copy.heard < copy.term) {
    return false;
  }
  // In a newer term only a host that was stopped before it could run alone: it gave its own copy up.
  const stopped = peer.generation === copy.generation && (peer.flags & FLAGS.PROMISED) !== 0;
  return peer.term <= copy.term || stopped;
}

/** The VM is gone, and a part of a copy is of no use: let the other host start it from its own disks. */
function startedAnew(turn: Turn, copy: { term: number; generation: number }): boolean {
  const { peer, heard } = turn.state;
  if (peer === null) return false;
  const asks = (peer.flags & FLAGS.ASKS_PROMISE) !== 0;
  return gaveWay(peer, { ...copy, heard }) || (peer.role === ROLES.WAITING && (asks || heard >= copy.term));
}

function inReceiving(turn: Turn, phase: PhaseOf<"receiving">, event: GroupEvent): void {
  if (copyEnds(turn, phase, event)) return abandon(turn, phase);
  const { term, generation } = phase;
  const looks = event.kind === "word" || event.kind === "peer" || event.kind === "link";
  if (looks && phase.step === "copying" && startedAnew(turn, phase)) return abandon(turn, phase);
  if (event.kind === "whole" && phase.step === "copying") {
    turn.go({ ...phase, step: "marking" });
    return turn.write({ generation, term, role: "backup", copy: "whole", epoch: event.epoch });
  }
  if (event.kind === "written" && phase.step === "marking" && event.metadata.copy === "whole") {
    turn.state.common = generation;
    turn.go({ kind: "ready", term, generation });
    turn.act({ kind: "commits", on: true });
    if (turn.state.trouble !== null) turn.act({ kind: "set_timer", timer: "trouble", after: "minute" });
    if (phase.unused !== undefined && turn.state.settings.arbiter.remote) {
      turn.act({ kind: "release_term", term: phase.unused });
    }
    // What the peer said meanwhile was not looked at.
    const { peer } = turn.state;
    if (peer !== null && copyEnds(turn, phase, { kind: "word", word: peer })) return abandon(turn, phase);
    return consider(turn, { term, generation });
  }
  if (event.kind === "write_failed") return abandon(turn, phase);
  if (event.kind === "peer" && event.silent) {
    turn.alarm("held", "The other host is silent, and the copy here is not whole: it cannot take over");
  }
}

function inReady(turn: Turn, phase: PhaseOf<"ready">, event: GroupEvent): void {
  if (copyEnds(turn, phase, event)) return abandon(turn, phase);
  if (event.kind === "word" && asksBehind(event.word, phase)) {
    turn.go({ ...phase, kind: "behind", step: "writing" });
    return writeCopy(turn, phase, "behind");
  }
  if (event.kind === "word" || event.kind === "peer") consider(turn, phase);
}

export function consider(turn: Turn, copy: { term: number; generation: number }): void {
  const cause = vmGone(turn, copy);
  const { peer } = turn.state;
  if (cause === null && turn.phase.kind === "ready" && peer !== null && asksBehind(peer, copy)) {
    turn.go({ ...turn.phase, kind: "behind", step: "writing" });
    return writeCopy(turn, copy, "behind");
  }
  if (cause === null) return;
  turn.go({ kind: "asking", term: copy.term, generation: copy.generation, cause, why: "" });
  settle(turn);
}

function settle(turn: Turn): void {
  const { phase, state } = turn;
  if (phase.kind !== "asking") return;
  const { term, generation } = phase;
  const cause = vmGone(turn, phase);
  if (cause === null) {
    if (phase.unsure === true) return keepCopy(turn, phase);
    turn.go({ kind: "ready", term, generation });
    return consider(turn, phase); // what the peer asked for meanwhile
  }
  const given = cause !== "silence";
  if (!given && !state.silenceChecked) return turn.act({ kind: "check_silence" });
  let verdict = turn.judge("promote", given);
  if (verdict.kind === "grant" && verdict.because === "operator" && state.refused > term && !turn.insists) {
    const why =
      `term ${state.refused} was granted to the other host, which may have gone on: to start this older ` +
      "copy all the same, say promote";
    verdict = { kind: "hold", why };
  }
  if (verdict.kind === "grant") {
    const unless = given ? "unheard" : "heard";
    return grant(turn, { term, generation, next: turn.nextTerm(verdict.because), unless });
  }
  const why = verdict.kind === "ask" ? "asked" : verdict.why;
  if (why === phase.why) return;
  turn.go({ ...phase, cause, why });
  if (verdict.kind === "ask") {
    turn.act({ kind: "ask", known: term, term: turn.nextTerm(), purpose: "promote" });
  } else turn.alarm("held", `The copy is not started: ${why}`);
}

export function grant(
  turn: Turn,
  to: { term: number; generation: number; next: number; unless: "heard" | "unheard" },
): void {
  turn.go({ kind: "promoting", ...to, step: "writing" });
  // What is written next makes the disks here count: nothing more may leave on the strength of this copy, should the peer be there after all.
  turn.act({ kind: "commits", on: false });
  turn.write({ generation: to.generation, term: to.next, role: "primary", copy: "whole" });
}

function inAsking(turn: Turn, phase: PhaseOf<"asking">, event: GroupEvent): void {
  if (copyEnds(turn, phase, event)) return abandon(turn, phase);
  if (event.kind === "granted") {
    const { term, generation } = phase;
    if (event.known === term && turn.state.silent) {
      return grant(turn, { term, generation, next: event.term, unless: "heard" });
    }
    turn.act({ kind: "release_term", term: event.term });
    turn.go({ ...phase, why: "" });
    return settle(turn);
  }
  if (event.kind === "refused") return turn.refused(phase, event);
  turn.insists = event.kind === "command" && event.command === "promote";
  const decides = event.kind === "word" || event.kind === "peer" || event.kind === "command" ||
    event.kind === "timer";
  if (decides) settle(turn);
}

/** The peer is heard after all, and nothing was done: the copy is what it was, which is written again. */
function keepCopy(turn: Turn, phase: PhaseOf<"promoting" | "asking">): void {
  const { term, generation } = phase;
  const unused = Math.max(turn.state.disk?.term ?? 0, phase.kind === "promoting" ? phase.next : term + 1);
  turn.go({ kind: "receiving", term, generation, keep: false, step: "marking", unused });
  // In its own term: in a newer one it would be taken for a copy that had gone on.
  turn.write({ generation, term, role: "backup", copy: "whole" });
}

function inPromoting(turn: Turn, phase: PhaseOf<"promoting">, event: GroupEvent): void {
  const { term, generation, next, unless } = phase;
  const restore = () => {
    turn.go({ ...phase, step: "restoring" });
    turn.act({ kind: "promote", term: next, unless });
  };
  if (phase.step !== "restoring") {
    if (copyEnds(turn, phase, event)) return abandon(turn, phase);
    if (phase.step === "checking") {
      if (event.kind !== "peer" || !event.checked) return;
      return event.silent ? restore() : keepCopy(turn, phase);
    }
    if (event.kind === "written" && event.metadata.term === next) {
      if (unless === "unheard") return restore();
      // Writing took time: before this host says that it has the VM it listens once more.
      turn.go({ ...phase, step: "checking" });
      turn.act({ kind: "check_silence" });
    } else if (event.kind === "write_failed") {
      turn.go({ kind: "asking", term, generation, cause: "silence", why: event.why, unsure: true });
      turn.act({ kind: "set_timer", timer: "decide", after: "second" });
    }
    return;
  }
  switch (event.kind) {
    case "promoted":
      turn.state.common = 0;
      return enterSolo(turn, next);
    case "promote_refused":
      return keepCopy(turn, phase);
    case "promote_failed":
    case "qemu_lost":
    case "engine_failed":
      if (event.kind === "engine_failed") return fence(turn, event.why);
      turn.alarm("promote", `The copy could not be resumed (${event.why}); the VM starts from its disks`);
      turn.act({ kind: "hold" }, { kind: "kill_qemu" });
      return turn.go({ kind: "starting", term: next, step: "killing" });
    default:
      return;
  }
}
