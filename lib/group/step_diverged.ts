/** Two VMs ran, one on each host, and neither has what the other did: somebody forced the second one. A person picks. The one that is
 * given up is kept as a restore point first.
 *
 *   keep the other host's:  `discard` here; its disks as they are become a restore point, and it joins as the backup
 *   keep this host's:       `yield` there; then `start` here, and `discard` there
 */

import { start } from "./step_waiting.ts";
import type { PhaseOf, Turn } from "./turn.ts";
import { FLAGS, type GroupEvent, type Message } from "./types.ts";

/** This host ran the VM last of all, alone, and is now invited to take over the other host's state. */
export function diverge(turn: Turn, invite: Extract<Message, { kind: "invite" }>): void {
  const { disk } = turn.state;
  const term = disk?.term ?? 0;
  const why = `the other host went on in term ${invite.term} without what was done here`;
  turn.go({ kind: "diverged", term, why, step: "shown" });
  turn.write({ generation: disk?.generation ?? 0, term, role: "backup", copy: "diverged" });
  refuse(turn, invite);
  turn.alarm("two-copies", twoCopies(why));
}

function twoCopies(why: string): string {
  return `Both hosts ran the VM: ${why}. Compare the two, then discard one`;
}

function refuse(turn: Turn, invite: Extract<Message, { kind: "invite" }>): void {
  const { term, generation } = invite;
  const why = "the VM ran on that host too, and has what this one lacks: discard one of the two";
  turn.act({ kind: "send", message: { kind: "refuse", term, generation, why } });
}

export function divergedStep(turn: Turn, phase: PhaseOf<"diverged">, event: GroupEvent): void {
  if (event.kind === "message" && event.message.kind === "invite") return refuse(turn, event.message);
  if (phase.step === "shown") return inShown(turn, phase, event);
  switch (event.kind) {
    case "kept": {
      turn.alarm("kept", `The disks of this host's VM are kept in ${event.where}`);
      turn.go({ ...phase, step: "writing" });
      const { disk } = turn.state;
      const term = Math.max(phase.term, disk?.term ?? 0);
      return turn.write({ generation: disk?.generation ?? 0, term, role: "backup", copy: "stale" });
    }
    case "written":
      if (event.metadata.copy !== "stale") return;
      return turn.go({ kind: "waiting", why: "its own VM was given up", wantsStart: false });
    case "keep_failed":
    case "write_failed":
      turn.alarm("keep", `This host's VM is not given up, since it could not be kept: ${event.why}`);
      return turn.go({ ...phase, step: "shown" });
    default:
      return;
  }
}

function inShown(turn: Turn, phase: PhaseOf<"diverged">, event: GroupEvent): void {
  if (event.kind === "write_failed") turn.alarm("metadata", `The metadata cannot be written: ${event.why}`);
  if (event.kind !== "command") return;
  if (event.command === "discard") {
    turn.go({ ...phase, step: "keeping" });
    return turn.act({ kind: "keep_disks", label: `term-${phase.term}` });
  }
  if (event.command !== "start") return;
  const { peer, silent } = turn.state;
  const gaveWay = !silent && peer !== null && (peer.flags & FLAGS.DIVERGED) !== 0;
  const { silenceChecked } = turn.state;
  turn.state.silenceChecked = true;
  const verdict = turn.judge("start", gaveWay);
  turn.state.silenceChecked = silenceChecked;
  if (verdict.kind === "grant" && verdict.because !== "silence") {
    return start(turn, turn.nextTerm(verdict.because));
  }
  turn.alarm("held", "The VM is not started here: let the other host yield first, or confirm that it is off");
}
