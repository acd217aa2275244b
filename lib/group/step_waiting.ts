/** The decisions of a host without VM and without a copy in use: at its start, after a restart, after its VM ended. */

import { abandon, considerInvite } from "./step_backup.ts";
import { diverge, divergedStep } from "./step_diverged.ts";
import { enterSolo } from "./step_primary.ts";
import { durableEpoch, endedHere, lastSolo, type PhaseOf, type Turn, wantsPromise } from "./turn.ts";
import {
  FLAGS,
  type GroupEvent,
  type GroupState,
  type Message,
  type Metadata,
  ROLES,
  type Word,
} from "./types.ts";

export function waitingStep(turn: Turn, event: GroupEvent): void {
  const { phase } = turn;
  if (event.kind === "write_failed") turn.alarm("metadata", `The metadata cannot be written: ${event.why}`);
  switch (phase.kind) {
    case "off":
      if (event.kind !== "begin") return;
      turn.state.disk = event.metadata;
      if (event.metadata?.copy === "diverged") {
        const { term } = event.metadata;
        return turn.go({ kind: "diverged", term, why: "so it was when this host ended", step: "shown" });
      }
      turn.go({ kind: "waiting", why: "it has just started", wantsStart: event.start });
      turn.act({ kind: "set_timer", timer: "decide", after: "takeover" });
      return;
    case "waiting":
      return inWaiting(turn, phase, event);
    case "starting":
      return inStarting(turn, phase, event);
    case "fencing":
      if (event.kind === "qemu_gone") afterFencing(turn, phase);
      return;
    case "stopping":
      return inStopping(turn, phase, event);
    case "stopped":
      return inStopped(turn, phase, event);
    case "diverged":
      return divergedStep(turn, phase, event);
    default:
      return;
  }
}

function afterFencing(turn: Turn, phase: PhaseOf<"fencing">): void {
  const { peer } = turn.state;
  if (phase.diverged) return turn.go({ kind: "diverged", term: phase.term, why: phase.why, step: "shown" });
  // Only a host with a copy can be given way to.
  if (phase.yields === null || peer?.role !== ROLES.BACKUP) {
    return turn.go({ kind: "waiting", why: phase.why, wantsStart: false });
  }
  turn.go({ kind: "yielded", ...phase.yields });
}

function inWaiting(turn: Turn, phase: PhaseOf<"waiting">, event: GroupEvent): void {
  if (event.kind === "message" && event.message.kind === "invite") return invited(turn, event.message);
  if (event.kind === "command" && event.command === "start") turn.go({ ...phase, wantsStart: true });
  if (event.kind === "granted") return useGrant(turn, phase, event);
  if (event.kind === "refused") return turn.refused(phase, event);
  if (event.kind === "timer" && event.timer === "decide") {
    turn.act({ kind: "set_timer", timer: "decide", after: "second" });
  }
  const decides = event.kind === "word" || event.kind === "peer" || event.kind === "command" ||
    event.kind === "timer";
  if (decides) evaluate(turn);
}

function invited(turn: Turn, invite: Extract<Message, { kind: "invite" }>): void {
  const { disk } = turn.state;
  if (lastSolo(disk) && invite.term >= (disk?.term ?? 0)) return diverge(turn, invite);
  considerInvite(turn, invite);
}

function useGrant(
  turn: Turn,
  phase: PhaseOf<"waiting">,
  event: Extract<GroupEvent, { kind: "granted" }>,
): void {
  const { silent, disk } = turn.state;
  if (silent && event.known === (disk?.term ?? 0)) return start(turn, event.term);
  turn.act({ kind: "release_term", term: event.term });
  turn.go({ ...phase, why: "" });
  evaluate(turn);
}

const ENDED = "it was stopped here: start it when it is wanted";

/** May this host start the VM from its disks? */
export function evaluate(turn: Turn): void {
  const { phase, state } = turn;
  if (phase.kind !== "waiting") return;
  const { disk, peer, silent } = state;
  const asked = peer !== null && !silent && (peer.flags & FLAGS.ASKS_PROMISE) !== 0;
  if (asked && disk?.role === "backup" && disk.copy === "whole" && disk.generation === peer.generation) {
    return abandon(turn, { term: peer.term, generation: peer.generation });
  }
  if (silent) return evaluateAlone(turn, phase);
  if (peer === null) return;
  const other = relation(peer, state);
  if (endedHere(disk) && !phase.wantsStart && other !== "newer") {
    if (phase.why !== ENDED) turn.go({ ...phase, why: ENDED });
    return;
  }
  if (other === "gave way" || (other === "empty" && (phase.wantsStart || disk !== null))) {
    return judgeStart(turn, phase, true);
  }
  const why = wantsPromise(state)
    ? "it asks the other host to give up a copy that is not whole"
    : other === "newer"
    ? "the other host has the VM, or a newer copy of it"
    : "the other host's copy takes over";
  if (why !== phase.why) turn.go({ ...phase, why });
}

