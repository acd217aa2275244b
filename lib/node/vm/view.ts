/** From what both nodes say of a VM to what is shown of it. Pure. It says "protected" only when the node that has the VM says so now, and
 * nothing that this node sees speaks against it. */

import type { SwitchoverView, VmSettings, VmState, VmView } from "../../model/vm.ts";
import type { VmSpec } from "../../vm/spec.ts";
import { hasVm } from "./phases.ts";
import type { VmRecord, VmReport } from "./records.ts";
import { actionsOf } from "./view_actions.ts";
import { verdictOf } from "./view_verdict.ts";

export interface ViewFacts {
  record: VmRecord;
  /** The VM's file, read; null: it cannot be. */
  spec: VmSpec | null;
  node: string;
  /** The other node's name; null: not paired. */
  peer: string | null;
  reachable: boolean;
  /** The pair's lines are set up. */
  configured: boolean;
  here: VmReport;
  /** The other node's report; null: it has not said anything new. */
  there: VmReport | null;
  /** The other node is heard, and does not have this VM. */
  absent: boolean;
  /** The other node has these settings. */
  replicated: boolean;
  last_switchover: SwitchoverView | null;
}

/** What the two reports come to. */
export interface Situation extends ViewFacts {
  state: VmState;
  /** The report of the node that has the VM. */
  holder: VmReport | null;
  /** Names. */
  runs_on: string | null;
  backup_on: string | null;
  /** Why it is not what it should be; "". */
  why: string;
}

/** FLAGS.DIVERGED of lib/group/types.ts. */
const DIVERGED = 128;

const COPY_PHASES = new Set(["joining", "receiving", "ready", "behind", "asking"]);

/** The report of whoever has the VM: of two the one with the newer term, since the other one's is from before. */
function holderOf({ here, there }: ViewFacts): VmReport | null {
  const mine = hasVm(here.phase);
  const theirs = there !== null && hasVm(there.phase);
  if (mine && theirs) return there.term > here.term ? there : here;
  return mine ? here : theirs ? there : null;
}

function running(holder: VmReport, facts: ViewFacts): VmState {
  const other = holder === facts.here ? facts.there : facts.here;
  if (other?.phase === "diverged" || ((holder.peer?.flags ?? 0) & DIVERGED) !== 0) return "diverged";
  switch (holder.phase) {
    case "starting":
      return "starting";
    case "solo":
      return "unprotected";
    case "syncing":
      return "syncing";
    case "handing":
      return "moving";
    case "asynchronous":
      return ["asking", "returning"].includes(holder.step) ? confirmed(holder, facts) : "degraded";
    case "protected":
      return confirmed(holder, facts);
    default:
      return other?.phase === "promoting" ? "taking_over" : "deciding";
  }
}

/** The holder says that it is protected: does the other node's own runner say what belongs to it? */
function confirmed(holder: VmReport, { here, there }: ViewFacts): VmState {
  const other = holder === here ? there : here;
  if (other === null) return "protected";
  switch (other.phase) {
    case "ready":
      return "protected";
    case "behind":
      return "degraded";
    case "joining":
    case "receiving":
      return "syncing";
    case "asking":
      return "deciding";
    case "promoting":
      return "taking_over";
    default:
      return other.runner === "silent" ? "protected" : "unprotected";
  }
}

/** Nobody who is heard has it. */
function idle(facts: ViewFacts): { state: VmState; why: string } {
  const { here, there, record, peer, absent } = facts;
  const reports = there === null ? [here] : [here, there];
  const phases = reports.map(({ phase }) => phase);
  const first = (wanted: string) => reports.find(({ phase }) => phase === wanted);
  if (phases.includes("diverged")) return { state: "diverged", why: first("diverged")?.why ?? "" };
  if (phases.includes("promoting")) return { state: "taking_over", why: "" };
  const asking = first("asking");
  if (asking !== undefined) return { state: "deciding", why: asking.why };
  if (!record.wanted.running) return { state: "stopped", why: "" };
  // This node's copy is whole, so the VM was just on the other one.
  if (phases.includes("ready")) return { state: there === null ? "unknown" : "taking_over", why: "" };
  const behind = first("behind");
  if (behind !== undefined) {
    return { state: there === null && !here.silent ? "unknown" : "waiting", why: "its copy is behind" };
  }
  const failed = reports.find((report) => report.failed !== "");
  if (failed !== undefined && there !== null) return { state: "failed", why: failed.failed };
  if (there === null && peer !== null && !absent && !knows(here)) return { state: "unknown", why: "" };
  if (failed !== undefined) return { state: "failed", why: failed.failed };
  const waiting = reports.find(({ phase, why }) => phase === "waiting" && why !== "it has just started") ??
    first("stale") ?? first("yielded");
  if (waiting === undefined || reports.some(({ runner }) => runner === "starting")) {
    return { state: "starting", why: "" };
  }
  if (absent) return { state: "waiting", why: "the other node has not taken this VM: its events say why" };
  return { state: "waiting", why: waiting.why || "its copy is out of date" };
}

