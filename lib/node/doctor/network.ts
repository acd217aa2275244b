/** The lines between the nodes, the LAN with its bridge, ports, and who decides. */

import type { PairSettings } from "../../model/node.ts";
import type { DoctorProbes } from "./probes.ts";
import { type Finding, finding, type Subject } from "./types.ts";

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
  const top = `/sys/class/net/${device}`;
  const speed = Number(probes.read(`${top}/speed`) ?? NaN);
  const duplex = probes.read(`${top}/duplex`)?.trim() ?? "";
  const known = Number.isFinite(speed) && speed > 0;
  const carrier = probes.read(`${top}/carrier`)?.trim();
  const about = {
    title: `${line.name}: rate`,
    why:
      "The guest's written pages and disk blocks go over this line: below 1,000 Mbit/s a busy VM is slowed.",
  };
  if (carrier === "0") {
    return finding(`${line.id}.rate`, "failed", {
      ...about,
      seen: `${device} has no carrier`,
      fix: "Plug in its cable, on both machines.",
    });
  }
  const half = duplex === "half";
  return finding(`${line.id}.rate`, !known ? "unknown" : speed < MBIT_LEAST || half ? "warning" : "ok", {
    ...about,
    seen: known
      ? `${device}: ${speed} Mbit/s${half ? ", half duplex" : ""}`
      : `${device} does not say its rate`,
    fix: known
      ? "Use a gigabit port and a cable of category 5e or better, with autonegotiation on."
      : "Nothing, if it is a virtual interface.",
  });
}

async function checkReach(probes: DoctorProbes, line: Line, device: string): Promise<Finding[]> {
  const how = probes.root ? PINGS.root : PINGS.other;
  const ran = await probes.run(["ping", "-n", "-q", "-W", "1", "-I", line.local, ...how, line.peer], PING_MS);
  const seen = ran === null ? null : readPing(ran.said);
  const why =
    "A line that loses frames counts as down sooner or later; each checkpoint waits for one round trip at least.";
  if (seen === null) {
    const fix = "Install ping (Debian, Ubuntu: apt install iputils-ping).";
    return [
      finding(`${line.id}.rtt`, "unknown", {
        title: `${line.name}: round trip`,
        seen: "ping cannot be run",
        why,
        fix,
      }),
    ];
  }
  if (seen.loss >= 100 || seen.rtt_us === null) {
    return [finding(`${line.id}.rtt`, "failed", {
      title: `${line.name}: round trip`,
      seen: `${line.peer} does not answer ${line.local}`,
      why,
      fix: "Look at the cable, at the addresses on both nodes, and at firewalls.",
    })];
  }
  const findings = [
    finding(`${line.id}.rtt`, seen.rtt_us <= RTT_GOOD_US ? "ok" : "warning", {
      title: `${line.name}: round trip`,
      seen: `${(seen.rtt_us / 1000).toFixed(2)} ms on average`,
      why,
      fix: "Connect the nodes directly, or by one switch.",
    }),
    finding(`${line.id}.loss`, seen.loss === 0 ? "ok" : "warning", {
      title: `${line.name}: loss`,
      seen: `${seen.loss} % of ${how[1]} pings were lost`,
      why,
      fix: "Change the cable; look at the port's error counters (ip -s link).",
    }),
  ];
  return [...findings, await checkMtu(probes, line, device)];
}

async function checkMtu(probes: DoctorProbes, line: Line, device: string): Promise<Finding> {
  const mtu = Number(probes.read(`/sys/class/net/${device}/mtu`) ?? NaN);
  const about = {
    title: `${line.name}: MTU`,
    why: "Frames that are as large as this node says must reach the other, or the data stalls.",
  };
  if (!Number.isFinite(mtu)) {
    return finding(`${line.id}.mtu`, "unknown", {
      ...about,
      seen: `${device} does not say its MTU`,
      fix: "Nothing, if data flows.",
    });
  }
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
  return finding(`${line.id}.mtu`, !passes ? "failed" : mtu < LEAST_MTU ? "warning" : "ok", {
    ...about,
    seen: passes
      ? `Frames of ${mtu} bytes pass unsplit`
      : `Frames of ${mtu} bytes, this node's MTU, do not pass unsplit`,
    fix: `Set the same MTU on both nodes and on what is between: ip link set ${device} mtu ${LEAST_MTU}`,
  });
}

