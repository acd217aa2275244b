/** The decision: what a host does at each event. Pure: no clock, no I/O, no chance. The simulator runs this very code.
 *
 *   waiting ──► starting ──► solo ◄──────────────────── going_solo ◄─┐
 *      │                      │ invite, accept               ▲        │ grant
 *      │                      ▼                              │        │
 *      │                   syncing ──► protected ──► deciding (output held) ◄── handing
 *      │                                                     └─► yielded (QEMU died)
 *      └──► joining ──► receiving ──► ready ──► asking ──► promoting ──► solo
 *                           └────────────┴──► abandoning ──► stale (promised)
 *   any with a VM, at a newer term: fencing ──► waiting
 */

import { backupStep } from "./step_backup.ts";
import { fence, primaryStep } from "./step_primary.ts";
import { waitingStep } from "./step_waiting.ts";
import { Turn } from "./turn.ts";
import {
  FLAGS,
  type GroupEvent,
  type GroupState,
  ROLES,
  type Settings,
  type Step,
  type Word,
} from "./types.ts";

/** A host before its first event. */
export function beginState(settings: Settings): GroupState {
  return {
    settings,
    phase: { kind: "off" },
    disk: null,
    silent: false,
    lanAnswers: false,
    lanTrust: "suspect",
    lanHeard: false,
    silenceChecked: false,
    links: [false, false],
    peer: null,
    heard: 0,
    confirmedOff: false,
    qemu: "none",
    common: 0,
    said: { generation: 0, term: 0, epoch: 0, role: ROLES.NONE, flags: 0 },
    durable: null,
    refused: 0,
    refusedWhy: "",
    refusal: "",
    trouble: null,
    witness: settings.arbiter.remote ? "unknown" : "none",
  };
}

/** What `state` becomes at `event`, and what is to be done, in order. Never throws. */
export function step(state: GroupState, event: GroupEvent): Step {
  const turn = new Turn(state);
  learn(turn, event);
  if (event.kind === "word" && overtaken(turn, event.word)) {
    fence(turn, `the other host has the VM in term ${event.word.term}`);
    return turn.end();
  }
  switch (turn.phase.kind) {
    case "off":
    case "waiting":
    case "starting":
    case "fencing":
    case "stopping":
    case "stopped":
    case "diverged":
      waitingStep(turn, event);
      break;
    case "solo":
    case "syncing":
    case "protected":
    case "deciding":
    case "going_solo":
    case "handing":
    case "asynchronous":
    case "yielded":
      primaryStep(turn, event);
      break;
    case "joining":
    case "receiving":
    case "ready":
    case "behind":
    case "asking":
    case "promoting":
    case "abandoning":
    case "stale":
      backupStep(turn, event);
      break;
    default:
      turn.phase satisfies never;
  }
  return turn.end();
}

/** Facts that hold in every phase. */
function learn(turn: Turn, event: GroupEvent): void {
  const { state } = turn;
  switch (event.kind) {
    case "peer":
      return learnSilence(turn, event);
    case "own_stall":
      state.lanTrust = "isolated";
      state.silenceChecked = false;
      // Long enough for silence to be noticed anew, if there is silence.
      turn.act({ kind: "set_timer", timer: "lan", after: "second" });
      break;
    case "path":
      if (event.path === 2) learnLanPath(turn, event.alive);
      break;
    case "timer":
      if (event.timer === "lan") lanTimer(turn);
      if (event.timer === "trouble") troubleTimer(turn);
      break;
    case "granted":
      learnGrant(turn, event.term);
      break;
    case "witness":
      learnWitness(turn, event);
      break;
    case "begin":
      state.durable = event.durable;
      break;
    case "word":
      state.peer = event.word;
      if (event.word.role === ROLES.PRIMARY) state.heard = Math.max(state.heard, event.word.term);
      break;
    case "link":
      state.links = event.link === 0 ? [event.up, state.links[1]] : [state.links[0], event.up];
      break;
    case "written":
      state.disk = event.metadata;
      break;
    case "launched":
    case "promoted":
      state.qemu = "primary";
      break;
    case "standing":
      state.qemu = "standby";
      break;
    case "qemu_gone":
      state.qemu = "none";
      break;
    case "peer_replaced":
      return replacePeer(turn, event.yieldsTies);
    case "command":
      if (event.command === "confirm_peer_off") state.confirmedOff = state.silent;
      if (event.command === "protect") state.settings = { ...state.settings, autoProtect: true };
      if (event.command === "unprotect") state.settings = { ...state.settings, autoProtect: false };
      break;
    default:
      break;
  }
}

