/** The decisions of a host that runs the VM alone: it looks for a backup, invites it, and brings it up to date. */

import { decide } from "./step_deciding.ts";
import { cutOff, lossOf, watchLinks } from "./step_losses.ts";
import { enterSolo } from "./step_primary.ts";
import { type PhaseOf, promised, type Turn } from "./turn.ts";
import { type GroupEvent, type Message, ROLES } from "./types.ts";

/** Invites the other host to be the backup, when there is one that could. */
export function invite(turn: Turn): void {
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

export function inSolo(turn: Turn, phase: PhaseOf<"solo">, event: GroupEvent): void {
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
      if (phase.invite?.step !== "sent") return inviteAgain(turn);
      // Not answered: the same invitation again, while there is somebody to hear it.
      if (turn.state.silent || peer === null) return turn.go({ ...phase, invite: null });
      return sendInvite(turn, phase);
    case "link":
      // A line that has just come up: whoever waits for an answer need not wait for the next try.
      if (event.up && phase.invite?.step === "sent") return sendInvite(turn, phase);
      return invite(turn);
    case "word":
      // After a refusal the next invitation waits for its timer.
      if (!turn.state.refusal) invite(turn);
      return;
    case "command":
      if (event.command === "unprotect") return uninvite(turn, phase);
      return invite(turn);
    case "peer":
      return invite(turn);
    default:
      return;
  }
}

/** An invitation that was not agreed to is forgotten: its answer will find nobody. One that was ends as soon as the sync has begun. */
function uninvite(turn: Turn, phase: PhaseOf<"solo">): void {
  if (phase.invite !== null && phase.invite.step !== "agreed") turn.go({ ...phase, invite: null });
}

/** After a refusal only this timer brings the next invitation: it goes on while there is nobody to invite. */
function inviteAgain(turn: Turn): void {
  invite(turn);
  const { phase, refusal } = turn.state;
  if (phase.kind !== "solo" || phase.invite !== null || !refusal) return;
  turn.act({ kind: "set_timer", timer: "invite", after: "bound" });
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
    if (turn.state.refusal !== message.why) {
      turn.alarm("refused", `The other host refused to be the backup: ${message.why}`);
    }
    turn.state.refusal = message.why;
    turn.act({ kind: "set_timer", timer: "invite", after: "bound" });
    return turn.go({ ...phase, invite: null });
  }
  if (message.kind !== "accept" || phase.invite.step !== "sent") return;
  turn.state.refusal = "";
  if (!message.keep) turn.state.common = 0;
  // From here on the copy may become whole without our knowing: this is written before the first byte goes.
  turn.go({ ...phase, invite: { ...phase.invite, step: "agreed" } });
  turn.write({ generation: message.generation, term: phase.term, role: "primary", copy: "whole" });
}

export function inSyncing(turn: Turn, phase: PhaseOf<"syncing">, event: GroupEvent): void {
  watchLinks(turn, event);
  if (event.kind === "protected") {
    turn.state.common = phase.generation;
    turn.go({ kind: "protected", term: phase.term, generation: phase.generation });
    if (!turn.state.settings.autoProtect) decide(turn, { ...phase, cause: "operator" });
    return;
  }
  if (event.kind === "sync_failed" && event.resumable) turn.state.common = phase.generation;
  if (phase.leaving) {
    if (event.kind === "solo_open") return enterSolo(turn, phase.term);
    // The copy may have become whole meanwhile: then going on alone needs a grant.
    if (event.kind === "solo_refused") decide(turn, { ...phase, cause: "silence" });
    return;
  }
  const refused = event.kind === "message" && event.message.kind === "refuse";
  const failed = event.kind === "sync_failed" || event.kind === "protection_failed";
  if (failed) turn.alarm("sync", `The sync was broken off and begins again: ${event.why}`);
  const unwanted = !turn.state.settings.autoProtect;
  if (lossOf(turn, phase, event) === null && !refused && !failed && !unwanted) return;
  turn.go({ ...phase, leaving: true });
  turn.act({ kind: "open", term: phase.term, cancelHandover: false, unless: "never" });
}
