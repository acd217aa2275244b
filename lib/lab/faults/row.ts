/** What a row of the table of faults is. */

import type { Fault } from "../lab.ts";
import type { Host } from "../places.ts";
import type { Scene, SceneOptions } from "../scene.ts";
import type { Stage } from "./stage.ts";

/** A pair that a row needs; rows of the same kind share one. */
export interface PairKind {
  key: string;
  options: SceneOptions;
  /** Done before the runners start; what it returns ends with the pair. */
  prepare?(scene: Scene): Promise<AsyncDisposable>;
}

/** The usual pair. */
export const STANDARD: PairKind = { key: "standard", options: {} };

/** What a strike found. */
export interface Struck {
  /** When the fault took hold. */
  fault: Fault;
  /** Who goes on, and whose decision is measured; null: nobody has to decide anything. */
  survivor: Host | null;
  /** A figure of this row's own, for people. */
  note?: string;
}

/** One row, or one variant of it. */
export interface Row {
  /** As in the list of faults. */
  number: number;
  /** The fault, in a few words. */
  fault: string;
  /** What is to come of it, in a few words. */
  outcome: string;
  kind: PairKind;
  /** It may be drawn in a run of random faults. */
  random: boolean;
  /** A mechanism is switched off, and what is wrong then is to be found: the pair need not become whole again. */
  control?: boolean;
  /** The VM moves, and both runners live on: what a leak would be seen by. */
  takesTurns?: boolean;
  /** Does the damage, and waits for what it is to lead to. Throws when that does not come. The pair is made whole afterwards by others. */
  strike(stage: Stage): Promise<Struck>;
}

/** A row that cannot be run yet, and why. */
export interface MissingRow {
  number: number;
  fault: string;
  missing: string;
}

/** The outcome of one repetition, as it was seen from outside. */
export interface Outcome {
  /** What was wrong; empty when everything was as promised. */
  broken: string[];
  /** Acknowledged counts that are gone. */
  lost: number;
  /** Longest time without a reply because of the fault, ms; 0 when none was of 50 ms or more. */
  gap_ms: number;
  term: { before: number; after: number };
  /** Of the fault, by the host that decides; and from there until the guest's output goes on. ms. */
  detection_ms: number | null;
  takeover_ms: number | null;
  note: string;
}

/** What a row expected did not come. */
export class RowFailure extends Error {
  constructor(message: string) {
    super(message);
    this.name = "RowFailure";
  }
}

/** Throws RowFailure when a promise was not kept. */
export function expect(held: boolean, promise: string): asserts held {
  if (!held) throw new RowFailure(`not so: ${promise}`);
}
