/** The vocabulary of the decision: what a host knows, what happens to it, what it does. Data only. */

import type { Arbiter } from "./arbiter.ts";

/** What a heartbeat says of a host (isf_say's role). Zero is what nobody says. */
export const ROLES = {
  NONE: 0,
  /** No VM here, and nothing that could become one without being asked. */
  WAITING: 1,
  /** The VM is here: it runs, or stands still until its output may leave; or it is being started under a grant. */
  PRIMARY: 2,
  /** Receives or keeps a copy. */
  BACKUP: 3,
  /** Was primary in this term; its VM is gone (or handed over) and will not run again in it. */
  YIELDED: 4,
  /** The VM was ended on purpose. */
  STOPPED: 5,
} as const;

/** What a heartbeat says beside the role (isf_say's flags); each of the word's own term and generation. */
export const FLAGS = {
  /** Backup: my copy is whole, and my metadata say so. */
  COPY_WHOLE: 1,
  /** My copy will not be started: written down durably before it is said. */
  PROMISED: 2,
  /** Primary: I want to go on without you; promise. */
  ASKS_PROMISE: 4,
  /** Waiting: I ran last, and no other copy was whole then. */
  LAST_SOLO: 8,
  /** Yielded: by a switchover; the copy's last epoch is the VM's last. */
  HANDED: 16,
  /** Backup: my copy may be behind what was let out, and I know it: written down durably before it is said. */
  BEHIND: 32,
  /** Primary: I want to let output leave before it is committed; say that your copy may be behind. */
  ASKS_BEHIND: 64,
  /** Waiting: this host's VM and the other's both ran; a person has to say which one is to go on. */
  DIVERGED: 128,
} as const;

/** A heartbeat's word. */
export interface Word {
  generation: number;
  term: number;
  epoch: number;
  role: number;
  flags: number;
}

/** What a host remembers across a power loss (metadata.ts). */
export interface Metadata {
  /** Names one copying from one primary to one backup. 0: none yet. */
  generation: number;
  /** The newest term that this host has taken part in. */
  term: number;
  role: "primary" | "backup" | "stopped";
  /** Newest whole epoch that is known here; a hint, for people. */
  epoch: number;
  /** Of the copy that is NOT the running VM: on a primary what the peer may have, on a backup what is here. "behind": whole, but
   * output of later epochs has left: started only when the operator says so. "diverged": this host's VM ran, and the other one's did,
   * without it. */
  copy: "none" | "partial" | "whole" | "stale" | "behind" | "diverged";
  /** Name of the other host. */
  peer: string;
}

/** Messages between the two runners, over the replication lines. They may be lost; none may arrive twice. */
export type Message =
  | { kind: "invite"; term: number; generation: number; keepGeneration: number }
  | { kind: "accept"; term: number; generation: number; keep: boolean }
  | { kind: "refuse"; term: number; generation: number; why: string };

/** Why a host that has a VM or a copy asks the arbiter. */
export type Cause =
  | "silence"
  | "links"
  | "promised"
  | "copy-lost"
  | "stall"
  | "engine"
  | "yielded"
  | "handed"
  | "operator";

/** What this host's disks hold by their own journals: all writes of the epochs of `generation` up to `epoch`. */
export interface Durable {
  generation: number;
  epoch: number;
}

