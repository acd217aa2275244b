/** The one sentence about the pair, and what happens if something dies now. Pure: what it says is only as true as the views that it is
 * given, so a VM counts as protected only if its own state says so. */

import type { NextCode, VerdictCode } from "./english.ts";
import type { ArbiterView, NodeView, PairView, PathView } from "./node.ts";
import type { Params, Severity, Verdict } from "./sentence.ts";
import type { VmState, VmView } from "./vm.ts";

type Home = Verdict<VerdictCode, NextCode>;

/** What the sentences are made of. `nodes`: this one first. */
export interface Situation {
  nodes: readonly NodeView[];
  pair: PairView;
  vms: readonly VmView[];
}

/** One answer to "what happens if this dies now". `what`: "node:NAME", "link:a", "link:b", "lan" or "arbiter". */
export interface WhatIf {
  what: string;
  verdict: Verdict<VerdictCode, NextCode>;
}

const RUNNING: readonly VmState[] = [
  "starting",
  "unprotected",
  "syncing",
  "protected",
  "degraded",
  "moving",
  "deciding",
  "taking_over",
  "diverged",
];

function say(
  severity: Severity,
  code: VerdictCode,
  more: { params?: Params; since?: string | null; next?: Home["next"] } = {},
): Home {
  const { params = {}, since = null, next = null } = more;
  return { severity, said: { code, params }, since, next };
}

function next(code: NextCode, params: Params = {}): Home["next"] {
  return { code, params };
}

/** "a, b and 3 more": bounded, so that the sentence stays one. */
function names(vms: readonly VmView[]): string {
  const first = vms.slice(0, 3).map((vm) => vm.name).join(", ");
  return vms.length > 3 ? `${first} +${vms.length - 3}` : first;
}

/** The newest change among them: since when the sentence is true. */
function since(vms: readonly VmView[]): string | null {
  return vms.map((vm) => vm.verdict.since).filter((at) => at !== null).sort().at(-1) ?? null;
}

function arbiterName({ kind }: ArbiterView): string {
  return kind === "lan" ? "gateway" : kind === "manual" ? "operator" : kind;
}

/** Of a VM the sentence that it has itself, about several their names. */
function about(vms: readonly VmView[], more: Params = {}): { params: Params; since: string | null } {
  return { params: { names: names(vms), ...more }, since: since(vms) };
}

/** What cannot wait: nobody runs, or it is not decided who does. */
function stands({ vms, nodes }: Situation): Home | undefined {
  const having = (...states: VmState[]) => vms.filter((vm) => states.includes(vm.state));
  const peer = nodes[1]?.name ?? "?";
  const diverged = having("diverged");
  if (diverged.length > 0) {
    return say("critical", "home.diverged", { ...about(diverged), next: next("next.pick") });
  }
  const failed = having("failed");
  if (failed.length > 0) {
    return say("critical", "home.vm_down", { ...about(failed), next: next("next.read_logs") });
  }
  const undecided = [...having("deciding"), ...having("waiting").filter((vm) => vm.wanted.running)];
  if (undecided.length > 0) {
    return say("critical", "home.undecided", {
      ...about(undecided),
      next: undecided.some((vm) => vm.actions.confirm_peer_off?.ok === true)
        ? next("next.confirm_off", { node: peer })
        : next("next.check_peer", { node: peer }),
    });
  }
  const moving = having("moving", "taking_over", "starting");
  if (moving.length === 0) return undefined;
  const node = moving[0]?.backup_on ?? moving[0]?.runs_on ?? peer;
  const state = moving.some((vm) => vm.state === "taking_over") ? "warning" : "info";
  return say(state, "home.moving", { ...about(moving, { node }), next: next("next.wait") });
}

