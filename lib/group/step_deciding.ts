/** The decisions of a primary whose backup may be lost: its output waits until the arbiter has spoken. */

import { cutOff, hasNoCopy } from "./step_losses.ts";
import { enterSolo, fence } from "./step_primary.ts";
import { type PhaseOf, promised, type Turn } from "./turn.ts";
import type { Cause, GroupEvent } from "./types.ts";

/** Output waits (no epoch commits) while the arbiter is asked. */
export function decide(
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
  if (handed && (verdict.kind === "ask" || (verdict.kind === "grant" && verdict.because === "silence"))) {
    // It was told to go on, and may do so where it is not heard, without asking anybody.
    verdict = { kind: "hold", why: "the VM was handed over: confirm that the other host is off" };
  }
  if (verdict.kind === "grant") {
    const unless = verdict.because === "peer gave way" ? "never" : "heard";
    return grantSolo(turn, { term, generation, handed, unless, next: turn.nextTerm(verdict.because) });
  }
  const why = verdict.kind === "ask" ? "asked" : verdict.why;
  if (phase.kind !== "deciding" || why === phase.why) return;
  turn.go({ ...phase, why });
  if (verdict.kind === "ask") turn.act({ kind: "ask", known: term, term: turn.nextTerm(), purpose: "solo" });
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
  // From here on this host's disks count: nothing more may leave on the strength of the other one's journal.
  turn.act({ kind: "hold" });
  // Until the gate is open the other copy may still be the newer one: it says so should we restart here.
  turn.write({ generation: grant.generation, term: grant.next, role: "primary", copy: "whole" });
}

export function inDeciding(turn: Turn, phase: PhaseOf<"deciding">, event: GroupEvent): void {
  if (event.kind === "granted") return useGrant(turn, phase, event);
  const decides = event.kind === "peer" || event.kind === "word" || event.kind === "link" ||
    event.kind === "command" || event.kind === "timer";
  if (event.kind === "refused") turn.refused(phase, event);
  else if (decides) settle(turn);
}

/** What an arbiter elsewhere granted. The other host cannot have been granted anything since: it would have been told so. */
function useGrant(
  turn: Turn,
  phase: PhaseOf<"deciding">,
  event: Extract<GroupEvent, { kind: "granted" }>,
): void {
  const { term, generation, handed } = phase;
  if (event.known !== term || handed) return turn.act({ kind: "release_term", term: event.term });
  if (!phase.bound && !promised(turn.state.peer, phase) && recovered(turn, phase)) {
    turn.act({ kind: "release_term", term: event.term });
    return turn.go({ kind: "protected", term, generation });
  }
  grantSolo(turn, { term, generation, handed, unless: "never", next: event.term });
}

export function inGoingSolo(turn: Turn, phase: PhaseOf<"going_solo">, event: GroupEvent): void {
  const { term, generation, next, handed, unless } = phase;
  if (event.kind === "written" && phase.step === "writing" && event.metadata.term === next) {
    turn.go({ ...phase, step: "opening" });
    return turn.act({ kind: "open", term: next, cancelHandover: handed, unless });
  }
  // Of another term: the answer to what was asked while syncing, before the copy became whole.
  if ((event.kind === "solo_open" || event.kind === "solo_refused") && event.term !== next) return;
  if (event.kind === "solo_open" && phase.step === "opening") return enterSolo(turn, next);
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
