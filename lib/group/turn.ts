/** One step in the making: the state that it will leave, and the actions so far. The only place that assigns a phase. */

import type { Question, Verdict } from "./arbiter.ts";
import {
  type Action,
  FLAGS,
  type GroupState,
  type Metadata,
  type Phase,
  ROLES,
  type Step,
  type Word,
} from "./types.ts";

/** More terms than a host is granted alone between two looks at it. */
const ORDERED = 1000;

/** More than any epoch's number, and exact. */
export const EPOCH_MAX = 2 ** 48;

/** The phase of this kind. */
export type PhaseOf<Kind extends Phase["kind"]> = Extract<Phase, { kind: Kind }>;

export class Turn {
  state: GroupState;
  readonly actions: Action[] = [];
  /** The operator starts a copy that is known to be behind. */
  insists = false;

  constructor(state: GroupState) {
    this.state = { ...state };
  }

  get phase(): Phase {
    return this.state.phase;
  }

  go(phase: Phase): void {
    this.state.phase = phase;
  }

  act(...actions: Action[]): void {
    this.actions.push(...actions);
  }

  alarm(code: string, text: string): void {
    this.act({ kind: "alarm", code, text });
  }

  write(metadata: Omit<Metadata, "peer" | "epoch"> & { epoch?: number }): void {
    const epoch = metadata.epoch ?? this.state.disk?.epoch ?? 0;
    this.act({ kind: "write", metadata: { ...metadata, epoch, peer: this.state.settings.peerName } });
  }

  /** A term that nobody known here has used. One that the operator orders also outranks those that a host which is away may have been
   * granted meanwhile: an order is not undone by its return. */
  nextTerm(because?: string): number {
    const { disk, peer, heard, phase, refused } = this.state;
    const own = "term" in phase ? phase.term : 0;
    return Math.max(own, disk?.term ?? 0, peer?.term ?? 0, heard, refused) +
      (because === "operator" ? ORDERED : 1);
  }

  /** The arbiter that is elsewhere refused, or did not answer: it is asked again in a second. */
  refused(phase: Extract<Phase, { why: string }>, answer: { why: string; term: number }): void {
    const { state } = this;
    state.refused = Math.max(state.refused, answer.term);
    if (state.refusedWhy !== answer.why) this.alarm("held", answer.why);
    state.refusedWhy = answer.why;
    this.go({ ...phase, why: answer.why });
    this.act({ kind: "set_timer", timer: "decide", after: "second" });
  }

  /** Asks the arbiter. Silence counts only when it was looked at again after the last change. */
  judge(purpose: Question["purpose"], peerGaveWay: boolean): Verdict {
    const { silent, silenceChecked, confirmedOff, settings } = this.state;
    const { lanTrust } = this.state;
    const lanAnswers = this.state.lanAnswers && (lanTrust === "ok" || lanTrust === "dying");
    return settings.arbiter.judge({
      purpose,
      silent: silent && silenceChecked,
      lanAnswers,
      peerGaveWay,
      confirmedOff,
    });
  }

  /** Ends the turn: says the word anew when it has changed. */
  end(): Step {
    const word = wordOf(this.state);
    if (!sameWord(word, this.state.said)) {
      this.state.said = word;
      this.act({ kind: "say", word });
    }
    return { state: this.state, actions: this.actions };
  }
}

function sameWord(a: Word, b: Word): boolean {
  return a.role === b.role && a.flags === b.flags && a.term === b.term && a.generation === b.generation &&
    a.epoch === b.epoch;
}

/** True when the peer promised that its copy of this term and generation will not be started. */
export function promised(peer: Word | null, copy: { term: number; generation: number }): boolean {
  // Its term is newer when it had written a promotion that was then refused.
  return peer !== null && (peer.flags & FLAGS.PROMISED) !== 0 && peer.term >= copy.term &&
    peer.generation === copy.generation;
}

/** True when this host, by what it wrote, ran last while no other copy could be started. */
export function lastSolo(disk: Metadata | null): boolean {
  return disk !== null && disk.role === "primary" && (disk.copy === "none" || disk.copy === "partial");
}

/** True when the VM was ended on purpose here: nothing newer exists unless the other host says so, and only an order starts it. */
export function endedHere(disk: Metadata | null): boolean {
  return disk?.role === "stopped";
}

/** True when the peer asks for a promise while this waiting host has no copy of what it asks about. */
function mayPromiseAtOnce(state: GroupState): boolean {
  const { peer, disk } = state;
  if (peer === null || (peer.flags & FLAGS.ASKS_PROMISE) === 0) return false;
  return disk === null || disk.role !== "backup" || disk.copy !== "whole" ||
    disk.generation !== peer.generation;
}

