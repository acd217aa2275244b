/** The lines between the nodes, the LAN with its bridge, ports, and who decides. */

import type { PairSettings } from "../../model/node.ts";
import type { DoctorProbes } from "./probes.ts";
import { type Finding, finding, found, type Subject } from "./types.ts";

/** Pings of a line as root, who may send them quickly; and as anybody else. */
const PINGS = { root: ["-c", "50", "-i", "0.02"], other: ["-c", "8", "-i", "0.2"] } as const;
const PING_MS = 2800;
const MBIT_LEAST = 1000;
const RTT_GOOD_US = 2000;
const LEAST_MTU = 1500;
const IP_AND_ICMP = 28;
/** VMs' ports: 7820 + 4n, four for each. */
const VM_PORTS = { first: 7820, last: 7820 + 4 * 64 - 1 };

type Line = { id: string; name: string; local: string; peer: string };

function interfaceOf(probes: DoctorProbes, address: string): string | undefined {
  return probes.addresses().find((one) => one.address === address)?.name;
}

/** What ping's summary says. */
export function readPing(said: string): { loss: number; rtt_us: number | null } | null {
  const loss = /([\d.]+)% packet loss/.exec(said)?.[1];
  if (loss === undefined) return null;
  const rtt = /(?:rtt|round-trip)[^=]*=\s*[\d.]+\/([\d.]+)\//.exec(said)?.[1];
  return { loss: Number(loss), rtt_us: rtt === undefined ? null : Math.round(Number(rtt) * 1000) };
}

function checkRate(probes: DoctorProbes, line: Line, device: string): Finding {
  const id = `${line.id}.rate`;
  const top = `/sys/class/net/${device}`;
  const speed = Number(probes.read(`${top}/speed`) ?? NaN);
  const about = { line: line.name, device };
  if (probes.read(`${top}/carrier`)?.trim() === "0") {
    return finding(id, "failed", found("rate.no_carrier", about));
  }
  if (!(Number.isFinite(speed) && speed > 0)) return finding(id, "unknown", found("rate.unknown", about));
  const params = { ...about, mbit: speed };
  if (probes.read(`${top}/duplex`)?.trim() === "half") {
    return finding(id, "warning", found("rate.half", params));
  }
  return finding(id, speed < MBIT_LEAST ? "warning" : "ok", found("rate.full", params));
}

async function checkReach(probes: DoctorProbes, line: Line, device: string): Promise<Finding[]> {
  const how = probes.root ? PINGS.root : PINGS.other;
  const ran = await probes.run(["ping", "-n", "-q", "-W", "1", "-I", line.local, ...how, line.peer], PING_MS);
  const seen = ran === null ? null : readPing(ran.said);
  const about = { line: line.name };
  if (seen === null) return [finding(`${line.id}.rtt`, "unknown", found("rtt.no_ping", about))];
  if (seen.loss >= 100 || seen.rtt_us === null) {
    const { peer, local } = line;
    return [finding(`${line.id}.rtt`, "failed", found("rtt.lost", { ...about, peer, local }))];
  }
  const ms = (seen.rtt_us / 1000).toFixed(2);
  const findings = [
    finding(
      `${line.id}.rtt`,
      seen.rtt_us <= RTT_GOOD_US ? "ok" : "warning",
      found("rtt.measured", { ...about, ms }),
    ),
    finding(
      `${line.id}.loss`,
      seen.loss === 0 ? "ok" : "warning",
      found("loss.measured", { ...about, percent: seen.loss, count: how[1] }),
    ),
  ];
  return [...findings, await checkMtu(probes, line, device)];
}

async function checkMtu(probes: DoctorProbes, line: Line, device: string): Promise<Finding> {
  const mtu = Number(probes.read(`/sys/class/net/${device}/mtu`) ?? NaN);
  const about = { line: line.name, device };
  if (!Number.isFinite(mtu)) return finding(`${line.id}.mtu`, "unknown", found("mtu.unknown", about));
  const size = `${mtu - IP_AND_ICMP}`;
  const ran = await probes.run([
    "ping",
    "-n",
    "-q",
    "-c",
    "2",
    "-i",
    "0.2",
    "-W",
    "1",
    "-M",
    "do",
    "-s",
    size,
    "-I",
    line.local,
    line.peer,
  ], PING_MS);
  const passes = ran !== null && (readPing(ran.said)?.loss ?? 100) < 100;
  const params = { ...about, bytes: `${mtu}` };
  return passes
    ? finding(`${line.id}.mtu`, mtu < LEAST_MTU ? "warning" : "ok", found("mtu.passes", params))
    : finding(`${line.id}.mtu`, "failed", found("mtu.stuck", params));
}

async function checkLine(probes: DoctorProbes, line: Line): Promise<Finding[]> {
  const device = interfaceOf(probes, line.local);
  if (device === undefined) {
    const params = { line: line.name, address: line.local };
    return [finding(`${line.id}.rate`, "failed", found("interface.missing", params))];
  }
  return [checkRate(probes, line, device), ...await checkReach(probes, line, device)];
}