/** The other node is not heard. */
function alone({ nodes, vms }: Situation): Home | undefined {
  const peer = nodes[1];
  if (peer === undefined || peer.reachable) return undefined;
  const more = { since: peer.since, next: next("next.check_peer", { node: peer.name }) };
  const unknown = vms.filter((vm) => vm.state === "unknown");
  if (unknown.length > 0) {
    return say("critical", "home.peer_lost_unknown", {
      params: { node: peer.name, names: names(unknown) },
      ...more,
    });
  }
  // One that is protected all the same is heard by its own lines; only the services do not hear each other.
  const here = vms.filter((vm) => ["unprotected", "syncing", "degraded"].includes(vm.state));
  if (here.length > 0) {
    return say("critical", "home.peer_lost", { params: { node: peer.name, names: names(here) }, ...more });
  }
  if (vms.some((vm) => vm.state === "protected")) {
    return say("warning", "home.peer_service_lost", { params: { node: peer.name }, ...more });
  }
  return say("warning", "home.peer_lost_idle", { params: { node: peer.name }, ...more });
}

function percent(vm: VmView | undefined): number {
  const sync = vm?.sync;
  return sync == null || sync.total_bytes === 0
    ? 0
    : Math.min(99, Math.floor(100 * sync.done_bytes / sync.total_bytes));
}

/** It runs, and losing a machine would cost something. */
function exposed(running: readonly VmView[]): Home | undefined {
  const lacking = running.filter((vm) => vm.state === "unprotected");
  if (lacking.length > 0) {
    const wanted = lacking.some((vm) => vm.wanted.protected);
    return say(wanted ? "critical" : "warning", "home.some_unprotected", {
      ...about(lacking, { count: lacking.length, total: running.length }),
      next: wanted ? lacking[0]?.verdict.next as Home["next"] ?? next("next.wait") : next("next.protect"),
    });
  }
  const syncing = running.filter((vm) => vm.state === "syncing");
  if (syncing.length > 0) {
    const eta = Math.max(...syncing.map((vm) => vm.sync?.eta_s ?? 0));
    return say("warning", "home.syncing", {
      ...about(syncing, { node: syncing[0]?.backup_on ?? "?", percent: percent(syncing[0]) }),
      next: eta > 0 ? next("next.wait_sync", { seconds: Math.ceil(eta) }) : next("next.wait"),
    });
  }
  const behind = running.filter((vm) => vm.state === "degraded");
  if (behind.length > 0) {
    return say("warning", "home.degraded", { ...about(behind), next: next("next.faster_link") });
  }
}

/** All are protected; what is missing to be at ease? */
function covered({ pair }: Situation, running: readonly VmView[]): Home {
  const { arbiter } = pair;
  if (arbiter?.state === "lost") {
    return say("warning", "home.protected_no_arbiter", {
      params: { arbiter: arbiterName(arbiter) },
      since: arbiter.since,
      next: next("next.check_arbiter", { arbiter: arbiterName(arbiter) }),
    });
  }
  const lan = pair.paths.find((path) => path.name === "lan" && path.state === "down");
  if (lan !== undefined) {
    const check = next("next.check_line", { line: "LAN" });
    return say("warning", "home.protected_no_lan", { since: lan.since, next: check });
  }
  const down = pair.paths.find((path) => path.name !== "lan" && path.state === "down");
  if (down !== undefined) {
    const line = down.name.toUpperCase();
    return say("warning", "home.protected_one_line", {
      params: { line },
      since: down.since,
      next: next("next.check_line", { line }),
    });
  }
  return say("ok", arbiter?.kind === "manual" ? "home.protected_manual" : "home.protected", {
    since: since(running),
  });
}

/** The one sentence about the pair. */
export function homeVerdict(situation: Situation): Home {
  const { nodes, vms, pair } = situation;
  const urgent = stands(situation) ?? alone(situation);
  if (urgent !== undefined) return urgent;
  if (nodes.length < 2) return say("info", "home.no_pair", { next: next("next.pair") });
  if (pair.settings === null) return say("info", "home.no_vms", { next: next("next.set_up_links") });
  if (vms.length === 0) return say("info", "home.no_vms", { next: next("next.create_vm") });
  const unknown = vms.filter((vm) => vm.state === "unknown");
  if (unknown.length > 0) {
    return say("warning", "home.unknown", { ...about(unknown), next: next("next.wait") });
  }
  const running = vms.filter((vm) => RUNNING.includes(vm.state));
  if (running.length === 0) return say("info", "home.stopped", { next: next("next.start_vm") });
  return exposed(running) ?? covered(situation, running);
}