function waitingWord(state: GroupState, asks: boolean): Word {
  const { disk, peer } = state;
  if (peer !== null && peer.term >= (disk?.term ?? 0) && mayPromiseAtOnce(state) && !asks) {
    const { term, generation } = peer;
    const epoch = generation === disk?.generation ? durableEpoch(state) : 0;
    return { generation, term, epoch, role: ROLES.WAITING, flags: FLAGS.PROMISED };
  }
  let flags = asks ? FLAGS.ASKS_PROMISE : 0;
  if (lastSolo(disk) || endedHere(disk)) flags |= FLAGS.LAST_SOLO;
  const epoch = durableEpoch(state);
  // A copy that is partial or stale is not started by its host: to say so is a promise that is written down already.
  if (disk?.role === "backup") flags |= disk.copy === "whole" ? FLAGS.COPY_WHOLE : FLAGS.PROMISED;
  return { generation: disk?.generation ?? 0, term: disk?.term ?? 0, epoch, role: ROLES.WAITING, flags };
}

/** How far the disks of this host are in the generation that it wrote down; 0: not known, or they are a part of a copy. */
export function durableEpoch(state: GroupState): number {
  const { durable, disk } = state;
  if (disk?.role === "backup" && disk.copy === "partial") return 0;
  return durable !== null && durable.generation === disk?.generation ? durable.epoch : 0;
}

/** A restarted primary wants a promise from a backup whose copy is not whole, or is older than its own last run. */
export function wantsPromise(state: GroupState): boolean {
  const { peer, disk } = state;
  return disk?.role === "primary" && peer !== null && peer.role === ROLES.BACKUP && peer.term <= disk.term &&
    (peer.flags & FLAGS.PROMISED) === 0 &&
    ((peer.flags & FLAGS.COPY_WHOLE) === 0 || (peer.term < disk.term));
}

/** What the heartbeats say in this state. */
export function wordOf(state: GroupState): Word {
  const { phase, disk } = state;
  const own = { generation: disk?.generation ?? 0, term: disk?.term ?? 0, epoch: 0 };
  const say = (role: number, flags = 0, at: { generation?: number; term: number } = own): Word => ({
    generation: at.generation ?? own.generation,
    term: at.term,
    epoch: 0,
    role,
    flags,
  });
  switch (phase.kind) {
    case "off":
      return say(ROLES.NONE);
    case "waiting":
      return waitingWord(state, wantsPromise(state));
    case "starting":
      return phase.step === "launching"
        ? say(ROLES.PRIMARY, 0, { term: phase.term })
        : waitingWord(state, false);
    case "solo":
      return say(ROLES.PRIMARY, 0, { term: phase.term });
    case "syncing":
    case "protected":
      return say(ROLES.PRIMARY, 0, phase);
    case "deciding": {
      const asks = phase.bound || phase.cause !== "silence" ? FLAGS.ASKS_PROMISE : 0;
      return phase.handed ? say(ROLES.YIELDED, asks | FLAGS.HANDED, phase) : say(ROLES.PRIMARY, asks, phase);
    }
    case "going_solo":
      return phase.handed ? say(ROLES.YIELDED, FLAGS.HANDED, phase) : say(ROLES.PRIMARY, 0, phase);
    case "handing":
      return phase.step === "last" ? say(ROLES.PRIMARY, 0, phase) : say(ROLES.YIELDED, FLAGS.HANDED, phase);
    case "asynchronous":
      return say(ROLES.PRIMARY, phase.step === "returning" ? FLAGS.COPY_WHOLE : FLAGS.ASKS_BEHIND, phase);
    case "yielded":
      return say(ROLES.YIELDED, 0, phase);
    case "joining":
    case "receiving":
    case "abandoning":
      return say(ROLES.BACKUP, 0, phase);
    case "ready":
    case "asking":
      return say(ROLES.BACKUP, FLAGS.COPY_WHOLE, phase);
    case "promoting":
      return phase.step === "restoring"
        ? say(ROLES.PRIMARY, 0, { term: phase.next, generation: phase.generation })
        : say(ROLES.BACKUP, FLAGS.COPY_WHOLE, phase);
    case "behind": {
      // Of a primary that has not written that it runs without this copy nothing ever left that is not here.
      const flags = phase.step === "written" ? FLAGS.BEHIND | FLAGS.PROMISED : 0;
      return { ...say(ROLES.BACKUP, flags, phase), epoch: EPOCH_MAX };
    }
    case "stale":
      return { ...say(ROLES.BACKUP, FLAGS.PROMISED, phase), epoch: durableEpoch(state) };
    case "diverged":
      return say(ROLES.WAITING, FLAGS.PROMISED | FLAGS.DIVERGED);
    case "fencing":
      return say(ROLES.NONE);
    case "stopping":
      return say(ROLES.PRIMARY, 0, phase);
    case "stopped":
      return say(ROLES.STOPPED, 0, { term: phase.term });
    default:
      return phase satisfies never;
  }
}
