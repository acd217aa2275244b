/** The last step of the ladder, as the primary sees it: output leaves before it is committed.
 *
 *   protected ──► asking ──► writing ──► on ──► closing ──► marking ──► returning ──► protected
 *
 * The backup writes down first that its copy may be behind: from then on only its operator starts it, which is why output may leave.
 * On the way back it counts again only when all that ever left is contained in what it has, and has been written down on both hosts;
 * "returning" lasts until it says so: else its earlier word could be taken for the answer to the next question. */

import { decide } from "./step_deciding.ts";
import { lossOf, watchLinks } from "./step_losses.ts";
import type { PhaseOf, Turn } from "./turn.ts";
import { FLAGS, type GroupEvent, ROLES, type Word } from "./types.ts";

/** Asks the backup to write down that its copy may be behind. */
export function beginAsynchronous(turn: Turn, phase: PhaseOf<"protected">, why: string): void {
  const { term, generation } = phase;
  turn.go({ kind: "asynchronous", term, generation, step: "asking", why });
}

function says(word: Word | null, phase: { term: number; generation: number }, flag: number): boolean {
  return word !== null && word.role === ROLES.BACKUP && word.term === phase.term &&
    word.generation === phase.generation && (word.flags & flag) !== 0;
}

export function asynchronousStep(turn: Turn, phase: PhaseOf<"asynchronous">, event: GroupEvent): void {
  watchLinks(turn, event);
  const { term, generation, step } = phase;
  const at = (next: PhaseOf<"asynchronous">["step"]) => turn.go({ ...phase, step: next });
  const behind = says(turn.state.peer, phase, FLAGS.BEHIND);
  if (leaves(turn, phase, event)) return;
  const back = event.kind === "pace" && event.wants === "synchronous";
  switch (step) {
    case "asking":
      if (event.kind !== "word" || !behind) return;
      at("writing");
      // Once it is written that only the disks here count, no output may rest on the other one's journal: so not from before that on.
      turn.act({ kind: "flushes_wait", on: true });
      return turn.write({ generation, term, role: "primary", copy: "none" });
    case "writing":
      if (event.kind === "write_failed") {
        // It may be there all the same: that the copy counts has to be written before it does.
        at("marking");
        return turn.act({ kind: "set_timer", timer: "decide", after: "second" });
      }
      if (event.kind !== "written" || event.metadata.copy !== "none") return;
      turn.alarm("asynchronous", `Output leaves before the backup has it: ${phase.why}`);
      at("on");
      return turn.act({ kind: "asynchronous", on: true, term });
    case "on":
      if (!back) return;
      at("closing");
      return turn.act({ kind: "asynchronous", on: false, term });
    case "closing":
      if (event.kind !== "synchronous") return;
      at("marking");
      return turn.write({ generation, term, role: "primary", copy: "whole" });
    case "marking":
      if (event.kind === "write_failed") {
        return turn.act({ kind: "set_timer", timer: "decide", after: "second" });
      }
      if (event.kind === "timer" && event.timer === "decide") {
        return turn.write({ generation, term, role: "primary", copy: "whole" });
      }
      if (event.kind !== "written" || event.metadata.copy !== "whole") return;
      return beginReturn(turn, phase);
    case "returning":
      if (event.kind === "word" && !behind && says(event.word, phase, FLAGS.COPY_WHOLE)) {
        turn.go({ kind: "protected", term, generation });
      }
      return;
    default:
      return step satisfies never;
  }
}

/** From here on the backup may count at any moment: what it promised is void. */
function beginReturn(turn: Turn, phase: PhaseOf<"asynchronous">): void {
  const { peer } = turn.state;
  if (peer !== null) {
    turn.state.peer = { ...peer, flags: peer.flags & ~(FLAGS.BEHIND | FLAGS.PROMISED) };
  }
  turn.go({ ...phase, step: "returning" });
  turn.act({ kind: "flushes_wait", on: false });
}

/** The backup is lost, or protection ended. While output leaves at once nothing of it waits for the decision. */
function leaves(turn: Turn, phase: PhaseOf<"asynchronous">, event: GroupEvent): boolean {
  const { term, generation } = phase;
  if (event.kind === "protection_failed") {
    turn.alarm("engine", `Protection ended, the VM runs on: ${event.why}`);
    decide(turn, { term, generation, cause: "engine" });
    return true;
  }
  const cause = lossOf(turn, phase, event);
  // That it may be behind is what was asked of it; the answer carries the flag of a promise.
  if (cause === null || (cause === "promised" && says(turn.state.peer, phase, FLAGS.BEHIND))) return false;
  decide(turn, { term, generation, cause });
  return true;
}
