/** The first words of two nodes of a pair to each other, both ways. */

import { createHmac, timingSafeEqual } from "node:crypto";
import { Buffer } from "node:buffer";
import { nodeIdOf } from "../../node_id.ts";
import type { Link } from "./link.ts";
import { explained } from "../../model/problem_english.ts";
import {
  fromBody,
  type Hello,
  helloSchema,
  type Introduction,
  type Offer,
  PROTOCOLS,
  type Refusal,
  refusalSchema,
  refusalText,
  TYPE,
  versionRefusal,
} from "./messages.ts";
import type { SessionPeer } from "./session.ts";

/** Whom a node takes for the other one. */
export interface KnownPeer {
  /** IDs that are accepted: more than one while it takes a new identity. The first one is what it is called. */
  ids: readonly string[];
  name: string;
  /** The pair's secret. */
  key: Uint8Array;
  /** Where it may be reached, in this order. */
  targets: readonly Target[];
  /** False: stored here, and not yet known to be stored there. */
  settled: boolean;
}

/** A way to the other node. */
export interface Target {
  host: string;
  port: number;
  /** This node's address on that path; undefined: as the system routes. */
  local?: string | undefined;
}

/** A refusal on its way. */
export class Refused extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(refusal.error);
    this.refusal = refusal;
  }
}

export const MALFORMED: Refusal = {
  code: "malformed",
  error: "what came is not what a node says",
  hint: "Look at what connects to the nodes' port.",
};

/** What this program speaks. */
export function offerOf(version: string, protocols: { oldest: number; newest: number } = PROTOCOLS): Offer {
  return { ...protocols, version };
}

/** The ID of who shows this certificate; "" when none was shown. */
export function idOf(certificate: Uint8Array | undefined): string {
  return certificate === undefined ? "" : nodeIdOf(certificate);
}

/** What one needs in order to greet. */
export interface Greeter {
  /** This node's ID, and the other end's by its certificate. */
  ids: { own: string; theirs: string };
  address: string;
  offer: Offer;
  introduction: Introduction;
  known: KnownPeer;
}

function proofOf(key: Uint8Array, { by, to }: { by: string; to: string }): string {
  return createHmac("sha256", key).update(`iservft-edge hello ${by} ${to}`).digest("hex");
}

function helloOf({ ids, offer, introduction, known }: Greeter): Hello {
  const proof = proofOf(known.key, { by: ids.own, to: ids.theirs });
  return { kind: "peer", ...offer, introduction, proof };
}

function checked(hello: Hello | undefined, { ids, address, offer, known }: Greeter): SessionPeer {
  if (hello === undefined) throw new Refused(MALFORMED);
  const refusal = versionRefusal(offer, hello);
  if (refusal !== null) throw new Refused(refusal);
  const proof = Buffer.from(proofOf(known.key, { by: ids.theirs, to: ids.own }));
  if (!timingSafeEqual(proof, Buffer.from(hello.proof))) {
    throw new Refused({
      code: "key",
      ...refusalText(explained("pair.key")),
    });
  }
  return { id: ids.theirs, version: hello.version, introduction: hello.introduction, address };
}

/** Says hello and waits for the other side's. Throws Refused: by the other side, or by this one. */
export async function greet(link: Link, greeter: Greeter): Promise<SessionPeer> {
  link.say(TYPE.HELLO, helloOf(greeter));
  const frame = await link.next();
  if (frame === null) throw new Error(link.over ?? "the connection was closed");
  if (frame.type === TYPE.REFUSED) {
    throw new Refused(fromBody(refusalSchema, frame.body) ?? MALFORMED);
  }
  if (frame.type !== TYPE.WELCOME) throw new Refused(MALFORMED);
  return checked(fromBody(helloSchema, frame.body), greeter);
}

/** Answers the other node's hello. Throws Refused. */
export function welcome(link: Link, { body, greeter }: { body: Uint8Array; greeter: Greeter }): SessionPeer {
  const peer = checked(fromBody(helloSchema, body), greeter);
  link.say(TYPE.WELCOME, helloOf(greeter));
  return peer;
}
