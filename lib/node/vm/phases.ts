/** Which phases of a runner (lib/group/types.ts) mean what for a VM. */

/** The VM is here: it runs, or stands still until its output may leave. */
const WITH_VM = new Set([
  "starting",
  "solo",
  "syncing",
  "protected",
  "deciding",
  "going_solo",
  "handing",
  "asynchronous",
]);

/** A copy is here that may become the VM. */
const WITH_COPY = new Set(["ready", "behind", "asking", "promoting"]);

export function hasVm(phase: string): boolean {
  return WITH_VM.has(phase);
}

export function mayTakeOver(phase: string): boolean {
  return WITH_COPY.has(phase);
}
