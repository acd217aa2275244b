/** The end of a host whose VM was stopped: the other host must have heard of it, or it takes over what it believes lost. */

import { FLAGS, ROLES } from "./types.ts";

/** What the other host says now. */
export interface PeerWord {
  role: number;
  flags: number;
  /** Not heard on any path. */
  silent: boolean;
}

/** How long the other host may take to put a copy away, ms; beyond it nothing is gained by waiting. */
const FAREWELL_MS = 5000;
const LOOK_MS = 5;

const wallClock = {
  nowMs: () => performance.now(),
  sleep: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
};

/** True while the other host would take over if this one fell silent. */
export function wouldTakeOver(word: PeerWord): boolean {
  return !word.silent && word.role === ROLES.BACKUP && (word.flags & FLAGS.COPY_WHOLE) !== 0;
}

/** Resolves when the other host would not take over any more, is silent anyway, or does not learn it within the bound. */
export async function farewell(
  peer: () => PeerWord,
  clock: { nowMs: () => number; sleep: (ms: number) => Promise<void> } = wallClock,
): Promise<void> {
  const until = clock.nowMs() + FAREWELL_MS;
  while (wouldTakeOver(peer()) && clock.nowMs() < until) await clock.sleep(LOOK_MS);
}
