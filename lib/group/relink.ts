/** Other lines, or another peer, for a VM that runs: what of a host's file may change without a start of its runner. */

import { RefusedError } from "../errors.ts";
import type { Phase } from "./types.ts";
import { type HostConfig, listens } from "../vm/host_config.ts";

/** What a runner is told. */
export interface Relink {
  host: HostConfig;
  /** The pair's secret: 32 bytes. */
  secret: Uint8Array<ArrayBuffer>;
}

/** Throws RefusedError unless the VM runs here alone. */
export function mustBeAlone({ kind }: Phase): void {
  if (kind === "solo") return;
  throw new RefusedError(`The VM does not run here alone (${kind})`, {
    op: "relink",
    hint: "Lines change while the VM runs without protection: unprotect it first, or stop it.",
  });
}

/** What stays as it is until the runner starts anew: its engine, its arbiter and its NICs are made of it. */
function fixed({ port, arbiter, witness, etcd, heartbeat, lan, run_dir, data_dir }: HostConfig) {
  return {
    port,
    arbiter,
    witness,
    etcd,
    "the takeover time": heartbeat,
    "the LAN's bridge": lan?.bridge,
    "the directories": [run_dir, data_dir],
  };
}

/** Throws RefusedError when `next` changes more than lines and key. */
export function checkRelink(now: HostConfig, next: HostConfig): void {
  const before = new Map(Object.entries(fixed(now)).map(([name, value]) => [name, JSON.stringify(value)]));
  const others = Object.entries(fixed(next))
    .filter(([name, value]) => before.get(name) !== JSON.stringify(value)).map(([name]) => name);
  if (others.length === 0) return;
  throw new RefusedError(
    `Not while the VM runs: ${others.join(", ")} would be another than it was started with`,
    {
      op: "relink",
      hint: "Set it for the new pair as it was for the old one; or stop the VM and start it, then it counts.",
    },
  );
}

/** The lines in the words of the engine (isf_relink). */
export function linesOf({ link, lan, port }: HostConfig): { lines: string; port: number; listen: number } {
  const [a, b] = link;
  const words = [a?.local, a?.peer, b?.local, b?.peer, lan?.local, lan?.peer];
  const reference = lan?.reference === undefined ? [undefined, undefined] : [lan.reference, lan.bridge];
  return {
    lines: [...words, ...reference].map((word) => word ?? "-").join(" "),
    port,
    listen: link.reduce((bits, one, index) => bits | (listens(one) ? 1 << index : 0), 0),
  };
}

/** Of two hosts that were told to go on in one term, this one gives way. */
export function yieldsTies({ link }: HostConfig): boolean {
  return link[0] !== undefined && !listens(link[0]);
}