function evaluateAlone(turn: Turn, phase: PhaseOf<"waiting">): void {
  const { disk, heard, silenceChecked, confirmedOff, settings } = turn.state;
  if (!silenceChecked) return turn.act({ kind: "check_silence" });
  // The operator's own order, or the certainty that no other copy is newer.
  const alone = lastSolo(disk) || (endedHere(disk) && disk?.copy === "none" && phase.wantsStart);
  const certain = alone && (disk?.term ?? 0) >= heard;
  // Of one that ended here an arbiter that is elsewhere knows whether the other host has gone on with its copy since.
  const asked = endedHere(disk) && settings.arbiter.remote;
  const ordered = phase.wantsStart && (disk === null ? heard === 0 : confirmedOff || asked);
  const fresh = disk === null && !settings.arbiter.remote;
  if (certain || ordered) return judgeStart(turn, phase, fresh);
  const why = disk === null
    ? "it is empty, and the other host is not heard"
    : "its copy may be behind, and the other host is not heard: confirm that it is off, then start";
  if (why === phase.why) return;
  turn.go({ ...phase, why });
  turn.alarm("held", `The VM is not started: ${why}`);
}

/** What the peer's word means for a host that waits. */
function relation(peer: Word, state: GroupState): "gave way" | "empty" | "newer" | "unclear" {
  const { disk } = state;
  const mine = disk?.term ?? 0;
  if (bothWhole(state, peer) && durableEpoch(state) !== peer.epoch) {
    return durableEpoch(state) > peer.epoch ? "gave way" : "newer";
  }
  if (peer.role === ROLES.WAITING && peer.term > 0 && disk !== null) {
    // A copy that was given up is behind, whatever term its host has heard of since.
    const peerGaveUp = (peer.flags & FLAGS.PROMISED) !== 0;
    const gaveUp = disk.role === "backup" && disk.copy !== "whole";
    if (peerGaveUp !== gaveUp) return gaveUp ? "newer" : "gave way";
  }
  if (peer.role === ROLES.PRIMARY || peer.term > mine) return "newer";
  if (peer.role === ROLES.BACKUP) {
    // The copy that might have been newer is given up, or it was before this host's last run.
    const same = disk?.role === "primary" && peer.generation === disk.generation;
    const gaveWay = same || lastSolo(disk) || endedHere(disk);
    return (peer.flags & FLAGS.PROMISED) !== 0 && gaveWay ? "gave way" : "unclear";
  }
  if (peer.role !== ROLES.WAITING) {
    const ours = disk?.role === "primary" || disk?.copy === "whole";
    return peer.role !== ROLES.NONE && peer.term < mine && ours ? "gave way" : "unclear";
  }
  if (peer.term === 0) return "empty";
  return ownRank(disk) > rank(peer) ? "gave way" : "newer";
}

/** Two copies of one generation and term, neither of which has gone on. The one whose disks hold more epochs is the newer one: a reply may
 * have left on the strength of either one's journal, also of one that was given up before the other host went on alone. In different
 * terms the newer term is: it may have gone on alone, and its disks had all by then. */
function bothWhole(state: GroupState, peer: Word): boolean {
  const { disk } = state;
  if (disk === null || peer.term !== disk.term || peer.generation !== disk.generation) return false;
  // One that may be behind is not, when the other host has not written that it runs without it.
  const gaveUp = disk.role === "backup" && (disk.copy === "stale" || disk.copy === "behind");
  const peerGaveUp = (peer.flags & FLAGS.PROMISED) !== 0;
  if (disk.role === "stopped" || (peer.flags & FLAGS.LAST_SOLO) !== 0) return false;
  const waits = peer.role === ROLES.WAITING || (peer.role === ROLES.BACKUP && peerGaveUp);
  return waits && (gaveUp || disk.copy === "whole");
}

/** True when the copy that was given up here is newer than what the other host, which has started anew, holds. */
export function newerThanPeer(state: GroupState): boolean {
  const { peer } = state;
  return peer !== null && !state.silent && peer.role === ROLES.WAITING && bothWhole(state, peer) &&
    durableEpoch(state) > peer.epoch;
}

