/** What ends a copying, or protection, from outside. */

import { promised, type Turn } from "./turn.ts";
import { type Cause, type GroupEvent, ROLES, type Word } from "./types.ts";

/** Both replication lines are down. */
export function cutOff(turn: Turn): boolean {
  return !turn.state.links[0] && !turn.state.links[1];
}

/** The reason to end a copying, or protection; null: nothing happened to it. */
export function lossOf(
  turn: Turn,
  phase: { term: number; generation: number },
  event: GroupEvent,
): Cause | null {
  if (event.kind === "peer" && turn.state.silent) return "silence";
  if (event.kind === "timer" && event.timer === "links" && cutOff(turn)) return "links";
  if (event.kind === "word") {
    if (promised(event.word, phase)) return "promised";
    if (hasNoCopy(event.word)) return "copy-lost";
  }
  // It may have started anew so fast that its word is the same as before it joined.
  if (event.kind === "link" && event.up && hasNoCopy(turn.state.peer)) return "copy-lost";
  return null;
}

/** The peer's runner has started anew: what it had in memory is gone. */
export function hasNoCopy(peer: Word | null): boolean {
  return peer !== null && (peer.role === ROLES.WAITING || peer.role === ROLES.NONE);
}

/** A line that is lost while the other one carries the data is an alarm, and nothing else. */
export function watchLinks(turn: Turn, event: GroupEvent): void {
  if (event.kind !== "link" || event.up) return;
  if (cutOff(turn)) turn.act({ kind: "set_timer", timer: "links", after: "takeover" });
  else turn.alarm("link", `Link ${event.link === 0 ? "A" : "B"} is down; the other one carries the data`);
}