/** One host dies. */
function nodeDies(node: NodeView, { nodes, vms, pair }: Situation): Home[] {
  const other = nodes.find((one) => one.name !== node.name)?.name ?? "?";
  const on = (state: (vm: VmView) => boolean) => vms.filter((vm) => RUNNING.includes(vm.state) && state(vm));
  const here = on((vm) => vm.runs_on === node.name);
  const safe = here.filter((vm) => vm.state === "protected");
  const lost = here.filter((vm) => vm.state !== "protected");
  const elsewhere = on((vm) => vm.runs_on !== node.name);
  const answers: Home[] = [];
  if (safe.length > 0) {
    const said = about(safe, { node: other, lost: node.name });
    if (pair.arbiter?.kind === "manual") answers.push(say("warning", "if.node_waits_person", said));
    else if (pair.arbiter?.state === "lost") {
      const arbiter = arbiterName(pair.arbiter);
      answers.push(say("warning", "if.node_waits", { ...said, params: { ...said.params, arbiter } }));
    } else answers.push(say("ok", "if.node_goes_on", said));
  }
  if (lost.length > 0) answers.push(say("critical", "if.node_dies_too", about(lost)));
  const bare = elsewhere.every((vm) => vm.state === "unprotected");
  const gone = !node.reachable && bare ? "if.node_gone" : "if.node_backup";
  if (elsewhere.length > 0) answers.push(say("info", gone, about(elsewhere)));
  return answers.length > 0 ? answers : [say("info", "if.nothing")];
}

/** A replication line dies. */
function lineDies(path: PathView, { pair, vms }: Situation): Home {
  if (path.state === "unset") return say("info", "if.unset");
  if (path.state === "down") return say("warning", "if.line_down", { since: path.since });
  if (!vms.some((vm) => RUNNING.includes(vm.state))) return say("info", "if.nothing");
  const other = pair.paths.find((one) => one.name !== "lan" && one.name !== path.name);
  if (other?.state !== "up") return say("warning", "if.line_last");
  return path.active ? say("ok", "if.line_moves") : say("ok", "if.line_spare");
}

function arbiterDies(arbiter: ArbiterView, { vms }: Situation): Home {
  if (arbiter.kind === "manual") return say("info", "if.manual");
  if (arbiter.state === "lost") return say("warning", "if.witness_down", { since: arbiter.since });
  if (!vms.some((vm) => vm.state === "protected")) return say("info", "if.arbiter_idle");
  return say("info", arbiter.kind === "lan" ? "if.gateway" : "if.witness");
}

/** What happens if this were to die now: each node, each line, the LAN, the arbiter. */
export function whatIf(situation: Situation): WhatIf[] {
  const { nodes, pair } = situation;
  const lan = pair.paths.find((path) => path.name === "lan");
  return [
    ...nodes.flatMap((node) =>
      nodeDies(node, situation).map((verdict) => ({ what: `node:${node.name}`, verdict }))
    ),
    ...pair.paths.filter((path) => path.name !== "lan").map((path) => ({
      what: `link:${path.name}`,
      verdict: lineDies(path, situation),
    })),
    ...(lan === undefined || lan.state === "unset" ? [] : [{
      what: "lan",
      verdict: lan.state === "down"
        ? say("warning", "if.lan_down", { since: lan.since })
        : say("warning", "if.lan"),
    }]),
    ...(pair.arbiter === null ? [] : [{ what: "arbiter", verdict: arbiterDies(pair.arbiter, situation) }]),
  ];
}