/** Only of a VM that runs alone. What was said by the old peer, and to it, counts no more; the terms that were heard do. */
function replacePeer(turn: Turn, yieldsTies: boolean): void {
  const { state, phase } = turn;
  if (phase.kind !== "solo") return;
  const forgotten: Partial<typeof state> = {
    settings: { ...state.settings, yieldsTies },
    ...{ peer: null, silent: true, silenceChecked: false, confirmedOff: false, links: [false, false] },
    ...{ lanTrust: "suspect", lanHeard: false, lanAnswers: false, common: 0, refusal: "", trouble: null },
  };
  Object.assign(state, forgotten);
  turn.go({ ...phase, invite: null });
  // The old one is to be refused by whoever it asks, and a copy on its way to it is none.
  if (state.settings.arbiter.remote) turn.act({ kind: "note_term", term: phase.term });
  turn.write({ generation: state.disk?.generation ?? 0, term: phase.term, role: "primary", copy: "none" });
}

/** A grant that nobody waits for any more is given back, else the other host could not be granted anything. */
function learnGrant(turn: Turn, term: number): void {
  const { kind } = turn.phase;
  turn.state.refusedWhy = "";
  if (kind !== "deciding" && kind !== "asking" && kind !== "waiting") {
    turn.act({ kind: "release_term", term });
  }
}

function learnWitness(turn: Turn, event: Extract<GroupEvent, { kind: "witness" }>): void {
  const { state } = turn;
  const now = event.reachable ? "reachable" : "lost";
  if (state.witness === now) return;
  if (!event.reachable) {
    turn.alarm("witness", `No automatic takeover while the arbiter is not reachable: ${event.why}`);
  } else if (state.witness === "lost") turn.alarm("witness-back", "The arbiter is reachable again");
  state.witness = now;
}

/** What failed here may be tried again; after a minute as a backup without trouble it is forgotten. */
function troubleTimer(turn: Turn): void {
  const { state } = turn;
  if (state.trouble === null) return;
  const well = state.trouble.over && (turn.phase.kind === "ready" || turn.phase.kind === "protected");
  state.trouble = well ? null : { ...state.trouble, over: true };
}

function learnSilence(turn: Turn, event: Extract<GroupEvent, { kind: "peer" }>): void {
  const { state } = turn;
  const began = event.silent && !state.silent;
  const lanChanged = event.lanAnswers !== state.lanAnswers;
  if (!event.silent) {
    // The path on the LAN stays dead while another is alive: its end was not the peer's end.
    if (state.silent && state.lanTrust === "dying") state.lanTrust = "suspect";
    // What is heard first may be old. It counts when there is no silence for a while.
    if (state.silent && state.lanTrust === "isolated") {
      turn.act({ kind: "set_timer", timer: "lan", after: "second" });
    }
  } else if (state.lanTrust !== "isolated" && (!event.lanAnswers || (lanChanged && !began))) {
    // Cut off itself when the silence began: the peer may have gone on alone, and ended, before the LAN was back.
    state.lanTrust = began && !event.lanAnswers ? "isolated" : "suspect";
  }
  state.silent = event.silent;
  state.lanAnswers = event.lanAnswers;
  state.silenceChecked = event.checked;
  if (!event.silent) state.confirmedOff = false;
  if (event.silent && state.lanTrust === "suspect" && (began || lanChanged)) {
    turn.act({ kind: "set_timer", timer: "lan", after: "takeover" });
  }
}

function learnLanPath(turn: Turn, alive: boolean): void {
  const { state } = turn;
  state.lanHeard = alive;
  if (alive && state.lanTrust !== "isolated") state.lanTrust = "ok";
  else if (state.lanTrust === "ok") {
    state.lanTrust = "dying";
    turn.act({ kind: "set_timer", timer: "lan", after: "takeover" });
  }
}

function lanTimer(turn: Turn): void {
  const { state } = turn;
  if (!state.silent) {
    state.lanTrust = state.lanHeard ? "ok" : "suspect";
  } else if (!state.lanAnswers) state.lanTrust = "isolated";
  // The LAN has answered for as long as a living peer would have needed to be heard on it.
  else if (state.lanTrust === "suspect") {
    state.lanTrust = "ok";
    state.silenceChecked = false;
  }
}

/** True when this host's VM is a zombie: the other one has it, or had it, in a newer term. */
function overtaken(turn: Turn, word: Word): boolean {
  if (turn.state.settings.termCheck === false) return false;
  // Started anew, and by what it wrote it has, or may have, run the VM in its term.
  const ran = word.role === ROLES.WAITING && (word.flags & (FLAGS.PROMISED | FLAGS.COPY_WHOLE)) === 0;
  const has = word.role === ROLES.PRIMARY || word.role === ROLES.YIELDED || word.role === ROLES.STOPPED;
  if (!has && !ran) return false;
  const { phase } = turn;
  switch (phase.kind) {
    case "solo":
      if (word.role === ROLES.PRIMARY && word.term === phase.term) {
        return turn.state.settings.yieldsTies === true;
      }
      return word.term > phase.term;
    case "syncing":
    case "protected":
    case "deciding":
    case "going_solo":
    case "handing":
    case "asynchronous":
      return word.term > phase.term;
    // Not running yet: the one that runs in the same term wins.
    case "starting":
      return word.role === ROLES.PRIMARY && word.term >= phase.term;
    case "promoting":
      return phase.step === "restoring" && word.role === ROLES.PRIMARY && word.term >= phase.next;
    default:
      return false;
  }
}
