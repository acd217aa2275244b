/** What is shown of the two nodes, the paths between them, and who decides. */

import { z } from "zod";
import { reasonView } from "./problem.ts";

/** A name of a node: what it is called in the pair. */
export const nodeName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9-]{0,31}$/, {
  error: "it must be 1 to 32 letters, digits or hyphens",
});

/** ISO 8601, UTC. */
export const instant = z.string();

/** One node of the pair. What is null is not known now (the other node is not heard, or did not say). */
export const nodeView = z.object({
  /** ID: the hash of its certificate, in groups. */
  id: z.string(),
  name: z.string(),
  /** True of the node that answers. */
  self: z.boolean(),
  reachable: z.boolean(),
  /** Since when it is (not) reachable. */
  since: instant.nullable(),
  version: z.string().nullable(),
  qemu: z.string().nullable(),
  kernel: z.string().nullable(),
  accel: z.enum(["kvm", "tcg"]).nullable(),
  cpu_model: z.string().nullable(),
  cpus: z.number().int().nullable(),
  memory_mib: z.number().int().nullable(),
  memory_free_mib: z.number().int().nullable(),
  disk_bytes: z.number().nullable(),
  disk_free_bytes: z.number().nullable(),
  /** The other node's clock minus this one's, ms. */
  clock_offset_ms: z.number().nullable(),
  /** False: it can look, but not run VMs. */
  privileged: z.boolean().nullable(),
  started: instant.nullable(),
  /** HTTPS address of its page; null: not known. */
  url: z.string().nullable(),
});
export type NodeView = z.infer<typeof nodeView>;

/** One path between the nodes: the replication lines and the LAN. */
export const pathView = z.object({
  name: z.enum(["a", "b", "lan"]),
  /** "unset": it is not configured. */
  state: z.enum(["up", "down", "unknown", "unset"]),
  since: instant.nullable(),
  local: z.string().nullable(),
  peer: z.string().nullable(),
  interface: z.string().nullable(),
  /** What the interface says that it can, Mbit/s. */
  speed_mbit: z.number().nullable(),
  rtt_us: z.number().nullable(),
  /** True of the line that carries the data now. */
  active: z.boolean(),
  /** Mbit/s of all VMs, out and in. */
  out_mbit: z.number().nullable(),
  in_mbit: z.number().nullable(),
});
export type PathView = z.infer<typeof pathView>;

/** Who decides when the nodes do not hear each other. */
export const arbiterView = z.object({
  kind: z.enum(["lan", "manual", "witness", "etcd"]),
  state: z.enum(["reachable", "lost", "unknown", "none"]),
  address: z.string().nullable(),
  id: z.string().nullable(),
  since: instant.nullable(),
  /** Why it is of no use, while it is lost (English); left out: it is not known here. */
  why: z.string().max(400).optional(),
});
export type ArbiterView = z.infer<typeof arbiterView>;

/** The address pair of a path, as this node sees it. */
export const pathSettings = z.strictObject({ local: z.ipv4(), peer: z.ipv4() });

/** What pairs of a site set: replicated to the other node with local and peer exchanged. */
export const pairSettings = z.strictObject({
  link_a: pathSettings,
  link_b: pathSettings.nullable(),
  lan: pathSettings.extend({
    bridge: z.string().regex(/^[A-Za-z0-9_.-]{1,15}$/),
    reference: z.ipv4().nullable(),
  }).nullable(),
  arbiter: z.enum(["lan", "manual", "witness"]),
  witness: z.strictObject({
    address: z.ipv4(),
    port: z.number().int().min(1).max(65535).default(7810),
    id: z.string(),
    pair: z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/),
  }).nullable(),
  /** ms. */
  takeover_ms: z.number().min(50).max(60000).default(150),
});
export type PairSettings = z.infer<typeof pairSettings>;

/** How far pairing is. Each step of a person is one of Backend.pair's calls. */
export const pairingView = z.discriminatedUnion("step", [
  z.object({ step: z.literal("none") }),
  /** This node shows the code that is typed on the other one. */
  z.object({
    step: z.literal("inviting"),
    code: z.string(),
    expires: instant,
    addresses: z.array(z.string()),
  }),
  z.object({ step: z.literal("joining"), address: z.string() }),
  /** Both show the same digits, which a person compares. `confirmed`: here already. */
  z.object({
    step: z.literal("comparing"),
    digits: z.string(),
    peer_name: z.string(),
    peer_id: z.string(),
    confirmed: z.boolean(),
    expires: instant,
  }),
  z.object({
    step: z.literal("failed"),
    code: z.string(),
    detail: z.string(),
    hint: z.string(),
    reason: reasonView.optional(),
  }),
  z.object({ step: z.literal("paired"), peer_name: z.string(), peer_id: z.string(), since: instant }),
]);
export type PairingView = z.infer<typeof pairingView>;

/** The pair. */
export const pairView = z.object({
  pairing: pairingView,
  settings: pairSettings.nullable(),
  paths: z.array(pathView),
  arbiter: arbiterView.nullable(),
  /** Paired, and yet the other node refuses this one: it is not paired with it any more, has another key, another version. */
  problem: z.object({ code: z.string(), detail: z.string(), hint: z.string(), reason: reasonView.optional() })
    .nullable().optional(),
});
export type PairView = z.infer<typeof pairView>;
