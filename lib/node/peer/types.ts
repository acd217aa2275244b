/** What the channel to the other node is made of. */

import type { AdmissionLimits } from "../../admission.ts";
import type { Visitor } from "../../pinned_server.ts";
import type { Identity } from "../identity.ts";
import type { Link } from "./link.ts";
import type { Refusal } from "./messages.ts";
import type { SessionPeer } from "./session.ts";

/** Somebody who wants to pair. */
export interface PairingVisitor {
  link: Link;
  /** Of its first frame. */
  body: Uint8Array;
  visitor: Visitor;
  /** Its ID. */
  theirs: string;
}

/** What the channel tells whoever keeps the pair. */
export interface PeerNodeEvents {
  /** Takes it, and ends its link. */
  pairing(visitor: PairingVisitor): Promise<void>;
  /** This one and that one are being paired at the moment. */
  isPairingWith(id: string): boolean;
  /** The other node was met, on a connection that is kept. */
  met(peer: SessionPeer): void;
  /** It refused this node, or this node refused it. */
  refused(refusal: Refusal): void;
  /** Somebody else was refused: not each time. */
  stranger(who: { address: string; id: string }): void;
  reached(reachable: boolean, why: string): void;
}

/** What PeerNode.start() is given. Times in ms. */
export interface PeerNodeOptions {
  identity: Identity;
  version: string;
  listen: { host: string; port: number };
  nodeName(): string;
  /** IPv4 addresses of this node that the other one may use. */
  addresses(): string[];
  /** Unix ms. */
  now(): number;
  heartbeatMs: number;
  silentMs: number;
  retryMs: number;
  /** For so long after its start a node may have parts that are not up yet. */
  startingMs: number;
  admission?: Partial<AdmissionLimits>;
  /** For tests alone: what it says that it speaks. */
  protocols?: { oldest: number; newest: number };
  events: PeerNodeEvents;
}
