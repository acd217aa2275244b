/** What must hold of the whole system, whatever happens: functions over both hosts at once. The simulator asks them at
 * every step; a runner asks those that need one host only. */

import type { GroupState, Phase } from "./types.ts";

/** One host as the invariants see it. */
export interface HostView {
  name: string;
  state: GroupState;
  /** Output can leave now: the gate is open, or commits release it. */
  voice: { term: number } | null;
}

/** One release of output, in the order in which they happened. */
export interface Release {
  host: string;
  term: number;
  /** The VM's state of which the output tells. */
  value: number;
}

/** Phases in which the VM may run on this host. */
const WITH_VM: readonly Phase["kind"][] = [
  "solo",
  "syncing",
  "protected",
  "deciding",
  "going_solo",
  "handing",
  "asynchronous",
];

/** One host: what it says and does fits what it has written. Returns what is wrong, or null. */
export function hostProblem(state: GroupState): string | null {
  const { phase, disk } = state;
  const written = disk?.term ?? 0;
  if (WITH_VM.includes(phase.kind) && "term" in phase && written < phase.term) {
    return `it runs in term ${phase.term}, but has only ${written} on disk`;
  }
  if (
    phase.kind === "protected" && disk?.role === "primary" && disk.copy !== "whole" && written === phase.term
  ) {
    return "it is protected, but its metadata say that no other copy could be whole";
  }
  if (phase.kind === "ready" && (disk?.copy !== "whole" || disk.generation !== phase.generation)) {
    return "it says that its copy is whole, and has not written it";
  }
  if (phase.kind === "behind" && phase.step === "written" && disk?.copy !== "behind") {
    return "it says that its copy may be behind, and has not written it";
  }
  const lets = phase.kind === "asynchronous" && (phase.step === "on" || phase.step === "closing");
  if (lets && disk?.copy !== "none") {
    return "output leaves before its commit, and its metadata say that the other copy counts";
  }
  if (
    phase.kind === "stale" && phase.unwritten !== true && disk?.role === "backup" && disk.copy === "whole"
  ) {
    return "it promised not to start its copy, and its metadata still say that it is whole";
  }
  return null;
}

/** Both hosts: never two voices in a term, never an older one beside a newer. */
export function voiceProblem(hosts: readonly HostView[]): string | null {
  const voices = hosts.filter((host) => host.voice !== null && host.voice.term > 0);
  if (voices.length < 2) return null;
  return `two voices: ${voices.map((host) => `${host.name} in term ${host.voice?.term}`).join(", ")}`;
}

/** A release against those before it: terms never go back, and a term has one host. */
export function releaseProblem(before: Release | null, now: Release): string | null {
  if (before === null) return null;
  if (now.term < before.term) {
    return `${now.host} released output in term ${now.term} after ${before.host} did in ${before.term}`;
  }
  if (now.term === before.term && now.host !== before.host) {
    return `${now.host} and ${before.host} both released output in term ${now.term}`;
  }
  return null;
}

/** A VM that starts or resumes: it must have all that any output ever told of. */
export function lossProblem(newest: number, start: { host: string; value: number }): string | null {
  if (start.value >= newest) return null;
  return `${start.host} starts the VM at ${start.value}, but output of ${newest} has left`;
}
