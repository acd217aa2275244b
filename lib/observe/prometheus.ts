/** What Prometheus reads: the snapshot and some counters, as text. Pure. */

import type { Snapshot } from "../model/backend.ts";
import type { CheckView } from "../model/doctor.ts";
import type { NodeView } from "../model/node.ts";
import { VM_STATES, type VmSample, type VmView } from "../model/vm.ts";
import type { AlerterContract, ObserverState, VmTotals } from "./contracts.ts";
import { Exposition, type Labels } from "./exposition.ts";

/** What is not in the snapshot. */
export interface MetricsExtras {
  version: string;
  /** How it was built. */
  mode: string;
  /** Observer.totals(). */
  totals: ReadonlyMap<string, VmTotals>;
  /** Observer.state(). */
  observer: ObserverState;
  /** Alerter.counts(). */
  channels: ReturnType<AlerterContract["counts"]>;
  /** What doctor found last on this node. */
  checks: readonly CheckView[];
  /** Null: not known. */
  audit: { intact: boolean } | null;
  /** This process. */
  process: { started_ms: number; resident_bytes: number };
}

/** Alerts that have a series of their own. */
const ALERTS = 200;

const seconds = (us: number | null | undefined) => us === null || us === undefined ? null : us / 1e6;
const bytes = (mbit: number | null | undefined) =>
  mbit === null || mbit === undefined ? null : mbit * 125_000;
const mib = (value: number | null) => value === null ? null : value * 1_048_576;
const unixSeconds = (instant: string | null | undefined) =>
  instant === null || instant === undefined ? null : Date.parse(instant) / 1000;

/** One series for each of the states, 1 for the one that is. */
function* stateSet(labels: Labels, states: readonly string[], now: string) {
  for (const state of states) yield { labels: { ...labels, state }, value: state === now };
}

function nodes(page: Exposition, all: readonly NodeView[]): void {
  const of = (value: (node: NodeView) => number | boolean | null) =>
    all.map((node) => ({ labels: { node: node.name }, value: value(node) }));
  page.gauge(
    "iservft_node_up",
    "Whether the node is heard by the one that is asked; of itself 1.",
    of((n) => n.reachable),
  );
  page.gauge(
    "iservft_node_info",
    "What the node is: always 1.",
    all.map((node) => ({
      labels: {
        node: node.name,
        id: node.id,
        self: String(node.self),
        version: node.version ?? "",
        qemu: node.qemu ?? "",
        kernel: node.kernel ?? "",
        accel: node.accel ?? "",
      },
      value: 1,
    })),
  );
  page.gauge("iservft_node_memory_bytes", "Memory of the node.", of((n) => mib(n.memory_mib)));
  page.gauge("iservft_node_memory_free_bytes", "Memory that nobody uses.", of((n) => mib(n.memory_free_mib)));
  page.gauge("iservft_node_disk_bytes", "Size of the disk with the data directory.", of((n) => n.disk_bytes));
  page.gauge("iservft_node_disk_free_bytes", "What is free of it.", of((n) => n.disk_free_bytes));
  page.gauge(
    "iservft_node_clock_offset_seconds",
    "The other node's clock minus that of the one that is asked.",
    all.filter((n) => !n.self).map((n) => ({
      labels: { node: n.name },
      value: n.clock_offset_ms === null ? null : n.clock_offset_ms / 1000,
    })),
  );
  page.gauge(
    "iservft_node_start_time_seconds",
    "When its service started, Unix time.",
    of((n) => unixSeconds(n.started)),
  );
}

