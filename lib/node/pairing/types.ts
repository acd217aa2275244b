/** What the controller works with when it has to do with the other node: pairing.ts implements it, `openPairing` makes it. */

import type { AdmissionLimits } from "../../admission.ts";
import type { PairBackend } from "../../model/backend.ts";
import type { PairSettings, PairView } from "../../model/node.ts";
import type { NodePlaces, PeerChannel, Recorder } from "../contracts.ts";
import type { Identity } from "../identity.ts";

/** An IPv4 address of this machine. */
export interface NodeInterface {
  name: string;
  address: string;
  prefix: number;
  speed_mbit: number | null;
  bridge: boolean;
  carrier: boolean;
}

/** Times and bounds, which tests change. ms. */
export interface PairingLimits {
  /** A code is good for this long. */
  inviteMs: number;
  /** Wrong codes that make it void. */
  attempts: number;
  /** From the connection to the digits. */
  handshakeMs: number;
  /** The digits stand for this long. */
  compareMs: number;
  /** Between two signs of life on the channel. */
  heartbeatMs: number;
  /** Without one for this long the other node is not reachable. */
  silentMs: number;
  /** The longest time between two attempts to reach it. */
  retryMs: number;
  /** For so long after its start this node may have parts that do not answer yet. */
  startingMs: number;
  admission: Partial<AdmissionLimits>;
}

/** What holds unless told otherwise. */
export const PAIRING_LIMITS: PairingLimits = {
  inviteMs: 600_000,
  attempts: 5,
  handshakeMs: 15_000,
  compareMs: 300_000,
  heartbeatMs: 1000,
  silentMs: 3000,
  retryMs: 3000,
  startingMs: 10_000,
  admission: {},
};

/** What openPairing() is given. */
export interface PairingOptions {
  places: NodePlaces;
  /** lib/node/identity.ts, of places.data + "/identity". */
  identity: Identity;
  /** What this node is called now. */
  nodeName(): string;
  version: string;
  /** TCP for the channel and pairing, UDP (the same number) for probes of the paths. Port 0: any (tests). */
  listen: { host: string; port: number };
  recorder: Recorder;
  /** Unix ms. */
  now(): number;
  /** The VMs because of which the pair may not be dissolved now; null: it may. */
  mayRemove(): string | null;
  /** Why the other node may not be replaced now, as a sentence; null: each VM runs here alone, or is stopped. */
  mayReplace?(): string | null;
  /** Why settings do not go together with VMs that run here; null: they do. `all`: with each that runs, not only with those that take them at once. */
  unfit?(settings: PairSettings, options: { all: boolean }): string | null;
  /** This machine's addresses; by default what the system says. */
  interfaces?(): NodeInterface[];
  limits?: Partial<PairingLimits>;
}

/** The pair, as the controller sees it. What PairBackend's methods return is view(). */
export interface PairControl extends PairBackend, AsyncDisposable {
  /** Calls, answers and streams to and from the other node. There from the beginning, whether paired or not. */
  readonly channel: PeerChannel;
  /** This node's ID now: rotate() changes it. */
  readonly id: string;
  /** Port that it listens on. */
  readonly port: number;
  /** The pair but for the arbiter's state, the runners' word on the paths, and figures of VMs. */
  view(): PairView;
  /** Links, LAN, arbiter as this node sees them; null: not configured. */
  settings(): PairSettings | null;
  /** The secret of the replication lines, 64 hex digits in DATA/pair.key; null: not paired. */
  keyFile(): string | null;
  /** Names the key in it; also while there is no pair and VMs run on with a key of their own. */
  keyId(): string | null;
  /** The other node's clock minus this one's, ms; null: not known. */
  clockOffsetMs(): number | null;
  /** The other node's version; null: not known. */
  peerVersion(): string | null;
  /** Called when anything in view() but a round trip time changes. */
  onChange(listener: () => void): Disposable;
}
