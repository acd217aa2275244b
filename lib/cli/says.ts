/** What the read model says, as lines for a person: the same sentences as the page's. */

import type { z } from "zod";
import { english } from "../model/english.ts";
import type { EventView } from "../model/event.ts";
import type { snapshotView } from "../model/snapshot.ts";
import type { SwitchoverView, verdictView, VmView } from "../model/vm.ts";
import type { CommandIo } from "./command.ts";
import { painted, progressText, severityWord } from "./terminal.ts";
import { bytesText, orDash, plain, table } from "./text.ts";

type VerdictView = z.infer<typeof verdictView>;

/** The command line speaks English. */
export function said(sentence: VerdictView["said"]): string {
  return plain(english(sentence));
}

/** "OK  Protected: safe to lose either machine." with since when, and what to do next. */
export function verdictLines(io: CommandIo, verdict: VerdictView): string[] {
  const since = verdict.since === null ? "" : `  (since ${plain(verdict.since)})`;
  return [
    `${severityWord(io, verdict.severity)}  ${said(verdict.said)}${since}`,
    ...(verdict.next === null ? [] : [`  next: ${said(verdict.next)}`]),
  ];
}

/** It is wanted protected, runs, and is not. */
export function isDegraded(vm: VmView): boolean {
  const { running, protected: wanted } = vm.wanted;
  if (["failed", "waiting", "diverged", "deciding", "unknown"].includes(vm.state)) return true;
  return running && wanted && vm.state !== "protected";
}

/** All VMs in columns. */
export function vmTable(io: CommandIo, vms: readonly VmView[]): string[] {
  if (vms.length === 0) return ["no VM yet: iservft-edge vm create --help"];
  const rows = vms.map((vm) => [
    vm.name,
    vm.state,
    orDash(vm.runs_on),
    orDash(vm.backup_on),
    said(vm.verdict.said),
  ]);
  const lines = table([["NAME", "STATE", "RUNS ON", "BACKUP", ""], ...rows]);
  return lines.map((line, i) => i === 0 ? line : painted(io, vms[i - 1]!.verdict.severity, line));
}

/** One VM. */
export function vmLines(io: CommandIo, vm: VmView): string[] {
  const figures = vm.sample;
  const ms = (us: number | null) => us === null ? "-" : `${(us / 1000).toFixed(1)} ms`;
  const may = Object.entries(vm.actions).filter(([, { ok }]) => ok).map(([action]) => action);
  return [
    plain(vm.name),
    ...verdictLines(io, vm.verdict),
    ...table([
      [
        "  state",
        `${vm.state}, wanted: ${vm.wanted.running ? "running" : "stopped"}${
          vm.wanted.protected ? ", protected" : ""
        }`,
      ],
      ["  runs on", orDash(vm.runs_on)],
      ["  backup on", orDash(vm.backup_on)],
      [
        "  memory",
        `${vm.memory_mib} MiB, ${vm.vcpus} vCPU${vm.vcpus === 1 ? "" : "s"}, ${plain(vm.firmware)}`,
      ],
      ...vm.disks.map((
        disk,
      ) => ["  disk", `${plain(disk.path)}${disk.bytes === null ? "" : `, ${bytesText(disk.bytes)}`}`]),
      ...vm.nics.map((
        nic,
      ) => [
        "  NIC",
        `${plain(nic.mac)} ${plain(nic.model)} on ${
          nic.bridge === null ? "the LAN's bridge" : plain(nic.bridge)
        }`,
      ]),
      [
        "  settings",
        `revision ${vm.revision}, ${vm.replicated ? "the same" : "not yet the same"} on the other node`,
      ],
      ...(vm.term === null ? [] : [["  term", `${vm.term}, epoch ${orDash(vm.epoch)}`]]),
      ...(vm.sync === null ? [] : [[
        "  sync",
        progressText({
          done: vm.sync.done_bytes,
          total: vm.sync.total_bytes,
          unit: "bytes",
          rate_per_s: vm.sync.rate_bytes_per_s,
          eta_s: vm.sync.eta_s,
        }).trim(),
      ]]),
      ...(figures === null ? [] : [[
        "  now",
        `${rate(figures.checkpoints_per_s)} checkpoints/s, pause ${ms(figures.pause_us)}, added latency ${
          ms(figures.latency_us)
        }, ${rate(figures.out_mbit)} Mbit/s`,
      ]]),
      ...(vm.last_switchover === null ? [] : [["  switchover", switchoverText(vm.last_switchover)]]),
      ["  may now", may.length === 0 ? "-" : may.join(", ").replaceAll("_", "-")],
    ]),
    ...(vm.detail === null ? [] : [`  ${plain(vm.detail)}`]),
  ];
}

