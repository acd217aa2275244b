/** What a runner waits for in the engine's counters. Each wait has a bound. */

import type { Engine } from "../../ffi/engine.ts";
import { MODES } from "../../ffi/status.ts";

const LAST_WRITES_MS = 2000;
const FIRST_FRAME_MS = 2000;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A guest that powered off has written its last: resolves when the epoch of that is committed on both hosts. */
export async function lastWrites(engine: Engine, ended: () => boolean): Promise<void> {
  const page = engine.status;
  const [last, until] = [page.get("epoch"), performance.now() + LAST_WRITES_MS];
  const waits = () => page.get("mode") === MODES.PROTECTED && page.get("committed") < last;
  while (!ended() && waits() && performance.now() < until) await pause(10);
}

/** When a guest that moved is heard on the LAN again, by the engine's clock; null if not within 2 s. */
export async function firstFrame(
  engine: Engine,
  from: { before: number; ended(): boolean },
): Promise<number | null> {
  const until = performance.now() + FIRST_FRAME_MS;
  while (!from.ended() && performance.now() < until) {
    if (engine.status.get("out_frames") !== from.before) return engine.clockUs();
    await pause(2);
  }
  return null;
}
