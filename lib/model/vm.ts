/** What is shown of a VM, and what is said to make and change one. */

import { z } from "zod";
import { instant } from "./node.ts";
import { reasonView } from "./problem.ts";

/** Where a VM is in its life, over both nodes. */
export const VM_STATES = [
  "stopped", // nowhere, because somebody wanted that
  "starting",
  "unprotected", // runs on one node alone
  "syncing", // runs, and the copy is being made
  "protected",
  "degraded", // runs, and the backup does not keep up: output may be asynchronous
  "moving", // a switchover
  "deciding", // a fault is being decided: output is held
  "taking_over",
  "waiting", // stands, and may not start: a copy that may be behind, or no leave
  "diverged", // both nodes ran it: a person picks
  "failed", // should run, and does not
  "unknown", // no node that is reachable knows
] as const;
export type VmState = typeof VM_STATES[number];

export const vmName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, {
  error: "it must be 1 to 32 small letters, digits or hyphens, and begin with a letter or digit",
});

/** A disk when a VM is made. A path is below the VM's own directory unless it is absolute. */
export const diskCreate = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("new"), size_mib: z.number().int().min(1).max(64 * 1024 * 1024) }),
  /** A raw image or block device that is on this node; on the other node one of the same size is made (or must be there, for devices). */
  z.strictObject({ kind: z.literal("existing"), path: z.string().max(1000) }),
  /** A file on this node, converted into a new raw image. The format is said, never guessed. */
  z.strictObject({
    kind: z.literal("import"),
    path: z.string().max(1000),
    format: z.enum(["qcow2", "vmdk", "vhdx", "raw"]),
  }),
]);
export type DiskCreate = z.infer<typeof diskCreate>;

/** Network cards that guests may see. */
export const NIC_MODELS = ["virtio-net", "e1000e", "e1000", "rtl8139", "vmxnet3"] as const;
export const bridgeName = z.string().regex(/^[A-Za-z0-9_.-]{1,15}$/);

export const nicCreate = z.strictObject({
  /** Left out: one is made. */
  mac: z.string().optional(),
  bridge: bridgeName.optional(),
  model: z.enum(NIC_MODELS).default("virtio-net"),
});

/** What may be done when the backup does not keep up, in this order. */
export const DEGRADATION_STEPS = ["longer", "slower", "asynchronous"] as const;

/** Of a VM's file what a form changes beside what the view has itself; as it will be at the next start. */
export const vmSettings = z.object({
  cpu: z.string(),
  stop_s: z.number(),
  nics: z.array(z.object({
    mac: z.string(),
    bridge: z.string().nullable(),
    model: z.string(),
    boot: z.number().nullable(),
  })),
  degradation: z.object({
    order: z.array(z.enum(DEGRADATION_STEPS)),
    max_added_ms: z.number(),
    throttle_max_percent: z.number(),
  }),
});
export type VmSettings = z.infer<typeof vmSettings>;

/** What a VM is made of. Everything else that a VM's file may have (lib/vm/spec.ts) goes by `spec`, keys as in the file. */
export const vmCreate = z.strictObject({
  name: vmName,
  memory_mib: z.number().int().min(64).max(65536),
  vcpus: z.number().int().min(1).max(8).default(1),
  disks: z.array(diskCreate).max(7).default([]),
  nics: z.array(nicCreate).max(8).default([]),
  /** A screen (VGA), seen in the page. */
  screen: z.boolean().default(true),
  firmware: z.enum(["bios", "uefi"]).default("bios"),
  spec: z.record(z.string(), z.unknown()).default({}),
  /** Start it when it is made. */
  start: z.boolean().default(false),
  /** Protect it as soon as it runs. */
  protect: z.boolean().default(true),
});
export type VmCreate = z.infer<typeof vmCreate>;
/** As it is sent: defaults left out. */
export type VmCreateInput = z.input<typeof vmCreate>;

