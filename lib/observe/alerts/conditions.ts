/** Which conditions hold, as the snapshot shows them: pure. How long each must last before people are told is said with it. */

import type { Snapshot } from "../../model/backend.ts";
import { type AlertCode, english } from "../../model/english.ts";
import type { NodeView } from "../../model/node.ts";
import type { Params } from "../../model/sentence.ts";
import type { VmView } from "../../model/vm.ts";
import type { AlertExtras } from "../contracts.ts";

/** Something that is wrong now. */
export interface Condition {
  key: string;
  severity: "warning" | "critical";
  code: AlertCode;
  params: Params;
  text: string;
  /** It is told of when it has lasted this long. */
  hold_ms: number;
  /** Both nodes see it: one of them tells. */
  shared: boolean;
  /** It cannot be told now whether it still holds: what was raised stays raised, and nothing new is. */
  quiet: boolean;
}

const MOST_CHECKS = 50;
const CLOCK_MS = 5_000;

function condition(
  key: string,
  code: AlertCode,
  rest: { params: Params; severity: Condition["severity"]; hold_s: number } & Partial<Condition>,
): Condition {
  const { params, hold_s, severity, shared = true, quiet = false } = rest;
  const text = english({ code, params });
  return { key, code, params, severity, hold_ms: hold_s * 1000, shared, quiet, text };
}

const UNPROTECTED = (vm: VmView, hold_s: number) =>
  condition(`vm/${vm.name}/unprotected`, "alert.vm_unprotected", {
    params: { vm: vm.name, node: vm.runs_on ?? "?" },
    ...{ severity: "warning", hold_s },
  });

/** What is wrong with a VM, all of it: a state has at most one, and "unknown" leaves each as it was. */
function ofVm(vm: VmView): Condition[] {
  const of = (
    what: string,
    code: AlertCode,
    rest: { severity: Condition["severity"]; hold_s: number; quiet?: boolean },
  ) =>
    condition(`vm/${vm.name}/${what}`, code, { params: { vm: vm.name, node: vm.runs_on ?? "?" }, ...rest });
  const wanted = vm.wanted.running && vm.wanted.protected;
  switch (vm.state) {
    case "unprotected":
      return wanted ? [UNPROTECTED(vm, 30)] : [];
    case "syncing":
      // After a start or an outage a copy takes its time: only one that does not come to an end is news.
      return wanted ? [UNPROTECTED(vm, 600)] : [];
    case "degraded":
      return [of("degraded", "alert.vm_degraded", { severity: "warning", hold_s: 30 })];
    case "deciding":
      return [of("deciding", "alert.vm_deciding", { severity: "critical", hold_s: 10 })];
    case "waiting":
      return vm.wanted.running
        ? [of("waiting", "alert.vm_waiting", { severity: "critical", hold_s: 15 })]
        : [];
    case "diverged":
      return [of("diverged", "alert.vm_diverged", { severity: "critical", hold_s: 0 })];
    case "failed":
      return [of("failed", "alert.vm_failed", { severity: "critical", hold_s: 5 })];
    case "unknown":
      return [
        { ...UNPROTECTED(vm, 30), quiet: true },
        of("degraded", "alert.vm_degraded", { severity: "warning", hold_s: 30, quiet: true }),
        of("deciding", "alert.vm_deciding", { severity: "critical", hold_s: 10, quiet: true }),
        of("waiting", "alert.vm_waiting", { severity: "critical", hold_s: 15, quiet: true }),
        of("diverged", "alert.vm_diverged", { severity: "critical", hold_s: 0, quiet: true }),
        of("failed", "alert.vm_failed", { severity: "critical", hold_s: 5, quiet: true }),
      ];
    case "stopped":
    case "starting":
    case "protected":
    case "moving":
    case "taking_over":
      return [];
    default:
      return vm.state satisfies never;
  }
}

const ARBITERS: Record<string, string> = {
  lan: "gateway",
  witness: "witness",
  etcd: "etcd",
  manual: "arbiter",
};

