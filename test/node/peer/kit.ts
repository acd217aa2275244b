/** Two nodes' ends of the channel, in this process. */

import type { EventCode } from "../../../lib/model/english.ts";
import type { NewEvent } from "../../../lib/model/event.ts";
import { makeCertifiedKey } from "../../../lib/node/certificate.ts";
import type { Recorder } from "../../../lib/node/contracts.ts";
import type { Identity } from "../../../lib/node/identity.ts";
import type { KnownPeer, Target } from "../../../lib/node/peer/greeting.ts";
import type { Refusal } from "../../../lib/node/peer/messages.ts";
import { PeerNode } from "../../../lib/node/peer/peer_node.ts";
import type { PeerNodeOptions } from "../../../lib/node/peer/types.ts";
import { nodeIdOf } from "../../../lib/node_id.ts";

export const HOST = "127.0.0.1";
export const KEY = new Uint8Array(32).fill(7);
/** Time after which a test's wait has failed, ms: far beyond what it takes. */
const PATIENCE_MS = 20_000;

/** An identity that is nowhere on disk. */
export function newIdentity(): Identity {
  const { key, certificate, der } = makeCertifiedKey();
  return { id: nodeIdOf(der), key, certificate };
}

/** A promise that fails instead of waiting for ever. */
export function soon<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it never came: ${what}`)), PATIENCE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Waits until something is so. */
export async function until(what: string, so: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; !await so();) {
    if (performance.now() > end) throw new Error(`it never came to be: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Keeps what is recorded. */
export class Records implements Recorder {
  readonly events: NewEvent[] = [];

  event(event: NewEvent): void {
    this.events.push(event);
  }

  sample(): void {}

  of(code: EventCode): NewEvent[] {
    return this.events.filter((event) => event.code === code);
  }
}

/** A node's end, and what it told. */
export interface End extends AsyncDisposable {
  node: PeerNode;
  identity: Identity;
  refusals: Refusal[];
  strangers: string[];
  reached: [boolean, string][];
  met: string[];
}

export async function endOf(options: Partial<PeerNodeOptions> & { name?: string } = {}): Promise<End> {
  const { name = "n", ...rest } = options;
  const identity = options.identity ?? newIdentity();
  const told = { refusals: [] as Refusal[], strangers: [] as string[], reached: [] as [boolean, string][] };
  const met: string[] = [];
  const node = await PeerNode.start({
    identity,
    version: "1.0.0",
    listen: { host: "0.0.0.0", port: 0 },
    nodeName: () => name,
    addresses: () => [HOST],
    now: Date.now,
    heartbeatMs: 50,
    silentMs: 8000,
    retryMs: 100,
    startingMs: 0,
    events: {
      pairing: ({ link }) => Promise.resolve(link.end("no pairing here")),
      isPairingWith: () => false,
      met: (peer) => void met.push(peer.introduction.name),
      refused: (refusal) => void told.refusals.push(refusal),
      stranger: ({ id }) => void told.strangers.push(id),
      reached: (reachable, why) => void told.reached.push([reachable, why]),
    },
    ...rest,
  });
  return { node, identity, ...told, met, [Symbol.asyncDispose]: () => node[Symbol.asyncDispose]() };
}

/** What one end is told of the other. */
export function knowing(other: End, options: { targets?: Target[]; key?: Uint8Array } = {}): KnownPeer {
  const targets = options.targets ?? [{ host: HOST, port: other.node.port }];
  return { ids: [other.identity.id], name: "other", key: options.key ?? KEY, targets, settled: true };
}

/** Two ends that know each other. */
export async function twoEnds(
  options: { a?: Partial<PeerNodeOptions>; b?: Partial<PeerNodeOptions> } = {},
): Promise<{ a: End; b: End } & AsyncDisposable> {
  const a = await endOf({ name: "a", ...options.a });
  const b = await endOf({ name: "b", ...options.b });
  a.node.know(knowing(b));
  b.node.know(knowing(a));
  await until("both are reachable", () => a.node.reachable && b.node.reachable);
  return {
    a,
    b,
    async [Symbol.asyncDispose]() {
      await a[Symbol.asyncDispose]();
      await b[Symbol.asyncDispose]();
    },
  };
}