/** Where a host is. Each carries only what this state has; `term` is the one that the engine works under. */
export type Phase =
  | { kind: "off" }
  | { kind: "waiting"; why: string; wantsStart: boolean }
  | { kind: "starting"; term: number; step: "writing" | "killing" | "launching" }
  | { kind: "solo"; term: number; invite: Invite | null }
  | { kind: "syncing"; term: number; generation: number; leaving: boolean }
  | { kind: "protected"; term: number; generation: number }
  /** `bound`: a newer term is written, so protection cannot simply go on. `why`: what the arbiter said last. */
  | {
    kind: "deciding";
    term: number;
    generation: number;
    cause: Cause;
    bound: boolean;
    handed: boolean;
    why: string;
  }
  | {
    kind: "going_solo";
    term: number;
    generation: number;
    next: number;
    handed: boolean;
    unless: "heard" | "never";
    step: "writing" | "opening";
  }
  | { kind: "handing"; term: number; generation: number; step: "last" | "offered" }
  /** Output leaves before it is committed (on), under the backup's written word that its copy may be behind. */
  | { kind: "asynchronous"; term: number; generation: number; step: AsynchronousStep; why: string }
  | { kind: "yielded"; term: number; generation: number }
  | { kind: "joining"; term: number; generation: number; keep: boolean; step: "writing" | "launching" }
  /** `unused`: a term that was granted for a promotion that did not take place; given back once the copy is written down. */
  | {
    kind: "receiving";
    term: number;
    generation: number;
    keep: boolean;
    step: "copying" | "marking";
    unused?: number;
  }
  | { kind: "ready"; term: number; generation: number }
  /** Receives on, but output of later epochs has left: only the operator starts this copy. */
  | { kind: "behind"; term: number; generation: number; step: "writing" | "written" | "returning" }
  /** `unsure`: the metadata may say already that this host went on. */
  | { kind: "asking"; term: number; generation: number; cause: Cause; why: string; unsure?: true }
  | {
    kind: "promoting";
    term: number;
    generation: number;
    next: number;
    unless: "heard" | "unheard";
    step: "writing" | "checking" | "restoring";
  }
  | { kind: "abandoning"; term: number; generation: number }
  /** The copy is given up. `unwritten`: its host cannot write that down, and has ended the copy's QEMU instead. */
  | { kind: "stale"; term: number; generation: number; unwritten?: true }
  /** This host's VM ran, and so did the other one's, which did not go on from here: a person picks. */
  | { kind: "diverged"; term: number; why: string; step: "shown" | "keeping" | "writing" }
  /** `yields`: the copy that may go on in this VM's place. */
  | {
    kind: "fencing";
    term: number;
    why: string;
    yields: { term: number; generation: number } | null;
    diverged: boolean;
  }
  /** `alone`: no other host can hold a whole copy of what it was. */
  | { kind: "stopping"; term: number; generation: number; alone: boolean; why: string }
  | { kind: "stopped"; term: number; why: string };

/** asking: that the backup writes down that it may be behind. writing: that this host may start alone. on: output leaves at once.
 * closing: output waits again. marking: that the copy counts again. returning: until the backup has written that it does. */
export type AsynchronousStep = "asking" | "writing" | "on" | "closing" | "marking" | "returning";

/** An invitation to be the backup, on its way. */
export interface Invite {
  generation: number;
  step: "writing" | "sent" | "agreed";
}

/** Everything that `step` knows. */
export interface GroupState {
  settings: Settings;
  phase: Phase;
  /** What is durably written; null: nothing yet. */
  disk: Metadata | null;
  /** All paths to the peer are silent. */
  silent: boolean;
  /** The reference on the LAN answers. */
  lanAnswers: boolean;
  /** What `lanAnswers` is worth. "ok": the peer was heard on the LAN until just now, or would have been. "dying": its
   * heartbeats there have just ended. "suspect": they ended long before the others, or the LAN has just come back, so
   * that the peer may be there without having been heard yet. "isolated": this host heard neither peer nor LAN for so
   * long that the peer may have gone on, and may even have ended since: only the peer, or the operator, can tell. */
  lanTrust: "ok" | "dying" | "suspect" | "isolated";
  /** The peer is heard on the LAN. */
  lanHeard: boolean;
  /** Silence was looked at again after the last event that changed it. */
  silenceChecked: boolean;
  links: readonly [boolean, boolean];
  /** The peer's newest word. */
  peer: Word | null;
  /** The greatest term in which the peer said that it has the VM. */
  heard: number;
  /** The operator said that the other host is off; forgotten when it is heard. */
  confirmedOff: boolean;
  /** What QEMU is here. */
  qemu: "none" | "primary" | "standby";
  /** Generation of the intact copy in this process's memory (backup), or of the last protection (primary); 0: none. */
  common: number;
  /** The word that was said last. */
  said: Word;
  /** What the disks held when this runner began; null: not known. */
  durable: Durable | null;
  /** The newest term of which an arbiter elsewhere said that the other host has it, and its last refusal. */
  refused: number;
  refusedWhy: string;
  /** Why the other host refused to be the backup; "": it did not. */
  refusal: string;
  /** Why this host cannot be a backup for now, and how often that was so in a row; null: it can. */
  trouble: { why: string; count: number; over: boolean } | null;
  /** Whether the arbiter that is elsewhere can be reached; "none": there is no such. */
  witness: "none" | "unknown" | "reachable" | "lost";
}

