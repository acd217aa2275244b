/** What a node says of its own runner of a VM, to itself and to the other node. Pure, but for the machine's clock. */

import type { VmSample } from "../../model/vm.ts";
import type { MetadataWord, VmRecord, VmReport } from "./records.ts";
import type { RunnerStatus } from "./runner_link.ts";

const TEXT_MAX = 1000;

export interface ReportFacts {
  record: VmRecord;
  /** There is a process. */
  runs: boolean;
  status: RunnerStatus | null;
  /** It was started just now. */
  recent: boolean;
  failed: string;
  metadata: MetadataWord | null;
  sample: VmSample | null;
  lines: VmReport["lines"];
  /** When the phase began, Unix ms. */
  since_ms: number;
}

/** Unix ms of a time of CLOCK_MONOTONIC. */
export function unixMs(monotonic_us: number, now_ms: number): number {
  const up_s = Number(Deno.readTextFileSync("/proc/uptime").split(" ")[0]);
  return Math.round(Math.min(now_ms, now_ms - up_s * 1000 + monotonic_us / 1000));
}

/** A runner whose VM, or copy, others have to know of. */
export function reportOf(facts: ReportFacts): VmReport {
  const { record, runs, status, failed, metadata, sample, lines } = facts;
  const common = { uuid: record.uuid, name: record.name, failed: failed.slice(0, TEXT_MAX), sample, lines };
  if (status === null) {
    return {
      ...common,
      runner: !runs ? "none" : facts.recent ? "starting" : "silent",
      phase: "off",
      step: "",
      why: "",
      since_ms: 0,
      sentence: "",
      term: 0,
      silent: false,
      confirmed_off: false,
      commands: {},
      peer: null,
      arbiter: "none",
      metadata,
      pace: { slowed: false, why: "" },
      epoch: null,
      sync: null,
      paths: [],
      active: null,
    };
  }
  const { engine } = status;
  const commands = Object.entries(status.commands ?? {}).map(([name, problem]) =>
    [name, problem === null ? null : `${problem.problem}. ${problem.hint}`.slice(0, 400)] as const
  );
  return {
    ...common,
    runner: "answers",
    phase: status.phase,
    step: status.phase_step ?? "",
    why: (status.phase_why ?? "").slice(0, TEXT_MAX),
    since_ms: facts.since_ms,
    sentence: status.sentence.slice(0, TEXT_MAX),
    term: status.term,
    silent: status.silent,
    confirmed_off: status.confirmed_off ?? false,
    commands: Object.fromEntries(commands),
    peer: status.peer === null ? null : { role: status.peer.role, flags: status.peer.flags },
    arbiter: status.arbiter.state,
    metadata: status.metadata,
    pace: {
      slowed: status.pace !== undefined && (status.pace.level !== "full" || status.pace.stuck),
      why: status.pace?.why.slice(0, TEXT_MAX) ?? "",
    },
    epoch: engine.committed,
    sync: status.phase !== "syncing" && status.phase !== "receiving" ? null : {
      done_bytes: Math.min(engine.sync_bytes_done, engine.sync_bytes_total),
      total_bytes: engine.sync_bytes_total,
      rate_bytes_per_s: engine.sync_rate,
      eta_s: engine.sync_rate === 0 ? null : engine.sync_eta_s,
    },
    paths: engine.path_alive.map((alive, index) => ({
      alive: alive !== 0,
      rtt_us: alive === 0 ? null : engine.path_rtt_us[index] ?? null,
    })),
    active: engine.link_up.some((up) => up !== 0) ? engine.link_active : null,
  };
}