/** "7.9"; what was not measured is not zero. */
function rate(value: number | null): string {
  return value === null ? "-" : value.toFixed(1);
}

/** A switchover that was done. */
export function switchoverText(done: SwitchoverView): string {
  const pause = done.pause_ms === null ? "" : `, stood still for ${done.pause_ms} ms`;
  const outcome = done.ok ? "" : `, FAILED: ${plain(done.detail)}`;
  return `${plain(done.at)} from ${plain(done.from)} to ${plain(done.to)} by ${
    plain(actorText(done.by))
  }${pause}${outcome}`;
}

/** Who did something, as people call them. */
function actorText(actor: string): string {
  return actor === "local" ? "the command line" : actor.replace(/^user:/, "");
}

/** An event. */
export function eventLine(io: CommandIo, event: EventView): string {
  const name = event.name === "" ? event.subject : `${event.subject} ${event.name}`;
  const actor = event.actor === null ? "" : ` (by ${actorText(event.actor)})`;
  return plain(
    `${event.at}  ${event.severity.toUpperCase().padEnd(8)}  ${event.node}  ${name}: ${event.text}${actor}`,
  ).replaceAll(/[\r\n]+/g, " ")
    .replace(event.severity.toUpperCase(), painted(io, event.severity, event.severity.toUpperCase()));
}

/** "node:press-a", "link:b", "lan" as people say it. */
function whatText(what: string): string {
  const [kind, name] = what.split(":");
  if (kind === "link" && name !== undefined) return `line ${plain(name).toUpperCase()}`;
  return name === undefined ? plain(what) : plain(name);
}

/** Everything at a glance. */
export function statusLines(io: CommandIo, snapshot: z.infer<typeof snapshotView>): string[] {
  const nodes = snapshot.nodes.map((node) => [
    `  ${plain(node.name)}${node.self ? " (this one)" : ""}`,
    node.reachable ? "heard" : "NOT HEARD",
    `${orDash(node.version)}`,
    `QEMU ${orDash(node.qemu)}${node.accel === null ? "" : `, ${node.accel}`}`,
    node.disk_free_bytes === null ? "-" : `${bytesText(node.disk_free_bytes)} free`,
  ]);
  const paths = snapshot.pair.paths.map((path) => [
    `  ${path.name === "lan" ? "LAN" : `line ${path.name.toUpperCase()}`}`,
    path.state === "up" || path.state === "unset" ? path.state : path.state.toUpperCase(),
    `${orDash(path.local)} - ${orDash(path.peer)}`,
    path.rtt_us === null ? "-" : `${(path.rtt_us / 1000).toFixed(2)} ms`,
    path.active ? "carries the data" : "",
  ]);
  const { arbiter } = snapshot.pair;
  return [
    ...verdictLines(io, snapshot.home),
    "",
    "Nodes",
    ...table(nodes),
    ...(paths.length === 0 ? [] : ["Paths", ...table(paths)]),
    ...(arbiter === null ? [] : [
      `Arbiter  ${arbiter.kind}, ${arbiter.state}${
        arbiter.address === null ? "" : `, ${plain(arbiter.address)}`
      }`,
    ]),
    "VMs",
    ...vmTable(io, snapshot.vms).map((line) => `  ${line}`),
    "If it were to die now",
    ...table(snapshot.what_if.map(({ what, verdict }) => [`  ${whatText(what)}`, said(verdict.said)])),
  ];
}