/** What does not change while the runner lives. */
export interface Settings {
  arbiter: Arbiter;
  peerName: string;
  /** Without a commit for the stall bound: wait for the backup, or go on without it. */
  onStall: "wait" | "solo";
  /** Bring a backup up whenever there is one. The operator's protect and unprotect change it for this runner. */
  autoProtect: boolean;
  /** Both hosts were told to go on, and took the same term: this one gives way. Set on one of the two. */
  yieldsTies?: boolean;
  /** False for tests only: a newer term elsewhere does not end the VM here. */
  termCheck?: boolean;
}

/** What happens to a host. */
export type GroupEvent =
  | { kind: "begin"; metadata: Metadata | null; start: boolean; durable: Durable | null }
  /** Heartbeats; `checked`: read just now, in answer to check_silence. */
  | { kind: "peer"; silent: boolean; lanAnswers: boolean; checked: boolean }
  /** This host's heartbeats stood still for as long as a takeover takes (it was frozen): the peer may have gone on. */
  | { kind: "own_stall" }
  /** A heartbeat path: 0 link A, 1 link B, 2 LAN. */
  | { kind: "path"; path: number; alive: boolean }
  | { kind: "word"; word: Word }
  | { kind: "link"; link: 0 | 1; up: boolean }
  | { kind: "message"; message: Message }
  | { kind: "protected" }
  | { kind: "whole"; epoch: number }
  | { kind: "stalled" }
  | { kind: "handed" }
  | { kind: "qemu_lost"; why: string }
  | { kind: "guest_off" }
  | { kind: "engine_failed"; why: string }
  | { kind: "disk_failed"; why: string }
  /** The sync ended, the VM runs on alone as before. `resumable`: what the backup has need not go again. */
  | { kind: "sync_failed"; why: string; resumable: boolean }
  /** No more checkpoints of this generation, the output is held; the VM itself still runs. */
  | { kind: "protection_failed"; why: string }
  /** All that ever left is contained in a committed epoch again. */
  | { kind: "synchronous" }
  /** The ladder (ladder.ts) wants output to leave before its commit, or not any more. */
  | { kind: "pace"; wants: "asynchronous" | "synchronous"; why: string }
  /** The answers to `ask`; `known` is the question's. */
  | { kind: "granted"; term: number; known: number }
  | { kind: "refused"; why: string; term: number }
  | { kind: "witness"; reachable: boolean; why: string }
  /** While it runs alone: the peer is another one from now on, of which nothing is known. The old one is not heard any more, whatever it says. */
  | { kind: "peer_replaced"; yieldsTies: boolean }
  | { kind: "command"; command: Command }
  | { kind: "timer"; timer: Timer }
  | { kind: "written"; metadata: Metadata }
  | { kind: "write_failed"; why: string }
  /** The answers to actions. */
  | { kind: "launched" }
  | { kind: "launch_failed"; why: string }
  | { kind: "qemu_gone" }
  | { kind: "kept"; where: string }
  | { kind: "keep_failed"; why: string }
  | { kind: "solo_open"; term: number }
  | { kind: "solo_refused"; term: number; why: "overtaken" | "not_this_term" }
  | { kind: "standing" }
  | { kind: "standby_failed"; why: string }
  | { kind: "promoted" }
  | { kind: "promote_refused" }
  | { kind: "promote_failed"; why: string };

