/** A switchover, as its primary sees it: a last epoch, the offer, and what brings the VM back. */

import { decide } from "./step_deciding.ts";
import { lossOf } from "./step_losses.ts";
import type { PhaseOf, Turn } from "./turn.ts";
import type { GroupEvent } from "./types.ts";

export function beginHandover(turn: Turn, phase: PhaseOf<"protected">): void {
  turn.go({ kind: "handing", term: phase.term, generation: phase.generation, step: "last" });
  turn.act({ kind: "handover" }, { kind: "set_timer", timer: "handing", after: "bound" });
}

export function inHanding(turn: Turn, phase: PhaseOf<"handing">, event: GroupEvent): void {
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
    if (event.kind === "protection_failed") {
      back(event.why);
      return decide(turn, { term, generation, cause: "engine" });
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
