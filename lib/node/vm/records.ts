/** What a node keeps of a VM, and what the two nodes tell each other of it. */

import { z } from "zod";
import { nodeName } from "../../model/node.ts";
import { REVISION_MAX } from "../contracts.ts";
import { switchoverView, vmName, vmSample } from "../../model/vm.ts";

/** Bytes that a VM's file may have. */
export const FILE_MAX = 64 * 1024;
/** VMs of a pair; the ports of the replication lines have to suffice, and every message its bound. */
export const VMS_MAX = 64;
/** Deleted VMs that are remembered. */
export const TOMBSTONES_MAX = 1000;
/** Switchovers that are remembered of each VM. */
export const SWITCHOVERS_MAX = 100;

/** A VM's settings: the same on both nodes. */
export const vmRecord = z.strictObject({
  /** Another VM of the same name is another one. */
  uuid: z.uuid(),
  name: vmName,
  /** Grows with each change. */
  revision: z.number().int().min(1).max(Number.MAX_SAFE_INTEGER),
  /** ID of the node that changed it last. */
  by: z.string().max(200),
  at: z.string().max(40),
  /** Its file, as it is to be from the next start on. */
  file: z.string().max(FILE_MAX),
  /** The file with which it was started last (vm.toml): what the runners of both nodes read. */
  active: z.string().max(FILE_MAX),
  /** How often somebody has started it: the settings of the pair are those of the last time. */
  starts: z.number().int().min(0),
  /** Bytes of each disk of the file, in its order: the other node makes an empty one of the same size. */
  disks: z.array(z.number().int().min(0)).max(8),
  /** Ports 7820 + 4n; null: none was needed yet. */
  number: z.number().int().min(0).max(4000).nullable(),
  wanted: z.strictObject({ running: z.boolean(), protected: z.boolean() }),
});
export type VmRecord = z.infer<typeof vmRecord>;

/** A VM that was deleted: it does not come back from a node that was away. */
export const tombstone = z.strictObject({
  uuid: z.uuid(),
  name: vmName,
  at: z.string().max(40),
  /** Its images were to go too. */
  disks: z.boolean(),
});
export type Tombstone = z.infer<typeof tombstone>;

/** The last instant that a Date can be. */
const TIME_MAX = 8.64e15;
const text = z.string().max(4000);
const count = z.number().nullable();

/** What a runner writes down across a power loss (group/metadata.ts), as far as others need it. */
export const metadataWord = z.object({
  role: z.enum(["primary", "backup", "stopped"]),
  copy: z.enum(["none", "partial", "whole", "stale", "behind", "diverged"]),
  term: z.number(),
  generation: z.number(),
});
export type MetadataWord = z.infer<typeof metadataWord>;

/** What a node's own runner of a VM says, or that there is none. */
export const vmReport = z.object({
  uuid: z.uuid(),
  name: vmName,
  /** "none": no process. "silent": there is one, and it does not answer. */
  runner: z.enum(["none", "starting", "answers", "silent"]),
  /** Why there is no runner though one is wanted; "". */
  failed: text,
  /** Phase.kind of lib/group/types.ts; "off" without runner. */
  phase: z.string().max(40),
  /** The step and the reason within the phase; "". */
  step: z.string().max(40),
  why: text,
  /** Since when it is in this phase, Unix ms; 0: not known. What is no time would end whoever shows it. */
  since_ms: z.number().min(0).max(TIME_MAX),
  sentence: text,
  term: z.number(),
  /** The other node's runner is not heard. */
  silent: z.boolean(),
  /** An operator said that the other host is off. */
  confirmed_off: z.boolean(),
  /** What an operator may say to this runner; a command that can do nothing now has why. */
  commands: z.record(z.string().max(40), z.string().max(400).nullable()),
  /** The other node's runner, by its heartbeats. */
  peer: z.object({ role: z.number(), flags: z.number() }).nullable(),
  arbiter: z.enum(["none", "unknown", "reachable", "lost"]),
  metadata: metadataWord.nullable(),
  /** "full", or what is done because the backup does not keep up. */
  pace: z.object({ slowed: z.boolean(), why: text }),
  epoch: count,
  sync: z.object({
    done_bytes: z.number(),
    total_bytes: z.number(),
    rate_bytes_per_s: z.number(),
    eta_s: count,
  }).nullable(),
  /** Heartbeats are heard on link A, link B, the LAN; the round trip, us. */
  paths: z.array(z.object({ alive: z.boolean(), rtt_us: count })).max(3),
  /** The line that carries the data: 0, 1; null: none. */
  active: z.number().nullable(),
  /** Mbit/s of both lines. */
  lines: z.array(z.object({ up: z.boolean(), out_mbit: count, in_mbit: count })).max(2),
  sample: vmSample.nullable(),
});
export type VmReport = z.infer<typeof vmReport>;

/** All that a node says of its VMs. */
export const nodeReport = z.object({
  node: nodeName,
  vms: z.array(vmReport).max(VMS_MAX),
});
export type NodeReport = z.infer<typeof nodeReport>;

/** Which settings a node has: short, so that only those that differ go over. */
export const settingsIndex = z.strictObject({
  vms: z.array(z.strictObject({ name: vmName, digest: z.string().max(64) })).max(VMS_MAX),
  tombstones: z.array(tombstone).max(TOMBSTONES_MAX),
});
export type SettingsIndex = z.infer<typeof settingsIndex>;

/** One VM's settings on their way to the other node; null: there are none. */
export const settingsOfOne = z.strictObject({
  record: vmRecord.extend({
    revision: vmRecord.shape.revision.max(REVISION_MAX),
    starts: vmRecord.shape.starts.max(REVISION_MAX),
  }),
  runs_here: z.boolean(),
  switchovers: z.array(switchoverView).max(SWITCHOVERS_MAX),
}).nullable();
export type SettingsOfOne = z.infer<typeof settingsOfOne>;

export const settingsQuestion = z.strictObject({ name: vmName, mine: settingsOfOne });
