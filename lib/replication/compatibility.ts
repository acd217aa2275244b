/** Whether the two hosts can hold one VM between them: the primary says with each invitation what it has, the backup compares. */

import { fixedMachine } from "../vm/machine_type.ts";
import type { Machine } from "../vm/machine.ts";
import { differentKey, type SpecKeys } from "../vm/spec_keys.ts";
import { type BackupVersions, readVersions, versionProblem, type Versions } from "./versions.ts";

/** What a host has, as it says it. */
export interface Compatibility {
  /** The host's name: an arbiter that goes by names must not take the one for the other. */
  node: string;
  /** Must go together: versions.ts. */
  versions: Versions;
  /** The VM's file: must be the same on both hosts. */
  spec: SpecKeys;
  /** Named values that must be alike. A name that only the other host has is not compared: what must be, and an older program does not
   * know, is a new protocol. */
  identity: Record<string, string>;
  /** Sizes of the disks in bytes. */
  disks: number[];
  /** QEMU's RAM blocks; empty while no QEMU runs, or its blocks are not known yet. */
  blocks: { name: string; bytes: number }[];
}

/** What this host has, and what it needs to know to judge another's. */
export interface Own extends Compatibility {
  versions: BackupVersions;
}

/** What a runner knows of its host when it begins. */
export interface HostFacts {
  /** Of iservft-edge and QEMU. */
  versions: Pick<Versions, "program" | "protocol" | "qemu"> & Pick<BackupVersions, "machines">;
  node: string;
  spec: SpecKeys;
  /** What the VM's file says of the machine type, perhaps an alias. */
  specMachine: string;
  identity: Record<string, string>;
}

/** What this host has now. */
export function compatibility(machine: Machine, own: { facts: HostFacts; disks: number }): Own {
  const { node, versions, spec, specMachine, identity } = own.facts;
  return {
    node,
    versions: { ...versions, machine: machine.machineType, fixedMachine: fixedMachine(specMachine) },
    spec,
    identity,
    disks: Array.from({ length: own.disks }, (_, index) => machine.engine.diskBytes(index)),
    blocks: machine.blocks,
  };
}

/** What is said of it to the other host. */
export function said({ versions, ...rest }: Own): Compatibility {
  const { program, protocol, qemu, machine } = versions;
  return { ...rest, versions: { program, protocol, qemu, machine } };
}

/** What came from the other host, as far as it can be compared; undefined when it is nothing of the kind. */
export function readCompatibility(raw: unknown): Compatibility | undefined {
  const theirs = (raw ?? {}) as Partial<Compatibility>;
  const versions = readVersions(theirs.versions);
  const { spec, identity, disks } = theirs;
  const values = typeof theirs.node === "string" &&
    [spec, identity].every((value) => typeof value === "object" && value !== null);
  return versions !== undefined && values && Array.isArray(disks)
    ? { ...theirs, versions } as Compatibility
    : undefined;
}

/** One sentence with both values for the first thing because of which this host cannot be the backup; undefined when it can. */
export function incompatible(theirs: Compatibility | undefined, ours: Own): string | undefined {
  if (theirs === undefined) {
    return "The other runner did not say what it has: it is of a version that this one does not understand (this is " +
      `iservft-edge ${ours.versions.program}). Install the same on both hosts.`;
  }
  if (theirs.node === ours.node) {
    return `Both hosts have the name ${JSON.stringify(ours.node)}. Give each its own: node in its host file.`;
  }
  return versionProblem({ primary: theirs.versions, backup: ours.versions }) ??
    differentKey(theirs.spec, ours.spec) ?? differentValue(theirs.identity, ours.identity) ??
    differentDisks(theirs.disks, ours.disks) ?? differentBlocks(theirs.blocks, ours.blocks);
}

function differentValue(
  theirs: Compatibility["identity"],
  ours: Compatibility["identity"],
): string | undefined {
  const name = Object.keys(ours).find((key) => theirs[key] !== ours[key]);
  if (name === undefined) return undefined;
  return `The hosts differ in ${name}: on the backup ${ours[name]}, on the primary ${
    theirs[name] ?? "nothing"
  }. Make them the same.`;
}

function differentDisks(theirs: number[], ours: number[]): string | undefined {
  if (ours.join() === theirs.join()) return undefined;
  return `The disks differ in size: on the backup ${ours.join(", ") || "none"} bytes, on the primary ${
    theirs.join(", ") || "none"
  }. Make the images on both hosts equally large.`;
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