async function checkLine(probes: DoctorProbes, line: Line): Promise<Finding[]> {
  const device = interfaceOf(probes, line.local);
  if (device === undefined) {
    return [finding(`${line.id}.rate`, "failed", {
      title: `${line.name}: interface`,
      seen: `No interface of this node has the address ${line.local}`,
      why: "The line is bound to this address.",
      fix: "Give an interface this address, or change the pair's settings.",
    })];
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
  if (settings === null) {
    return [finding("links", "info", {
      title: "Lines",
      seen: "No lines are set up",
      why: "VMs are protected over two lines between the nodes.",
      fix: "Pair this node, and say which addresses the two nodes reach each other by.",
    })];
  }
  const lines = linesOf(settings);
  const findings = (await Promise.all(lines.map((line) => checkLine(probes, line)))).flat();
  const devices = lines.map((line) => interfaceOf(probes, line.local));
  const shared = devices.find((device, i) => device !== undefined && devices.indexOf(device) < i);
  if (settings.link_b === null || shared !== undefined) {
    findings.push(finding("links", "warning", {
      title: "Independent lines",
      seen: shared === undefined
        ? "There is only one replication line"
        : `Two of the lines go through ${shared}`,
      why:
        "One cable, port or switch that fails must not take both: a VM would be unprotected, and the nodes could lose sight of each other.",
      fix: "Give each line an interface and a cable of its own.",
    }));
  }
  return findings;
}

/** The bridge that VMs are on. */
export function checkBridge(probes: DoctorProbes, { settings }: Subject): Finding[] {
  const bridge = settings?.lan?.bridge;
  if (bridge === undefined) return [];
  const about = {
    title: `Bridge ${bridge}`,
    why: "VMs reach the LAN by this bridge; after a takeover the other node's must lead to the same LAN.",
  };
  const top = `/sys/class/net/${bridge}`;
  if (probes.list(`${top}/bridge`) === null) {
    return [finding("bridge", "failed", {
      ...about,
      seen: probes.list(top) === null
        ? `There is no interface ${bridge}`
        : `${bridge} is an interface, but no bridge`,
      fix:
        `Make it, and put the LAN's port into it: ip link add ${bridge} type bridge; ip link set PORT master ${bridge}. Keep it over a reboot in /etc/network/interfaces, netplan or NetworkManager.`,
    })];
  }
  const members = probes.list(`${top}/brif`) ?? [];
  const ports = members.filter((name) => probes.read(`/sys/class/net/${name}/tun_flags`) === null);
  const delay = Number(probes.read(`${top}/bridge/forward_delay`) ?? 0);
  const stp = probes.read(`${top}/bridge/stp_state`)?.trim();
  const findings = [finding("bridge", ports.length > 0 ? "ok" : "failed", {
    ...about,
    seen: ports.length > 0
      ? `It has the port ${ports.join(", ")}`
      : "No port of the machine is in it: VMs do not reach the LAN",
    fix: `Put the LAN's port into it: ip link set PORT master ${bridge}`,
  })];
  if (stp !== undefined && stp !== "0" && delay > 0) {
    findings.push(finding("bridge.stp", "warning", {
      title: `Bridge ${bridge}: spanning tree`,
      seen: `It waits ${(delay / 100).toFixed(0)} s before a new port forwards`,
      why: "A VM that was taken over is not heard on the LAN until then.",
      fix: `ip link set ${bridge} type bridge stp_state 0`,
    }));
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
  const findings = listens.map(({ port, what }) =>
    finding(`port.${port}`, open.has(port) ? "ok" : "failed", {
      title: `Port ${port}`,
      seen: open.has(port) ? `It is listened on: ${what}` : `Nothing listens on it: ${what} is not reachable`,
      why: "Browsers and the other node reach this node by it.",
      fix:
        "Look at the service's messages (journalctl -u iservft-edge): another program may have had the port.",
    })
  );
  const ours = new Set(vmPorts.flatMap((first) => [first, first + 1, first + 2, first + 3]));
  const others = [...open].filter((port) =>
    port >= VM_PORTS.first && port <= VM_PORTS.last && !ours.has(port)
  ).toSorted();
  findings.push(finding("ports.vms", others.length === 0 ? "ok" : "warning", {
    title: "Ports of VMs",
    seen: others.length === 0
      ? `${VM_PORTS.first} to ${VM_PORTS.last} are free or the VMs' own`
      : `Something else listens on ${others.join(", ")}`,
    why: "Each VM's lines use four ports of this range.",
    fix: "Let that program use other ports (ss -ltnp shows which it is).",
  }));
  return findings;
}

export function checkArbiter({ arbiter, settings }: Subject): Finding[] {
  if (settings === null || arbiter === null) return [];
  const what = arbiter.kind === "lan" ? "gateway" : arbiter.kind;
  const about = {
    title: arbiter.kind === "manual" ? "Arbiter" : `Arbiter: ${what} ${arbiter.address ?? ""}`.trim(),
    why:
      "It decides who goes on when the nodes do not hear each other. Without it nobody takes over by itself.",
  };
  if (arbiter.kind === "manual") {
    return [
      finding("arbiter", "info", {
        ...about,
        seen: "There is none: a person confirms each takeover",
        fix: "Set up a witness on a third machine.",
      }),
    ];
  }
  const state = { reachable: "ok", lost: "failed", unknown: "unknown", none: "unknown" } as const;
  return [finding("arbiter", state[arbiter.state], {
    ...about,
    seen: {
      reachable: "It answers",
      lost: arbiter.why ?? "It does not answer",
      unknown: "It has not been asked yet",
      none: "It is not set up",
    }[arbiter.state],
    fix: arbiter.kind === "lan"
      ? "Look whether the gateway is on, and answers pings."
      : "Look whether it is on, and `iservft-edge witness` runs there.",
  })];
}