/** Its own lines tell this node that the other one does not have the VM, or are all silent, so that it is for a person to say. */
function knows({ runner, phase, silent, peer }: VmReport): boolean {
  if (runner !== "answers" || phase === "off") return false;
  return silent || (peer !== null && peer.role !== 2);
}

export function situationOf(facts: ViewFacts): Situation {
  const { here, there, node, peer } = facts;
  const holder = holderOf(facts);
  if (holder === null) {
    const { state, why } = idle(facts);
    const taking = [here, there].find((report) => report?.phase === "promoting" || report?.phase === "ready");
    const runs_on = state === "taking_over" ? (taking === here ? node : peer) : null;
    return { ...facts, state, why, holder, runs_on, backup_on: null };
  }
  const mine = holder === here;
  const other = mine ? there : here;
  const copied = other === null
    ? ["syncing", "protected", "asynchronous", "handing"].includes(holder.phase)
    : COPY_PHASES.has(other.phase);
  return {
    ...facts,
    state: running(holder, facts),
    why: holder.why,
    holder,
    runs_on: mine ? node : peer,
    backup_on: !copied ? null : mine ? peer : node,
  };
}

/** Whose words count: when the VM is lost, those of whoever noticed it. */
function speaker({ state, holder, here, there }: Situation): VmReport {
  const notices = (report: VmReport | null) => report?.phase === "asking" || report?.phase === "promoting";
  if (state === "deciding" || state === "taking_over") {
    if (notices(here)) return here;
    if (there !== null && notices(there)) return there;
  }
  return holder ?? (here.sentence === "" && there !== null ? there : here);
}

/** What a form shows of a file. */
export function settingsOf({ cpu, stop_s, nic, degradation }: VmSpec): VmSettings {
  const nics = nic.map(({ mac, bridge, model, boot }) => ({
    ...{ mac, model },
    bridge: bridge ?? null,
    boot: boot ?? null,
  }));
  return { cpu, stop_s, nics, degradation };
}

export function vmView(facts: ViewFacts): VmView {
  const situation = situationOf(facts);
  const { record, spec, here, node, holder, state } = situation;
  return {
    name: record.name,
    state,
    verdict: verdictOf(situation),
    detail: speaker(situation).sentence || null,
    runs_on: situation.runs_on,
    backup_on: situation.backup_on,
    here: situation.runs_on === node ? "primary" : COPY_PHASES.has(here.phase) ? "backup" : "none",
    memory_mib: spec?.memory ?? 0,
    vcpus: spec?.vcpus ?? 0,
    disks: (spec?.disk ?? []).map(({ path }, index) => ({ path, bytes: record.disks[index] ?? null })),
    nics: (spec?.nic ?? []).map(({ mac, bridge, model }) => ({ mac, bridge: bridge ?? null, model })),
    screen: spec?.vga ?? false,
    serial: spec?.serial === "socket",
    firmware: spec === null || spec.firmware === "bios" ? "bios" : "uefi",
    wanted: record.wanted,
    revision: record.revision,
    pending: record.wanted.running && record.file !== record.active,
    settings: spec === null ? null : settingsOf(spec),
    replicated: facts.replicated,
    term: holder === null ? null : holder.term,
    epoch: holder?.epoch ?? null,
    sync: state === "syncing" ? holder?.sync ?? null : null,
    sample: holder?.sample ?? null,
    actions: actionsOf(situation),
    last_switchover: facts.last_switchover,
  };
}
