import type { HostFacts } from "../replication/compatibility.ts";
import type { LastRun } from "./last_run.ts";
import type { Machine } from "../vm/machine.ts";
import type { MetadataStore } from "./metadata.ts";
import type { Pacing } from "./pacing.ts";
import type { RemoteArbiter } from "./remote_arbiter.ts";
import type { Settings } from "./types.ts";

/** What a runner is made of. */
export interface RunnerOptions {
  machine: Machine;
  store: MetadataStore;
  settings: Settings;
  /** What the other host's must go together with: the VM's file, versions. */
  facts: HostFacts;
  /** The takeover time, ms. */
  takeoverMs: number;
  /** Time between heartbeats, ms. */
  heartbeatMs: number;
  /** The disks that the engine serves, in its order. */
  disks: readonly { name: string; image: string }[];
  /** The arbiter, when it is elsewhere. */
  remote?: RemoteArbiter | undefined;
  /** Where disks that were given up are kept. */
  restorePoints: string;
  /** What this host did with the VM, for people. */
  lastRun?: LastRun;
  /** What is done when the backup does not keep up. Ends with the runner. */
  pace?: Pacing;
  /** Start the VM here, as this host's answer to "who begins". */
  start: boolean;
  /** Everything that happens, for people and for `serve`. */
  report(event: Record<string, unknown>): void;
}