function pair(page: Exposition, snapshot: Snapshot): void {
  const { pair: { pairing, paths, arbiter } } = snapshot;
  const paired = pairing.step === "paired";
  const peer = snapshot.nodes.find((node) => !node.self);
  page.gauge("iservft_paired", "Whether this node has a second one.", [{ value: paired }]);
  page.gauge(
    "iservft_peer_reachable",
    "Whether the second node is heard.",
    paired ? [{ value: peer?.reachable ?? false }] : [],
  );
  const set = paths.filter(({ state }) => state !== "unset");
  const of = (value: (path: typeof set[number]) => number | boolean | null) =>
    set.map((path) => ({ labels: { link: path.name }, value: value(path) }));
  page.gauge(
    "iservft_link_up",
    "Whether the line works: a and b carry the replication, lan the clients.",
    set.filter(({ state }) => state !== "unknown").map(({ name, state }) => ({
      labels: { link: name },
      value: state === "up",
    })),
  );
  page.gauge("iservft_link_active", "Whether the line carries the data now.", of((p) => p.active));
  page.gauge("iservft_link_rtt_seconds", "Round trip on the line.", of((p) => seconds(p.rtt_us)));
  page.gauge(
    "iservft_link_speed_bytes_per_second",
    "What its interface can.",
    of((p) => bytes(p.speed_mbit)),
  );
  page.gauge(
    "iservft_link_transmit_bytes_per_second",
    "What all VMs send on it now.",
    of((p) => bytes(p.out_mbit)),
  );
  page.gauge(
    "iservft_link_receive_bytes_per_second",
    "What all VMs receive on it now.",
    of((p) => bytes(p.in_mbit)),
  );
  const decides = arbiter !== null && (arbiter.state === "reachable" || arbiter.state === "lost");
  page.gauge(
    "iservft_arbiter_reachable",
    "Whether whoever decides is reachable, so that a node may take over by itself.",
    decides ? [{ labels: { kind: arbiter.kind }, value: arbiter.state === "reachable" }] : [],
  );
  page.gauge("iservft_home_state", "How bad the sentence on the first page is: 1 for the state that is.", [
    ...stateSet({}, ["ok", "info", "warning", "critical"], snapshot.home.severity),
  ]);
}

function vms(page: Exposition, all: readonly VmView[]): void {
  const of = (value: (vm: VmView) => number | boolean | null | undefined) =>
    all.map((vm) => ({ labels: { vm: vm.name }, value: value(vm) }));
  page.gauge("iservft_vm_state", "The VM's state: 1 for the one that is.", [
    ...all.flatMap((vm) => [...stateSet({ vm: vm.name }, VM_STATES, vm.state)]),
  ]);
  page.gauge(
    "iservft_vm_info",
    "Where the VM runs (node) and is copied to (backup): always 1.",
    all.map((vm) => ({
      labels: { vm: vm.name, node: vm.runs_on ?? "", backup: vm.backup_on ?? "", here: vm.here },
      value: 1,
    })),
  );
  page.gauge("iservft_vm_wanted_running", "Whether it should run.", of((vm) => vm.wanted.running));
  page.gauge(
    "iservft_vm_wanted_protected",
    "Whether it should be protected.",
    of((vm) => vm.wanted.protected),
  );
  page.gauge("iservft_vm_memory_bytes", "Its memory.", of((vm) => mib(vm.memory_mib)));
  page.gauge("iservft_vm_vcpus", "Its processors.", of((vm) => vm.vcpus));
  page.gauge("iservft_vm_term", "Grows with each takeover and move.", of((vm) => vm.term));
  page.gauge("iservft_vm_epoch", "Number of its newest checkpoint in this generation.", of((vm) => vm.epoch));
  page.gauge(
    "iservft_vm_sync_bytes",
    "What a copy that is being made has to send.",
    of((vm) => vm.sync?.total_bytes),
  );
  page.gauge("iservft_vm_sync_done_bytes", "What of that is sent.", of((vm) => vm.sync?.done_bytes));
  page.gauge("iservft_vm_sync_eta_seconds", "How long the rest will take.", of((vm) => vm.sync?.eta_s));
  const last = (value: (done: NonNullable<VmView["last_switchover"]>) => number | boolean | null) =>
    of((vm) => vm.last_switchover === null ? null : value(vm.last_switchover));
  page.gauge(
    "iservft_vm_last_switchover_success",
    "Whether the last planned switchover came to its end.",
    last((s) => s.ok),
  );
  page.gauge(
    "iservft_vm_last_switchover_pause_seconds",
    "How long the VM stood still in it.",
    last((s) => s.pause_ms === null ? null : s.pause_ms / 1000),
  );
  page.gauge(
    "iservft_vm_last_switchover_time_seconds",
    "When it was, Unix time.",
    last((s) => unixSeconds(s.at)),
  );
}

