/** How two nodes' settings become the same ones. Pure, and the same on both: each comes to the same result whoever asked. */

import type { Tombstone, VmRecord } from "./records.ts";

/** One node's settings of a VM. */
export interface Side {
  record: VmRecord;
  /** It runs on that node. */
  runs_here: boolean;
}

export interface MergeFacts {
  mine: readonly (Side & {
    /** The newest revision that the other node is known to have had. */ peer_has: number;
  })[];
  myTombstones: readonly Tombstone[];
  theirs: readonly Side[];
  theirTombstones: readonly Tombstone[];
  /** IDs of the nodes. */
  me: string;
  other: string;
}

export interface Merged {
  /** The other node's settings that count from now on. */
  take: VmRecord[];
  /** VMs that are deleted. */
  remove: Tombstone[];
  /** Both sides had changed it while apart. */
  conflicts: { name: string; won: "mine" | "theirs"; revision: number }[];
  /** Another VM of this name is on the other node. */
  clashes: string[];
  /** Revisions that both have now. */
  same: { name: string; revision: number }[];
}

function equal(a: VmRecord, b: VmRecord): boolean {
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}

function sorted({ wanted, ...rest }: VmRecord): unknown[] {
  return [wanted.running, wanted.protected, ...Object.entries(rest).sort(([a], [b]) => a < b ? -1 : 1)];
}

/** Of two settings of one VM that count. */
function newer(mine: Side, theirs: Side, ids: { me: string; other: string }): "mine" | "theirs" {
  const difference = mine.record.revision - theirs.record.revision;
  if (difference !== 0) return difference > 0 ? "mine" : "theirs";
  if (mine.runs_here !== theirs.runs_here) return mine.runs_here ? "mine" : "theirs";
  return ids.me > ids.other ? "mine" : "theirs";
}

export function merge(facts: MergeFacts): Merged {
  const merged: Merged = { take: [], remove: [], conflicts: [], clashes: [], same: [] };
  const mine = new Map(facts.mine.map((side) => [side.record.name, side]));
  const dead = new Set([...facts.myTombstones, ...facts.theirTombstones].map(({ uuid }) => uuid));
  const known = new Set(facts.myTombstones.map(({ uuid }) => uuid));
  merged.remove = facts.theirTombstones.filter(({ uuid }) => !known.has(uuid));
  for (const theirs of facts.theirs) {
    const { name, uuid } = theirs.record;
    if (dead.has(uuid)) continue;
    const own = mine.get(name);
    if (own === undefined || dead.has(own.record.uuid)) merged.take.push(theirs.record);
    else if (own.record.uuid !== uuid) merged.clashes.push(name);
    else mergeOne(own, theirs, facts, merged);
  }
  return merged;
}

function mergeOne(own: MergeFacts["mine"][number], theirs: Side, facts: MergeFacts, merged: Merged): void {
  const { name } = own.record;
  if (equal(own.record, theirs.record)) {
    merged.same.push({ name, revision: own.record.revision });
    return;
  }
  const won = newer(own, theirs, facts);
  const apart = own.record.revision > own.peer_has && theirs.record.revision > own.peer_has;
  const winner = won === "mine" ? own.record : theirs.record;
  if (apart) merged.conflicts.push({ name, won, revision: winner.revision });
  if (won === "theirs") merged.take.push(theirs.record);
}