function ofPair(snapshot: Snapshot, peer: NodeView | undefined): Condition[] {
  if (snapshot.pair.pairing.step !== "paired") return [];
  const found: Condition[] = [];
  const lost = peer !== undefined && !peer.reachable;
  if (lost) {
    found.push(condition(`node/${peer.name}/lost`, "alert.peer_lost", {
      ...{ params: { node: peer.name }, severity: "critical", hold_s: 10, shared: false },
    }));
  }
  for (const path of snapshot.pair.paths) {
    if (path.state !== "down" && path.state !== "unknown") continue;
    // While the other node is away its lines are dead as well: one thing is told, not three.
    const quiet = lost || path.state === "unknown";
    if (path.name === "lan") {
      found.push(
        condition("link/lan/down", "alert.lan_down", { params: {}, severity: "warning", hold_s: 5, quiet }),
      );
    } else {
      const line = path.name.toUpperCase();
      found.push(condition(`link/${path.name}/down`, "alert.line_down", {
        ...{ params: { line }, severity: "warning", hold_s: 5, quiet },
      }));
    }
  }
  const { arbiter } = snapshot.pair;
  if (arbiter !== null && (arbiter.state === "lost" || arbiter.state === "unknown")) {
    found.push(condition("arbiter/lost", "alert.arbiter_lost", {
      params: { arbiter: ARBITERS[arbiter.kind] ?? arbiter.kind },
      ...{ severity: "warning", hold_s: 15, quiet: arbiter.state === "unknown" },
    }));
  }
  const offset = peer?.clock_offset_ms;
  if (offset !== null && offset !== undefined && Math.abs(offset) > CLOCK_MS) {
    found.push(condition("clock/offset", "alert.clock_offset", {
      ...{ params: { ms: Math.round(Math.abs(offset)) }, severity: "warning", hold_s: 60 },
    }));
  }
  return found;
}

function ofSelf(self: NodeView, extras: AlertExtras, eventsProblem: string | null): Condition[] {
  const found: Condition[] = [];
  const own = { shared: false, hold_s: 15 } as const;
  const node = self.name;
  if (self.disk_bytes !== null && self.disk_free_bytes !== null && self.disk_bytes > 0) {
    const percent = Math.floor((self.disk_free_bytes / self.disk_bytes) * 1000) / 10;
    if (percent < 10) {
      found.push(condition(`node/${node}/disk`, "alert.disk_full", {
        ...{ ...own, params: { node, percent }, severity: percent < 3 ? "critical" : "warning" },
      }));
    }
  }
  for (
    const check of extras.checks.filter((check) => check.node === node && check.state === "failed").slice(
      0,
      MOST_CHECKS,
    )
  ) {
    found.push(condition(`check/${node}/${check.id}`, "alert.check_failed", {
      ...{ ...own, params: { check: check.id, node, seen: check.seen }, severity: "warning" },
    }));
  }
  if (extras.audit !== null) {
    found.push(condition(`node/${node}/audit`, "alert.audit_broken", {
      ...{ ...own, hold_s: 0, params: { node, why: extras.audit }, severity: "critical" },
    }));
  }
  if (eventsProblem !== null) {
    found.push(condition(`node/${node}/events`, "alert.events_lost", {
      ...{ ...own, params: { node, why: eventsProblem }, severity: "warning" },
    }));
  }
  return found;
}

/** All that is wrong. */
export function conditionsOf(
  snapshot: Snapshot,
  extras: AlertExtras,
  eventsProblem: string | null,
): Condition[] {
  const self = snapshot.nodes.find((node) => node.self);
  const peer = snapshot.nodes.find((node) => !node.self);
  return [
    ...snapshot.vms.flatMap(ofVm),
    ...ofPair(snapshot, peer),
    ...(self === undefined ? [] : ofSelf(self, extras, eventsProblem)),
  ];
}

/** Whether this node is the one of the two that tells of what both see: the smaller ID, as long as the other one is heard. */
export function firstOfTwo(snapshot: Snapshot): boolean {
  const self = snapshot.nodes.find((node) => node.self);
  const peer = snapshot.nodes.find((node) => !node.self);
  return self === undefined || peer === undefined || !peer.reachable || self.id <= peer.id;
}
