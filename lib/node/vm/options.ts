/** What the VMs of a node are given. */

import type { PairSettings } from "../../model/node.ts";
import type { VmSample } from "../../model/vm.ts";
import type { HostTuning } from "../../vm/host_config.ts";
import type { NodePlaces, PeerChannel, Recorder } from "../contracts.ts";

/** Raw images of a VM. */
export interface DiskHooks {
  /** Makes an empty image of `bytes`, unless there is one of that size. Throws ProblemError when there is another one, or no room. */
  make(path: string, bytes: number): Promise<void>;
  /** Throws ProblemError when what is at `path` (absolute) cannot be a disk, or something uses it. */
  check?(path: string): void;
}

export interface VmManagerOptions {
  places: NodePlaces;
  /** The command that runs this program, e.g. its packed binary. */
  self: readonly string[];
  /** This node. */
  node: () => { id: string; name: string };
  peer: PeerChannel;
  recorder: Recorder;
  /** Null: not set up, and no VM can start. */
  pairSettings: () => PairSettings | null;
  /** Names the key of the lines, as it is now; null: there is none. By default it never changes. */
  pairKeyId?: () => string | null;
  disks: DiskHooks;
  /** Samples that were kept (lib/observe). */
  history?: (
    name: string,
    options: { from_ms: number; to_ms: number; points: number },
  ) => Promise<VmSample[]>;
  /** Unix time, ms. */
  now?: () => number;
  /** What of the VMs' host files is this machine's own (serve.toml). */
  tuning: HostTuning;
  /** What VMs may have of this machine outside of the data directory (serve.toml); default: nothing. */
  images?: readonly string[];
  /** Whether this machine has such a bridge; left out: it is found out when a VM starts. */
  isBridge?: (name: string) => boolean;
  /** Runners can run here; by default when this process is root's. */
  privileged?: () => boolean;
  /** How runners are started; by default as units of systemd where it is the init. */
  runners?: "systemd" | "processes";
}
