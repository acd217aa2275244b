/** The one sentence about a VM's protection: true in every state, with what to do where there is something to do. */

import type { Status } from "../../ffi/status.ts";
import type { PaceView } from "./pacing.ts";
import { FLAGS, type GroupState, ROLES } from "./types.ts";

const MIB = 1024 * 1024;

/** One sentence on what this host does for the VM now. `engine`: its counters, for progress; `pace`: what is done because the
 * backup does not keep up. */
export function sentence(state: GroupState, engine?: Status, pace?: PaceView): string {
  const { phase } = state;
  switch (phase.kind) {
    case "off":
      return "Starting.";
    case "waiting":
      return `Waiting: ${phase.why}.`;
    case "starting":
      return "The VM is being started on this host.";
    case "solo":
      return alone(state);
    case "syncing":
      return `Syncing${progress(engine)}: the VM runs on this host and is not protected yet.`;
    case "protected":
      return `Protected: safe to lose either machine${
        state.witness === "lost" ? ", but nobody takes over by itself: the arbiter is not reachable" : ""
      }${slowed(pace)}.`;
    case "asynchronous":
      return phase.step === "asking" || phase.step === "returning"
        ? "Protected: safe to lose either machine."
        : `Not protected without loss (${phase.why}): the backup is behind; if this host dies, the newest seconds are lost.`;
    case "deciding":
      return `The backup is lost (${phase.cause}): output is held until it is decided who goes on.`;
    case "going_solo":
      return "The backup is lost: this host goes on alone.";
    case "handing":
      return "The VM is being moved to the other host.";
    case "yielded":
      return "The VM has left this host.";
    case "joining":
      return "This host becomes the backup.";
    case "receiving":
      return "Receiving a copy: this host cannot take over yet.";
    case "ready":
      return state.witness === "lost"
        ? "Protected: this host holds a whole copy, but does not take over by itself: the arbiter is not reachable."
        : "Protected: this host holds a whole copy and takes over if the other one dies.";
    case "behind":
      return "The copy on this host is behind what the VM did: it starts only when an operator says so (promote).";
    case "asking":
      return `The other host is lost (${phase.cause}): waiting for leave to take over.`;
    case "promoting":
      return "Taking over: the VM is being started from its copy on this host.";
    case "abandoning":
    case "stale":
      return "The copy on this host is out of date; it waits for the other host.";
    case "diverged":
      return phase.step === "shown"
        ? `Both hosts ran the VM (${phase.why}): compare the two, then discard here, or yield there and start here.`
        : "This host's VM is given up: its disks are being kept as a restore point.";
    case "fencing":
      return `This host was overtaken (${phase.why}): its VM is ended.`;
    case "stopping":
    case "stopped":
      return `The VM is stopped: ${phase.why}.`;
    default:
      return phase satisfies never;
  }
}

/** The VM runs here, and nobody could go on. */
function alone({ phase, peer, silent }: GroupState): string {
  const here = "Unprotected: the VM runs on this host alone; if this host dies, the VM dies";
  if (silent || peer === null) return `${here}.`;
  if ((peer.flags & FLAGS.DIVERGED) !== 0) {
    return "Unprotected: the VM runs here, and it ran on the other host too: compare the two, then discard there, " +
      "or yield here and start there.";
  }
  const both = peer.role === ROLES.PRIMARY && phase.kind === "solo" && peer.term === phase.term;
  return both
    ? "Both hosts run the VM: compare the two, then yield on the one that is to be given up."
    : `${here}.`;
}

/** What protection costs more than usual now. */
function slowed(pace: PaceView | undefined): string {
  if (pace === undefined || (pace.level === "full" && !pace.stuck)) return "";
  const why = pace.why === "" ? "" : ` because the backup does not keep up (${pace.why})`;
  const longer = `replies take up to ${Math.round(pace.epoch_ms ?? 0)} ms longer`;
  const slower = `the guest is slowed by ${pace.percent} %`;
  const done = pace.percent > 0 ? slower : pace.epoch_ms !== null ? longer : "replies take long";
  return `; ${done}${why}`;
}

/** How far a sync is, how fast it goes and how long it will still take. */
function progress(engine: Status | undefined): string {
  if (engine === undefined || engine.sync_bytes_total === 0) return "";
  const { sync_bytes_done: done, sync_bytes_total: total, sync_rate, sync_eta_s } = engine;
  // What the guest writes meanwhile is added to what there is to do; the rest of a checkpoint is not.
  const percent = Math.min(99, Math.floor(100 * done / total));
  const rate = `${(sync_rate * 8 / 1e6).toFixed(sync_rate < 1e6 ? 1 : 0)} Mbit/s`;
  const left = sync_rate === 0 ? "" : `, ${rate}, ${duration(sync_eta_s)} left`;
  return ` (${percent} % of ${Math.round(total / MIB)} MiB${left})`;
}

function duration(seconds: number): string {
  if (seconds < 90) return `${seconds} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
