/** What the node's thread and the worker that keeps things say to each other. */

import type { EventQuery, EventView } from "../model/event.ts";
import type { VmSample } from "../model/vm.ts";
import type { Taken } from "./keeper.ts";

export type ToWorker =
  | { kind: "open"; path: string; node: string }
  /** One of these is on its way at a time. `lost`: events for which there was no room before they came here. */
  | { kind: "take"; events: Taken[]; samples: { vm: string; sample: VmSample }[]; lost: number }
  | { kind: "query"; call: number; query: EventQuery }
  | { kind: "history"; call: number; vm: string; range: { from_ms: number; to_ms: number; points: number } }
  | { kind: "close" };

export type FromWorker =
  | { kind: "taken"; events: EventView[]; kept: number; samples_lost: number; problem: string | null }
  | { kind: "answer"; call: number; value: EventView[] | VmSample[] }
  | { kind: "failed"; call: number; why: string }
  | { kind: "closed" };