/** One measurement of a VM, each second at most. What is null was not measured. */
export const vmSample = z.object({
  /** Unix time, ms. */
  t_ms: z.number(),
  checkpoints_per_s: z.number().nullable(),
  /** The VM stood still for a checkpoint, median and 99th percentile, us. */
  pause_us: z.number().nullable(),
  pause_p99_us: z.number().nullable(),
  /** Output waited for its commit, median and p99, us. */
  latency_us: z.number().nullable(),
  latency_p99_us: z.number().nullable(),
  /** Mbit/s to the other node. */
  out_mbit: z.number().nullable(),
  /** Pages of 4 KiB per checkpoint. */
  dirty_pages: z.number().nullable(),
  /** Bytes on the line per dirty page. */
  page_bytes: z.number().nullable(),
});
export type VmSample = z.infer<typeof vmSample>;

/** A sync on its way. */
export const syncView = z.object({
  done_bytes: z.number(),
  total_bytes: z.number(),
  rate_bytes_per_s: z.number(),
  eta_s: z.number().nullable(),
});

/** A planned switchover that was done, with what was measured. */
export const switchoverView = z.object({
  at: instant,
  by: z.string(),
  from: z.string(),
  to: z.string(),
  /** The guest stood still for this long, ms; null: it did not come to it. */
  pause_ms: z.number().nullable(),
  ok: z.boolean(),
  detail: z.string(),
});
export type SwitchoverView = z.infer<typeof switchoverView>;

/** What a person may do with a VM now. `why`: what is said instead when it cannot be done (English). */
export const VM_ACTIONS = [
  "start",
  "stop",
  "protect",
  "unprotect",
  "switchover",
  "delete",
  "verify",
  "confirm_peer_off",
  "promote",
  "discard",
  "yield",
] as const;
export type VmAction = typeof VM_ACTIONS[number];
export const allowed = z.object({ ok: z.boolean(), why: z.string() });

export const verdictView = z.object({
  severity: z.enum(["ok", "info", "warning", "critical"]),
  said: z.object({ code: z.string(), params: z.record(z.string(), z.union([z.string(), z.number()])) }),
  since: instant.nullable(),
  next: z.object({ code: z.string(), params: z.record(z.string(), z.union([z.string(), z.number()])) })
    .nullable(),
});

/** A VM of the pair. */
export const vmView = z.object({
  name: z.string(),
  state: z.enum(VM_STATES),
  /** The one sentence. */
  verdict: verdictView,
  /** What the runner that has it says itself (English), with all its details; null: no runner. */
  detail: z.string().nullable(),
  /** Names of nodes. */
  runs_on: z.string().nullable(),
  backup_on: z.string().nullable(),
  /** It runs, or is a copy, on the node that answers. */
  here: z.enum(["primary", "backup", "none"]),
  memory_mib: z.number().int(),
  vcpus: z.number().int(),
  disks: z.array(z.object({ path: z.string(), bytes: z.number().nullable() })),
  nics: z.array(z.object({ mac: z.string(), bridge: z.string().nullable(), model: z.string() })),
  screen: z.boolean(),
  serial: z.boolean(),
  firmware: z.string(),
  /** What somebody wants of it. */
  wanted: z.object({ running: z.boolean(), protected: z.boolean() }),
  /** Grows with each change of its settings; the other node has the same. */
  revision: z.number().int(),
  /** Settings were changed that take effect when it is started next. */
  pending: z.boolean().optional(),
  /** null: its file cannot be read. */
  settings: vmSettings.nullable().optional(),
  /** The other node has the newest settings. */
  replicated: z.boolean(),
  term: z.number().nullable(),
  epoch: z.number().nullable(),
  sync: syncView.nullable(),
  /** The newest measurement. */
  sample: vmSample.nullable(),
  actions: z.record(z.enum(VM_ACTIONS), allowed),
  last_switchover: switchoverView.nullable(),
});
export type VmView = z.infer<typeof vmView>;

/** Something that takes a while: an import, a delete, a support bundle. */
export const jobView = z.object({
  id: z.string(),
  kind: z.enum(["create", "import", "delete", "backup", "support_bundle"]),
  subject: z.string(),
  state: z.enum(["running", "done", "failed", "cancelled"]),
  /** Bytes or steps. */
  done: z.number(),
  total: z.number(),
  unit: z.enum(["bytes", "steps"]),
  rate_per_s: z.number().nullable(),
  eta_s: z.number().nullable(),
  started: instant,
  ended: instant.nullable(),
  /** What went wrong, and what to do. */
  error: z.object({ detail: z.string(), hint: z.string(), reason: reasonView.optional() }).nullable(),
});
export type JobView = z.infer<typeof jobView>;
