/** What `Snapshot` and the answers around it look like on the wire: the API's contract, and what clients check. */

import { z } from "zod";
import { alertView } from "./alerts.ts";
import type { Snapshot } from "./backend.ts";
import { eventView } from "./event.ts";
import { nodeView, pairSettings, pairView } from "./node.ts";
import { jobView, verdictView, vmSample, vmView } from "./vm.ts";

/** Everything that the home page shows. */
export const snapshotView = z.object({
  home: verdictView,
  nodes: z.array(nodeView),
  pair: pairView,
  vms: z.array(vmView),
  jobs: z.array(jobView),
  alerts: z.array(alertView),
  what_if: z.array(z.object({ what: z.string(), verdict: verdictView })),
  revision: z.number(),
  at: z.string(),
});

/** The same as the interface that backends implement: one that differs does not compile. */
export type SnapshotView = z.infer<typeof snapshotView>;
const _sameAsBackend = (snapshot: Snapshot): SnapshotView => snapshot;

/** A record of the live stream. */
export const changeView = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("snapshot"), snapshot: snapshotView }),
  z.object({ kind: z.literal("event"), event: eventView }),
  z.object({ kind: z.literal("sample"), vm: z.string(), sample: vmSample }),
]);

/** What a node could use for a pair. */
export const pairSuggestion = z.object({
  interfaces: z.array(z.object({
    name: z.string(),
    address: z.string(),
    prefix: z.number().int(),
    speed_mbit: z.number().nullable(),
    bridge: z.boolean(),
    carrier: z.boolean(),
  })),
  proposals: pairSettings.nullable(),
});
export type PairSuggestion = z.infer<typeof pairSuggestion>;