function samples(page: Exposition, all: readonly VmView[], totals: MetricsExtras["totals"]): void {
  const measured = all.flatMap(({ name, sample }) => sample === null ? [] : [{ vm: name, sample }]);
  const of = (value: (sample: VmSample) => number | null) =>
    measured.map(({ vm, sample }) => ({ labels: { vm }, value: value(sample) }));
  const quantiles = (half: keyof VmSample, most: keyof VmSample) =>
    measured.flatMap(({ vm, sample }) => [
      { labels: { vm, quantile: "0.5" }, value: seconds(sample[half]) },
      { labels: { vm, quantile: "0.99" }, value: seconds(sample[most]) },
    ]);
  page.metric("iservft_vm_pause_seconds", {
    type: "summary",
    help: "How long the VM stood still for a checkpoint, in the last second.",
  }, quantiles("pause_us", "pause_p99_us"));
  page.metric("iservft_vm_output_latency_seconds", {
    type: "summary",
    help: "How long its output waited for the backup, in the last second.",
  }, quantiles("latency_us", "latency_p99_us"));
  page.gauge("iservft_vm_checkpoints_per_second", "Checkpoints now.", of((s) => s.checkpoints_per_s));
  page.gauge("iservft_vm_dirty_pages", "Pages of 4 KiB that a checkpoint has.", of((s) => s.dirty_pages));
  page.gauge("iservft_vm_dirty_page_bytes", "Bytes on the line for each of them.", of((s) => s.page_bytes));
  page.gauge(
    "iservft_vm_replication_bytes_per_second",
    "What is sent to the backup now.",
    of((s) => bytes(s.out_mbit)),
  );
  const total = (value: (sum: VmTotals) => number) =>
    [...totals].map(([vm, sum]) => ({ labels: { vm }, value: value(sum) }));
  page.counter(
    "iservft_vm_checkpoints_total",
    "Checkpoints since the service started.",
    total((s) => s.checkpoints),
  );
  page.counter(
    "iservft_vm_replication_bytes_total",
    "Sent to the backup since the service started.",
    total((s) => s.bytes),
  );
}

function watching(page: Exposition, snapshot: Snapshot, extras: MetricsExtras): void {
  const count = <T>(all: readonly T[], of: (one: T) => boolean) => all.filter(of).length;
  page.gauge(
    "iservft_jobs",
    "Long work, by how far it is; forgotten an hour after its end.",
    ["running", "done", "failed", "cancelled"].map((state) => ({
      labels: { state },
      value: count(snapshot.jobs, (job) => job.state === state),
    })),
  );
  page.gauge(
    "iservft_alerts",
    "Alerts that are active.",
    ["warning", "critical"].map((severity) => ({
      labels: { severity },
      value: count(snapshot.alerts, (alert) => alert.severity === severity),
    })),
  );
  page.gauge(
    "iservft_alert_active",
    "1 for each alert that is active.",
    snapshot.alerts.slice(0, ALERTS).map(({ key, code, severity }) => ({
      labels: { key, code, severity },
      value: 1,
    })),
  );
  page.counter(
    "iservft_alert_messages_total",
    "Messages to people, by channel and how it went.",
    extras.channels.flatMap(({ channel, kind, sent, failed }) => [
      { labels: { channel, kind, result: "sent" }, value: sent },
      { labels: { channel, kind, result: "failed" }, value: failed },
    ]),
  );
  page.gauge(
    "iservft_alert_messages_waiting",
    "Messages that are tried again.",
    extras.channels.map(({ channel, kind, waiting }) => ({ labels: { channel, kind }, value: waiting })),
  );
  page.gauge(
    "iservft_doctor_checks",
    "What doctor found last on this node, by state.",
    ["ok", "info", "warning", "failed", "unknown"].map((state) => ({
      labels: { state },
      value: extras.checks.length === 0 ? null : count(extras.checks, (check) => check.state === state),
    })),
  );
  const { observer, audit } = extras;
  page.gauge("iservft_events_stored", "Events that are kept.", [{ value: observer.events_kept }]);
  page.counter("iservft_events_lost_total", "Events that could not be kept.", [{
    value: observer.events_lost,
  }]);
  page.counter("iservft_samples_lost_total", "Measurements that could not be kept.", [{
    value: observer.samples_lost,
  }]);
  page.gauge("iservft_events_writable", "Whether events are kept now.", [{
    value: observer.problem === null,
  }]);
  page.gauge("iservft_audit_intact", "Whether the audit log's chain is whole.", [{ value: audit?.intact }]);
}

/** The page of metrics. */
export function prometheusText(snapshot: Snapshot, extras: MetricsExtras): string {
  const page = new Exposition();
  page.gauge("iservft_build_info", "Which program this is: always 1.", [
    { labels: { version: extras.version, mode: extras.mode }, value: 1 },
  ]);
  page.gauge("iservft_process_start_time_seconds", "When the service started, Unix time.", [
    { value: extras.process.started_ms / 1000 },
  ]);
  page.gauge("iservft_process_resident_memory_bytes", "Memory of the service's own process.", [
    { value: extras.process.resident_bytes },
  ]);
  nodes(page, snapshot.nodes);
  pair(page, snapshot);
  vms(page, snapshot.vms);
  samples(page, snapshot.vms, extras.totals);
  watching(page, snapshot, extras);
  return page.text();
}