function ownRank(disk: Metadata | null): number {
  const term = disk?.term ?? 0;
  if (lastSolo(disk) || endedHere(disk)) return rank({ term, flags: FLAGS.LAST_SOLO });
  if (disk?.role === "primary") return rank({ term, flags: 0 });
  return rank({ term, flags: disk?.copy === "whole" ? FLAGS.COPY_WHOLE : FLAGS.PROMISED });
}

/** Of two hosts that both wait, the one with the greater rank has the newer copy. A former primary says no flag. */
function rank(word: { term: number; flags: number }): number {
  const { flags, term } = word;
  const has = (flag: number) => (flags & flag) !== 0;
  return term * 4 + (has(FLAGS.LAST_SOLO) ? 3 : has(FLAGS.PROMISED) ? 0 : has(FLAGS.COPY_WHOLE) ? 1 : 2);
}

function judgeStart(turn: Turn, phase: PhaseOf<"waiting">, gaveWay: boolean): void {
  const verdict = turn.judge("start", gaveWay);
  if (verdict.kind === "grant") return start(turn, turn.nextTerm(verdict.because));
  const why = verdict.kind === "ask" ? "asked" : verdict.why;
  if (why === phase.why) return;
  turn.go({ ...phase, why });
  const known = turn.state.disk?.term ?? 0;
  if (verdict.kind === "ask") turn.act({ kind: "ask", known, term: turn.nextTerm(), purpose: "start" });
  else turn.alarm("held", `The VM is not started: ${why}`);
}

/** Starts the VM from its disks. */
export function start(turn: Turn, term: number): void {
  turn.go({ kind: "starting", term, step: "writing" });
  turn.write({ generation: turn.state.disk?.generation ?? 0, term, role: "primary", copy: "none" });
}

function launch(turn: Turn, phase: PhaseOf<"starting">): void {
  turn.go({ ...phase, step: "launching" });
  turn.act({ kind: "launch" });
}

function inStarting(turn: Turn, phase: PhaseOf<"starting">, event: GroupEvent): void {
  if (event.kind === "written" && phase.step === "writing" && event.metadata.term === phase.term) {
    if (turn.state.qemu === "none") return launch(turn, phase);
    turn.go({ ...phase, step: "killing" });
    return turn.act({ kind: "kill_qemu" });
  }
  if (event.kind === "qemu_gone" && phase.step === "killing") return launch(turn, phase);
  if (event.kind === "launched") {
    return turn.act({ kind: "open", term: phase.term, cancelHandover: false, unless: "never" });
  }
  if (event.kind === "solo_open" && phase.step === "launching") return enterSolo(turn, phase.term);
  const failed = event.kind === "launch_failed" || event.kind === "write_failed" ||
    event.kind === "qemu_lost" ||
    event.kind === "engine_failed" || event.kind === "solo_refused";
  if (!failed) return;
  turn.alarm("start", `The VM could not be started: ${event.why}`);
  turn.act({ kind: "hold" }, { kind: "kill_qemu" });
  turn.go({ kind: "stopped", term: phase.term, why: event.why });
}

function inStopping(turn: Turn, phase: PhaseOf<"stopping">, event: GroupEvent): void {
  const { term, generation, alone, why } = phase;
  if (event.kind === "qemu_gone") {
    turn.write({ generation, term, role: "stopped", copy: alone ? "none" : "whole" });
  }
  const written = event.kind === "written" && event.metadata.role === "stopped";
  if (written || event.kind === "write_failed") turn.go({ kind: "stopped", term, why });
}

function inStopped(turn: Turn, phase: PhaseOf<"stopped">, event: GroupEvent): void {
  if (event.kind === "message" && event.message.kind === "invite") return considerInvite(turn, event.message);
  if (event.kind !== "command" || event.command !== "start") return;
  const { state } = turn;
  if (newerElsewhere(state, phase.term)) {
    return turn.alarm(
      "held",
      "The VM is not started here: the other host has a newer state of it; start it there",
    );
  }
  if (state.silent && state.disk?.copy !== "none") {
    // It may have gone on with its copy, unheard.
    turn.go({ kind: "waiting", why: "the other host is not heard", wantsStart: true });
    return turn.act({ kind: "check_silence" });
  }
  start(turn, turn.nextTerm());
}

/** The other host took part in a newer term than this one's VM, and has not given its state up. */
export function newerElsewhere(state: GroupState, term: number): boolean {
  const { peer, silent } = state;
  return !silent && peer !== null && peer.term > term && (peer.flags & FLAGS.PROMISED) === 0;
}