/** What an operator may say. `unprotect`: the VM goes on alone, and no backup is invited until `protect`. `promote`: start the copy that may be behind; `discard`: of two VMs that both ran, this host's is given
 * up (its disks are kept as a restore point). */
export type Command =
  | "start"
  | "switchover"
  | "stop"
  | "confirm_peer_off"
  | "protect"
  | "unprotect"
  | "yield"
  | "promote"
  | "discard";

/** A timer that is set again forgets its earlier setting. */
export type Timer = "links" | "lan" | "invite" | "handing" | "decide" | "trouble";

/** What a host is to do. Slow ones (write, launch, open, stand_by, promote, kill_qemu) are done one after the other, in
 * order, and answer by an event; the others at once. After a stall of its own (a gap in its turns of more than three
 * heartbeats: it was frozen) a runner waits for the takeover time before open or promote, so that it has heard what it
 * missed; then it checks `unless`. */
export type Action =
  /** Answer: written, or write_failed. Nothing that needs it is done before. With a role other than backup it is written only when
   * this host's journals hold all that its VM, or its copy, had until then: after a power loss what is written decides whose disks count. */
  | { kind: "write"; metadata: Metadata }
  | { kind: "say"; word: Word }
  | { kind: "send"; message: Message }
  /** Start QEMU stopped and attach the engine. Answer: launched, or launch_failed. */
  | { kind: "launch" }
  /** Open the gate in `term` (engine solo), continue the VM if it stands, announce it. `unless: "heard"`: if a path is
   * alive at that very moment do nothing and answer solo_refused overtaken. When the engine refuses the term, or the
   * peer says PRIMARY in it or a newer one: solo_refused not_this_term. Answer, with that term: solo_open; solo_refused. */
  | { kind: "open"; term: number; cancelHandover: boolean; unless: "heard" | "never" }
  | { kind: "sync"; generation: number; term: number; changedOnly: boolean }
  | { kind: "hold" }
  | { kind: "handover" }
  | { kind: "cancel_handover" }
  /** Engine standby, with a standby QEMU beside it. Answer: standing, or standby_failed. */
  | { kind: "stand_by"; generation: number; term: number; keep: boolean }
  /** Engine promote, restore, solo, continue, announce. `unless`: "heard" as in open; "unheard": if the peer, which gave
   * way, was not heard within the takeover time (this host was frozen, perhaps, and the peer has taken the VM back).
   * Also not if the peer says PRIMARY in this term or a newer one. Answer: promoted; promote_refused (nothing was
   * done); promote_failed (the copy is used up). */
  | { kind: "promote"; term: number; unless: "heard" | "unheard" }
  /** Answer: qemu_gone. */
  | { kind: "kill_qemu" }
  /** Ask the arbiter that is elsewhere for a term of at least `term`, having taken part in `known`. Answer: granted, refused. */
  | { kind: "ask"; known: number; term: number; purpose: "solo" | "promote" | "start" }
  /** Tell the arbiter that is elsewhere, until it has heard it, that this host holds `term`; a later one replaces it. */
  | { kind: "note_term"; term: number }
  /** Backup: tell the primary what was committed (on), or not: it then lets nothing more out on the strength of this copy. */
  | { kind: "commits"; on: boolean }
  /** Give a granted term back, until it was heard: it will not be used. */
  | { kind: "release_term"; term: number }
  /** Primary: the guest's flushes are answered when this host's journals hold what they are for (on); or at once, while either host's count. */
  | { kind: "flushes_wait"; on: boolean }
  /** Output leaves at once, in `term`, while epochs go on (on); or waits for its commit again (off; then synchronous). */
  | { kind: "asynchronous"; on: boolean; term: number }
  /** Keep the disks as they are now as a restore point. Answer: kept, keep_failed. */
  | { kind: "keep_disks"; label: string }
  /** Read silence from the status page now. Answer: peer, checked. */
  | { kind: "check_silence" }
  | { kind: "set_timer"; timer: Timer; after: "takeover" | "second" | "bound" | "minute" }
  | { kind: "alarm"; code: string; text: string };

/** What a step gives back. */
export interface Step {
  state: GroupState;
  actions: Action[];
}
