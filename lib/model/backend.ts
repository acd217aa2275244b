/** What the page, the API and the command line see of a node: a read model and commands. The node implements it (lib/node/controller.ts);
 * tests have one of their own (test/ui/fake_backend.ts). All may throw ProblemError. */

import type { AlertSettings, AlertView } from "./alerts.ts";
import type { DoctorView } from "./doctor.ts";
import type { EventQuery, EventView } from "./event.ts";
import type { NodeView, PairSettings, PairView } from "./node.ts";
import type { Verdict } from "./sentence.ts";
import type { JobView, SwitchoverView, VmAction, VmCreate, VmSample, VmView } from "./vm.ts";

/** Everything that the home page shows. In memory: asking costs nothing. */
export interface Snapshot {
  /** The one sentence about the pair. */
  home: Verdict;
  /** This node first. */
  nodes: NodeView[];
  pair: PairView;
  vms: VmView[];
  jobs: JobView[];
  alerts: AlertView[];
  /** What happens if this were to die now, in this order: each node, link a, link b, lan, the arbiter. */
  what_if: { what: string; verdict: Verdict }[];
  /** Grows with each change. */
  revision: number;
  at: string;
}

/** What is pushed: to pages by server-sent events. */
export type Change =
  | { kind: "snapshot"; snapshot: Snapshot }
  | { kind: "event"; event: EventView }
  | { kind: "sample"; vm: string; sample: VmSample };

/** Bytes both ways: a console. Closing either side ends it. */
export interface Duplex extends AsyncDisposable {
  readable: ReadableStream<Uint8Array>;
  writable: WritableStream<Uint8Array>;
}

/** Who asks: the audit log's and the events' name for them. */
export type Actor = string;

export interface VmBackend {
  /** Makes it, on both nodes; the job ends when its disks are there. */
  create(vm: VmCreate, actor: Actor): Promise<JobView>;
  /** Runs an action that needs nothing else. Resolves when it is done; a switchover with its measured result. */
  act(
    name: string,
    action: Exclude<VmAction, "delete" | "switchover">,
    actor: Actor,
  ): Promise<{ detail: string }>;
  switchover(name: string, actor: Actor): Promise<SwitchoverView>;
  /** Deletes the VM; with `disks` its images too, on both nodes. */
  remove(name: string, options: { disks: boolean }, actor: Actor): Promise<void>;
  /** Changes settings that may be changed (keys of the VM's file); most take effect at the next start. `revision`: what was seen. */
  update(
    name: string,
    patch: { revision: number; spec: Record<string, unknown> },
    actor: Actor,
  ): Promise<VmView>;
  /** Its file (TOML). */
  file(name: string): Promise<string>;
  /** Newest lines: the runner's, and QEMU's own. */
  logs(name: string, options: { lines: number }): Promise<string[]>;
  switchovers(name: string): Promise<SwitchoverView[]>;
  /** Samples from `from_ms` on, at most `points`, thinned by the server. */
  history(name: string, options: { from_ms: number; to_ms: number; points: number }): Promise<VmSample[]>;
  /** Wherever it runs. */
  openConsole(name: string, kind: "serial" | "screen", actor?: Actor): Promise<Duplex>;
}

export interface PairBackend {
  /** Shows a one-time code. */
  invite(actor: Actor): Promise<PairView>;
  /** Types the other node's code here. */
  join(options: { address: string; code: string }, actor: Actor): Promise<PairView>;
  /** The digits are the same on both. */
  confirm(actor: Actor): Promise<PairView>;
  /** They are not, or nobody wants it any more. */
  cancel(actor: Actor): Promise<PairView>;
  /** Refused while a VM is protected by it. */
  remove(actor: Actor): Promise<PairView>;
  /** The other node is off for good: it is never trusted again, and the VMs run on alone until there is a new one. Refused unless each VM runs here
   * alone, or is stopped. */
  replace(actor: Actor): Promise<PairView>;
  /** A new key and certificate for this node; the other one is told first. */
  rotate(actor: Actor): Promise<PairView>;
  /** Sets links, LAN, arbiter; checked on both nodes before it takes effect. */
  configure(settings: PairSettings, actor: Actor): Promise<PairView>;
  /** What this node could use: interfaces with IPv4 addresses, bridges, and what the other one has in the same networks. */
  suggest(): Promise<{
    interfaces: {
      name: string;
      address: string;
      prefix: number;
      speed_mbit: number | null;
      bridge: boolean;
      carrier: boolean;
    }[];
    proposals: PairSettings | null;
  }>;
}

export interface Backend {
  snapshot(): Snapshot;
  /** `listener` is called at each change, snapshots at most a few times a second. */
  subscribe(listener: (change: Change) => void): Disposable;
  vm: VmBackend;
  pair: PairBackend;
  jobs: { list(): JobView[]; cancel(id: string, actor: Actor): Promise<void> };
  events: { query(query: EventQuery): Promise<EventView[]> };
  alerts: {
    settings(): AlertSettings;
    configure(settings: AlertSettings, actor: Actor): Promise<AlertSettings>;
    /** Sends a test by one channel. */
    test(channel: string, actor: Actor): Promise<{ ok: boolean; detail: string }>;
  };
  doctor(options: { peer: boolean }): Promise<DoctorView>;
  /** A tar.gz without secrets. */
  supportBundle(actor: Actor): Promise<ReadableStream<Uint8Array>>;
  /** Text for Prometheus. */
  metrics(): Promise<string>;
  /** This node's own settings file, as text. */
  config(): Promise<{ file: string; text: string }>;
}
