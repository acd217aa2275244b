/** The one sentence about a VM. Pure. */

import type { NextCode, VerdictCode } from "../../model/english.ts";
import type { Params, Severity, Verdict } from "../../model/sentence.ts";
import type { Situation } from "./view.ts";

interface Said {
  severity: Severity;
  code: VerdictCode;
  params?: Params;
  next?: { code: NextCode; params: Params } | null;
}

function next(code: NextCode, params: Params = {}): { code: NextCode; params: Params } {
  return { code, params };
}

/** How much of the copy is there. */
export function percentOf(sync: { done_bytes: number; total_bytes: number } | null): number {
  return sync === null || sync.total_bytes === 0
    ? 0
    : Math.min(99, Math.floor(100 * sync.done_bytes / sync.total_bytes));
}

/** A person may say that the other node is off, and has not. */
export function mayConfirm({ here }: Situation): boolean {
  return here.commands["confirm_peer_off"] === null && !here.confirmed_off &&
    ["deciding", "asking", "waiting", "stale", "behind", "diverged"].includes(here.phase);
}

function unprotected(situation: Situation): Said {
  const { record, runs_on, peer, reachable, holder, here, there } = situation;
  const params = { node: runs_on ?? "?" };
  if (!record.wanted.protected) {
    return { severity: "warning", code: "state.unprotected_wanted", params, next: next("next.protect") };
  }
  const other = holder === here ? there : here;
  if (other !== null && other.failed !== "") {
    return { severity: "critical", code: "state.unprotected", params, next: next("next.read_logs") };
  }
  // Their services hear each other by the LAN, the copy goes by the lines: nothing gets better by waiting.
  const lines = holder?.lines ?? [];
  if (reachable && lines.length > 0 && lines.every(({ up }) => !up)) {
    const line = lines.map((_, index) => "AB"[index]).join(", ");
    return {
      severity: "critical",
      code: "state.unprotected",
      params,
      next: next("next.check_line", { line }),
    };
  }
  const look = reachable ? next("next.wait") : next("next.check_peer", { node: peer ?? "?" });
  return { severity: "critical", code: "state.unprotected", params, next: look };
}

function syncing({ holder, backup_on, peer }: Situation): Said {
  const sync = holder?.sync ?? null;
  const eta = sync?.eta_s ?? null;
  return {
    severity: "warning",
    code: "state.syncing",
    params: { node: backup_on ?? peer ?? "?", percent: percentOf(sync) },
    next: eta === null ? next("next.wait") : next("next.wait_sync", { seconds: Math.ceil(eta) }),
  };
}

function guarded({ here, there, holder }: Situation): Said {
  // Either may be the one that is left.
  if (here.arbiter === "lost" || there?.arbiter === "lost") {
    const check = next("next.check_arbiter", { arbiter: "witness" });
    return { severity: "warning", code: "state.protected_no_arbiter", next: check };
  }
  if (holder?.pace.slowed === true) {
    return { severity: "warning", code: "state.protected_slow", next: next("next.faster_link") };
  }
  return { severity: "ok", code: "state.protected" };
}

function waiting(situation: Situation): Said {
  const { here, there, why, peer } = situation;
  const node = { node: peer ?? "?" };
  const promotes = [here, there].some((report) => report?.commands["promote"] === null);
  return {
    severity: "critical",
    code: "state.waiting",
    params: { why },
    next: promotes
      ? next("next.promote", node)
      : mayConfirm(situation)
      ? next("next.confirm_off", node)
      : next("next.check_peer", node),
  };
}

function said(situation: Situation): Said {
  const { state, runs_on, node, peer, why } = situation;
  const other = { node: peer ?? "?" };
  switch (state) {
    case "stopped":
      return { severity: "info", code: "state.stopped", next: next("next.start_vm") };
    case "starting":
      return {
        severity: "info",
        code: "state.starting",
        params: { node: runs_on ?? node },
        next: next("next.wait"),
      };
    case "unprotected":
      return unprotected(situation);
    case "syncing":
      return syncing(situation);
    case "protected":
      return guarded(situation);
    case "degraded":
      return {
        severity: "warning",
        code: "state.degraded",
        params: { node: runs_on ?? "?" },
        next: next("next.faster_link"),
      };
    case "moving":
      return { severity: "info", code: "state.moving", next: next("next.wait") };
    case "deciding":
      return {
        severity: "critical",
        code: "state.deciding",
        next: mayConfirm(situation) ? next("next.confirm_off", other) : next("next.wait"),
      };
    case "taking_over":
      return {
        severity: "warning",
        code: "state.taking_over",
        params: { node: runs_on ?? "?" },
        next: next("next.wait"),
      };
    case "waiting":
      return waiting(situation);
    case "diverged":
      return { severity: "critical", code: "state.diverged", next: next("next.pick") };
    case "failed":
      return { severity: "critical", code: "state.failed", params: { why }, next: next("next.read_logs") };
    case "unknown":
      return {
        severity: "critical",
        code: "state.unknown",
        params: other,
        next: next("next.check_peer", other),
      };
    default:
      return state satisfies never;
  }
}

/** Since when: by the report that the state is from. */
function since({ holder, here, there, state }: Situation): string | null {
  const about = holder ??
    (state === "unknown" || state === "stopped" ? null : here.since_ms > 0 ? here : there);
  return about === null || about.since_ms <= 0 ? null : new Date(about.since_ms).toISOString();
}

export function verdictOf(situation: Situation): Verdict<VerdictCode, NextCode> {
  const { severity, code, params = {}, next: then = null } = said(situation);
  return { severity, said: { code, params }, since: since(situation), next: then };
}
