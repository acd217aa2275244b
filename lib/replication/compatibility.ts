/** Whether the two hosts can hold one VM between them: the primary says with each invitation what it has, the backup compares. */

import type { Machine } from "../vm/machine.ts";

/** What both hosts must have alike, but for their names. */
export interface Compatibility {
  /** The host's name: an arbiter that goes by names must not take the one for the other. */
  node: string;
  /** Named values, e.g. the spec's digest, the QEMU version: compared one by one. */
  identity: Record<string, string>;
  /** Sizes of the disks in bytes. */
  disks: number[];
  /** QEMU's RAM blocks; empty while no QEMU runs, or its blocks are not known yet. */
  blocks: { name: string; bytes: number }[];
}

/** What this host has. */
export function compatibility(
  machine: Machine,
  own: { node: string; identity: Record<string, string>; disks: number },
): Compatibility {
  return {
    node: own.node,
    identity: own.identity,
    disks: Array.from({ length: own.disks }, (_, index) => machine.engine.diskBytes(index)),
    blocks: machine.blocks,
  };
}

/** One sentence with both values for the first thing that differs; undefined when nothing does. */
export function incompatible(theirs: Compatibility | undefined, ours: Compatibility): string | undefined {
  if (theirs === undefined || typeof theirs.identity !== "object" || !Array.isArray(theirs.disks)) {
    return "The other runner did not say what it has: it is of another version. Install the same on both hosts.";
  }
  if (theirs.node === ours.node) {
    return `Both hosts have the name ${JSON.stringify(ours.node)}. Give each its own: node in its host file.`;
  }
  for (const name of new Set([...Object.keys(ours.identity), ...Object.keys(theirs.identity)])) {
    const [here, there] = [ours.identity[name] ?? "nothing", theirs.identity[name] ?? "nothing"];
    if (here !== there) {
      return `The hosts differ in ${name}: here ${here}, there ${there}. Make them the same.`;
    }
  }
  if (ours.disks.join() !== theirs.disks.join()) {
    return `The disks differ in size: here ${ours.disks.join(", ") || "none"} bytes, there ${
      theirs.disks.join(", ") || "none"
    }. Make the images on both hosts equally large.`;
  }
  return differentBlocks(theirs.blocks, ours.blocks);
}

function differentBlocks(theirs: Compatibility["blocks"], ours: Compatibility["blocks"]): string | undefined {
  if (ours.length === 0 || !Array.isArray(theirs) || theirs.length === 0) return undefined;
  const text = (blocks: Compatibility["blocks"]) => blocks.map((block) => `${block.name} ${block.bytes}`);
  const [here, there] = [text(ours), text(theirs)];
  const odd = here.find((block) => !there.includes(block)) ?? there.find((block) => !here.includes(block));
  return odd === undefined && here.length === there.length
    ? undefined
    : `QEMU's memory blocks differ (${odd ?? "their number"}). Use the same QEMU and firmware on both hosts.`;
}
