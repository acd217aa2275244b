/** What an operator may ask for, and why not now. The decision ignores what does not fit; the operator is told. */

import type { Status } from "../../ffi/status.ts";
import { newerElsewhere } from "./step_waiting.ts";
import { type Command, FLAGS, type GroupState } from "./types.ts";

const MIB = 1024 * 1024;

/** How far a sync is, by the engine. */
export type SyncProgress = Pick<
  Status,
  "sync_bytes_done" | "sync_bytes_total" | "sync_rate" | "sync_eta_s"
>;

/** Why `command` can do nothing now, with what to do; null: it is carried out. */
export function commandProblem(
  state: GroupState,
  command: Command,
  engine: SyncProgress,
): { problem: string; hint: string } | null {
  const { phase, silent } = state;
  switch (command) {
    case "switchover":
      return switchoverProblem(state, engine);
    case "confirm_peer_off":
      if (silent) return null;
      return {
        problem: "The other host is heard: it is not off",
        hint: "Switch it off first, or use switchover.",
      };
    case "start":
      return startProblem(state);
    case "stop":
    case "yield":
      if (hasVm(phase.kind)) return null;
      return {
        problem: `This host does not run the VM (${phase.kind})`,
        hint: "Ask the other host's runner.",
      };
    case "promote":
      if (phase.kind !== "behind" && !(phase.kind === "asking" && state.refused > phase.term)) {
        return {
          problem: `There is no copy here that waits for an operator (${phase.kind})`,
          hint: "A whole copy takes over by itself; one that is out of date is started with start.",
        };
      }
      if (silent && state.confirmedOff) return null;
      return {
        problem: "The other host may still run the VM",
        hint: "Make sure that it is off, then confirm_peer_off.",
      };
    case "discard":
      if (phase.kind === "diverged") return null;
      return { problem: "This host has no VM state to give up", hint: "Look at status." };
    case "protect":
      return null;
    case "unprotect":
      return unprotectProblem(phase.kind);
    default:
      return command satisfies never;
  }
}

const COMMANDS: readonly Command[] = [
  "start",
  "switchover",
  "stop",
  "confirm_peer_off",
  "protect",
  "unprotect",
  "yield",
  "promote",
  "discard",
];

/** For people: what an operator has said, and what an operator may say now; a command that can do nothing has why, and what to do. */
export function operatorView(state: GroupState, engine: SyncProgress) {
  const commands = COMMANDS.map((command) => [command, commandProblem(state, command, engine)] as const);
  return {
    phase_step: "step" in state.phase ? state.phase.step : "",
    phase_why: "why" in state.phase ? state.phase.why : "",
    auto_protect: state.settings.autoProtect,
    confirmed_off: state.confirmedOff,
    commands: Object.fromEntries(commands),
  };
}

function unprotectProblem(kind: GroupState["phase"]["kind"]): { problem: string; hint: string } | null {
  if (!hasVm(kind)) {
    return { problem: `This host does not run the VM (${kind})`, hint: "Ask the other host's runner." };
  }
  if (kind === "handing") return { problem: "A switchover is under way", hint: "Wait for its end." };
  if (kind !== "asynchronous") return null;
  return {
    problem: "The backup is behind: output leaves before it is committed",
    hint: "Wait until it is protected again.",
  };
}

function hasVm(kind: GroupState["phase"]["kind"]): boolean {
  return ["solo", "syncing", "protected", "deciding", "going_solo", "handing", "asynchronous", "starting"]
    .includes(
      kind,
    );
}

function switchoverProblem(
  state: GroupState,
  engine: SyncProgress,
): { problem: string; hint: string } | null {
  const { kind } = state.phase;
  switch (kind) {
    case "protected":
      return null;
    case "syncing": {
      const { sync_bytes_done: done, sync_bytes_total: total, sync_rate: rate, sync_eta_s: eta } = engine;
      const part = `${Math.round(Math.min(done, total) / MIB)} of ${Math.round(total / MIB)} MiB`;
      const left = rate === 0 ? "" : `, about ${Math.max(1, Math.ceil(eta))} s left`;
      return {
        problem: `The copy on the other host is not whole yet: ${part} are there${left}`,
        hint: "Try again when the sync has ended.",
      };
    }
    case "handing":
      return { problem: "A switchover is under way", hint: "Wait for its end." };
    case "asynchronous":
      return {
        problem: "The copy on the other host is behind: output leaves before it is committed",
        hint: "Wait until it is protected again, or give the link more room.",
      };
    case "ready":
    case "behind":
    case "receiving":
    case "joining":
      return {
        problem: "The VM runs on the other host",
        hint: "Ask the other host's runner for the switchover.",
      };
    default:
      return {
        problem: `There is no whole copy of the VM to move to (${kind})`,
        hint: "Wait until the VM is protected; status says what it waits for.",
      };
  }
}

function startProblem(state: GroupState): { problem: string; hint: string } | null {
  const { phase, silent, confirmedOff, disk, settings } = state;
  if (hasVm(phase.kind)) return { problem: "The VM is here already", hint: "See status." };
  if (phase.kind === "stale" && !confirmedOff) {
    return {
      problem: "The copy on this host is out of date",
      hint: silent
        ? "If the other host will not come back: confirm_peer_off, then start. What it did since is lost."
        : "The other host has the newer state: start the VM there.",
    };
  }
  if (phase.kind === "diverged") return divergedProblem(state);
  if (phase.kind === "stopped" && newerElsewhere(state, phase.term)) {
    return { problem: "The other host has a newer state of the VM", hint: "Start it there." };
  }
  // What ended alone has no newer copy anywhere; of any other an arbiter that is elsewhere is asked.
  const judged = disk?.role === "stopped" && (disk.copy === "none" || settings.arbiter.remote);
  if (phase.kind === "waiting" && silent && !confirmedOff && disk !== null && !judged) {
    return {
      problem: "The copy on this host may be behind, and the other host is not heard",
      hint: "Make sure that it is off, then confirm_peer_off, then start.",
    };
  }
  return null;
}

/** Of two VMs that both ran, this one starts only when the other one has given way, or is off. */
function divergedProblem(state: GroupState): { problem: string; hint: string } | null {
  const { silent, confirmedOff, peer } = state;
  if (silent && confirmedOff) return null;
  if (silent) {
    return {
      problem: "The other host ran the VM too, and is not heard",
      hint: "Make sure that it is off, then confirm_peer_off, then start.",
    };
  }
  if (peer !== null && (peer.flags & FLAGS.DIVERGED) !== 0) return null;
  return { problem: "The other host has not given way yet", hint: "Let it yield first, then start here." };
}