function linesOf(settings: PairSettings): Line[] {
  const { link_a, link_b, lan } = settings;
  return [
    { id: "link-a", name: "Line A", ...link_a },
    ...(link_b === null ? [] : [{ id: "link-b", name: "Line B", ...link_b }]),
    ...(lan === null ? [] : [{ id: "lan", name: "LAN", local: lan.local, peer: lan.peer }]),
  ];
}

/** Each line, all at once. */
export async function checkLines(probes: DoctorProbes, { settings }: Subject): Promise<Finding[]> {
  if (settings === null) return [finding("links", "info", found("lines.unset"))];
  const lines = linesOf(settings);
  const findings = (await Promise.all(lines.map((line) => checkLine(probes, line)))).flat();
  const devices = lines.map((line) => interfaceOf(probes, line.local));
  const shared = devices.find((device, i) => device !== undefined && devices.indexOf(device) < i);
  if (shared !== undefined) {
    findings.push(finding("links", "warning", found("independent.shared", { device: shared })));
  } else if (settings.link_b === null) {
    findings.push(finding("links", "warning", found("independent.one")));
  }
  return findings;
}

/** The bridge that VMs are on. */
export function checkBridge(probes: DoctorProbes, { settings }: Subject): Finding[] {
  const bridge = settings?.lan?.bridge;
  if (bridge === undefined) return [];
  const top = `/sys/class/net/${bridge}`;
  if (probes.list(`${top}/bridge`) === null) {
    const absent = probes.list(top) === null;
    const said = absent ? found("bridge.missing", { bridge }) : found("bridge.no_bridge", { bridge });
    return [finding("bridge", "failed", said)];
  }
  const members = probes.list(`${top}/brif`) ?? [];
  const ports = members.filter((name) => probes.read(`/sys/class/net/${name}/tun_flags`) === null);
  const delay = Number(probes.read(`${top}/bridge/forward_delay`) ?? 0);
  const stp = probes.read(`${top}/bridge/stp_state`)?.trim();
  const findings = [
    ports.length > 0
      ? finding("bridge", "ok", found("bridge.ports", { bridge, ports: ports.join(", ") }))
      : finding("bridge", "failed", found("bridge.no_ports", { bridge })),
  ];
  if (stp !== undefined && stp !== "0" && delay > 0) {
    const params = { bridge, seconds: (delay / 100).toFixed(0) };
    findings.push(finding("bridge.stp", "warning", found("stp.on", params)));
  }
  return findings;
}

/** Ports of TCP sockets that listen here. */
export function listeningPorts(probes: DoctorProbes): Set<number> {
  const ports = new Set<number>();
  for (const file of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    for (const line of (probes.read(file) ?? "").split("\n").slice(1)) {
      const [, local, , state] = line.trim().split(/\s+/);
      if (state === "0A" && local !== undefined) ports.add(Number.parseInt(local.split(":")[1] ?? "", 16));
    }
  }
  return ports;
}

export function checkPorts(probes: DoctorProbes, { listens, vmPorts }: Subject): Finding[] {
  const open = listeningPorts(probes);
  const findings = listens.map(({ port, what }) => {
    const params = { port: `${port}`, what };
    return open.has(port)
      ? finding(`port.${port}`, "ok", found("port.open", params))
      : finding(`port.${port}`, "failed", found("port.closed", params));
  });
  const ours = new Set(vmPorts.flatMap((first) => [first, first + 1, first + 2, first + 3]));
  const others = [...open].filter((port) =>
    port >= VM_PORTS.first && port <= VM_PORTS.last && !ours.has(port)
  ).toSorted();
  findings.push(
    others.length === 0
      ? finding(
        "ports.vms",
        "ok",
        found("vm_ports.free", { first: `${VM_PORTS.first}`, last: `${VM_PORTS.last}` }),
      )
      : finding("ports.vms", "warning", found("vm_ports.taken", { ports: others.join(", ") })),
  );
  return findings;
}

export function checkArbiter({ arbiter, settings }: Subject): Finding[] {
  if (settings === null || arbiter === null) return [];
  const { kind, state } = arbiter;
  if (kind === "manual") return [finding("arbiter", "info", found("manual.none"))];
  const level = { reachable: "ok", lost: "failed", unknown: "unknown", none: "unknown" } as const;
  const address = arbiter.address ?? "";
  const about = { arbiter: kind, address };
  const said = state === "lost" && arbiter.why !== undefined
    ? kind === "lan"
      ? found("gateway.lost_why", { address, why: arbiter.why })
      : found("arbiter.lost_why", { ...about, why: arbiter.why })
    : kind === "lan"
    ? found(`gateway.${state}`, { address })
    : found(`arbiter.${state}`, about);
  return [finding("arbiter", level[state], said)];
}
