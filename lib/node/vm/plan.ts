/** What a VM's supervisor does next. Pure. */

import { hasVm, mayTakeOver } from "./phases.ts";
import type { RunnerStatus } from "./runner_link.ts";

/** start: the runner. begin: the VM, on this node. relink: the runner gets the pair's lines and key as they are now. end: the runner, by SIGTERM. kill: by SIGKILL. The others are said to the runner. */
export type Step =
  | "start"
  | "begin"
  | "begun"
  | "stop"
  | "protect"
  | "unprotect"
  | "relink"
  | "end"
  | "kill"
  | null;

export interface Facts {
  /** There is a process. */
  runs: boolean;
  wanted: { running: boolean; protected: boolean };
  /** The VM is to begin here. */
  begin: boolean;
  /** The runner has read another file than the one that counts now. */
  outdated: boolean;
  /** The pair has other lines, or another key, than the runner. */
  relink?: boolean;
  /** What the runner said, if that is new enough. */
  status: Pick<RunnerStatus, "phase" | "auto_protect" | "commands"> | null;
  now_ms: number;
  /** Not before this. */
  start_at_ms: number;
  /** Since when the runner is not wanted; null: it is. */
  unwanted_since_ms: number | null;
}

/** How long a copy that could take over is waited for: the VM's end reaches it by heartbeats. */
const COPY_MS = 10_000;
/** How long a runner may take to end its VM, or to answer. */
const STOP_MS = 30_000;
const KILL_MS = 60_000;

/** Phases in which a runner heeds the word to start the VM. */
const BEGINS = ["waiting", "stopped", "stale", "yielded", "diverged"];

export function plan(facts: Facts): Step {
  const { runs, wanted, status } = facts;
  if (!runs) return wanted.running && facts.now_ms >= facts.start_at_ms ? "start" : null;
  if (!wanted.running) return unwanted(facts);
  if (status === null) return null;
  // A copy that nobody wants holds as much memory as the VM; the next runner begins without it.
  if (!wanted.protected && status.phase === "stale") return "end";
  if (facts.outdated && !hasVm(status.phase) && !mayTakeOver(status.phase)) return "end";
  const able = (command: string) => status.commands?.[command] === null;
  if (facts.begin && hasVm(status.phase)) return "begun";
  if (facts.begin && BEGINS.includes(status.phase) && able("start")) return "begin";
  if (!hasVm(status.phase)) return null;
  if (facts.relink && status.phase === "solo") return "relink";
  if (wanted.protected && status.auto_protect === false) return "protect";
  if (!wanted.protected && status.auto_protect === true && able("unprotect")) return "unprotect";
  return null;
}

function unwanted({ status, now_ms, unwanted_since_ms }: Facts): Step {
  const for_ms = now_ms - (unwanted_since_ms ?? now_ms);
  if (for_ms >= KILL_MS) return "kill";
  if (for_ms >= STOP_MS) return "end";
  if (status === null || status.phase === "stopping" || status.phase === "stopped") return null;
  if (hasVm(status.phase)) return "stop";
  return mayTakeOver(status.phase) && for_ms < COPY_MS ? null : "end";
}

const FIRST_MS = 500;
const LONGEST_MS = 30_000;

/** How long to wait before a runner is started again that has ended `failures` times in a row: soon at first, since a hardware watchdog
 * that it armed resets the machine when nobody takes it over. */
export function backOffMs(failures: number): number {
  return failures <= 1 ? FIRST_MS : Math.min(LONGEST_MS, 1000 * 2 ** (failures - 2));
}
