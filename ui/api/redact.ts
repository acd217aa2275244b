/** What not everybody may see of what everybody is shown. */

import { may, type Principal } from "../../lib/model/access.ts";
import type { Change, Snapshot } from "../../lib/model/backend.ts";
import type { PairView } from "../../lib/model/node.ts";

/** The one-time code of pairing is for administrators: whoever has it may try to be the second node. */
export function pairFor(pair: PairView, principal: Principal): PairView {
  if (pair.pairing.step !== "inviting" || may(principal.role, "administer")) return pair;
  return { ...pair, pairing: { ...pair.pairing, code: "" } };
}

export function snapshotFor(snapshot: Snapshot, principal: Principal): Snapshot {
  return { ...snapshot, pair: pairFor(snapshot.pair, principal) };
}

export function changeFor(change: Change, principal: Principal): Change {
  return change.kind === "snapshot"
    ? { ...change, snapshot: snapshotFor(change.snapshot, principal) }
    : change;
}
