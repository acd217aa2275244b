/** A backup whose copy may be behind what the VM let out, and knows it (step_asynchronous.ts is the primary's side). */

import { abandon, consider, copyEnds, grant } from "./step_backup.ts";
import { EPOCH_MAX, type PhaseOf, type Turn } from "./turn.ts";
import { FLAGS, type GroupEvent, type GroupState, ROLES, type Word } from "./types.ts";

export function asksBehind(word: Word, copy: { term: number; generation: number }): boolean {
  return word.role === ROLES.PRIMARY && word.term === copy.term && word.generation === copy.generation &&
    (word.flags & FLAGS.ASKS_BEHIND) !== 0;
}

export function writeCopy(
  turn: Turn,
  copy: { term: number; generation: number },
  value: "whole" | "behind",
): void {
  const { term, generation } = copy;
  turn.write({ generation, term, role: "backup", copy: value });
}

/** The VM has ended there, and by what its host says no output of it ran ahead of this copy: which goes on. */
function neverAhead(state: GroupState, copy: { term: number; generation: number }): boolean {
  const { peer, silent } = state;
  if (silent || peer === null || peer.term !== copy.term || peer.generation !== copy.generation) return false;
  if (peer.role === ROLES.YIELDED) return true;
  // Started anew. With all on its own disks it starts by the promise that was given.
  return peer.role === ROLES.WAITING && peer.epoch < EPOCH_MAX &&
    (peer.flags & (FLAGS.LAST_SOLO | FLAGS.PROMISED)) === 0;
}

function countAgain(turn: Turn, phase: PhaseOf<"behind">): void {
  turn.go({ ...phase, step: "returning" });
  writeCopy(turn, phase, "whole");
}

/** Output of later epochs has left: this copy starts by nobody's word but the operator's, until the primary says that it counts again. */
export function inBehind(turn: Turn, phase: PhaseOf<"behind">, event: GroupEvent): void {
  if (copyEnds(turn, phase, event)) return abandon(turn, phase);
  const { term, generation, step } = phase;
  if (step === "written" && neverAhead(turn.state, phase)) return countAgain(turn, phase);
  const again = event.kind === "timer" && event.timer === "decide";
  if (event.kind === "write_failed") return turn.act({ kind: "set_timer", timer: "decide", after: "second" });
  if (event.kind === "peer" && event.silent) {
    turn.alarm(
      "held",
      "The other host is silent, and the copy here is behind what it did: an operator decides",
    );
  }
  switch (step) {
    case "writing":
      if (again) writeCopy(turn, phase, "behind");
      if (event.kind === "written" && event.metadata.copy === "behind") {
        turn.go({ ...phase, step: "written" });
        if (neverAhead(turn.state, phase)) countAgain(turn, phase); // it has been so since before this was written
      }
      return;
    case "written": {
      const { peer, confirmedOff, silent } = turn.state;
      if (event.kind === "command" && event.command === "promote" && silent && confirmedOff) {
        return grant(turn, { term, generation, next: turn.nextTerm("operator"), unless: "heard" });
      }
      const counts = event.kind === "word" && peer?.role === ROLES.PRIMARY && peer.term === term &&
        peer.generation === generation && (peer.flags & FLAGS.COPY_WHOLE) !== 0;
      if (counts) countAgain(turn, phase);
      return;
    }
    case "returning":
      if (again) writeCopy(turn, phase, "whole");
      if (event.kind !== "written" || event.metadata.copy !== "whole") return;
      turn.go({ kind: "ready", term, generation });
      return consider(turn, { term, generation });
    default:
      return step satisfies never;
  }
}
