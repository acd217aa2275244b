/** Reads a lab's state back from the kernel, so that it is right whoever changed it. */

import { runCommand } from "./command.ts";
import { cutDevices, linkCut } from "./cuts.ts";
import {
  type Host,
  HOSTS,
  type LanDirection,
  type Link,
  type LinkDirection,
  namespaceOf,
  type Place,
} from "./places.ts";
import type { Containment, ProcessGroup } from "./processes.ts";

/** Measures of one replication line. */
export interface Shape {
  /** 0: no limit. */
  rate_mbit: number;
  loss_percent: number;
}

/** One host of the lab. */
export interface HostStatus {
  power: "on" | "off";
  frozen: boolean;
  processes: number;
  /** How it is cut off the LAN. */
  lan_cut: LanDirection | null;
}

/** One replication line of the lab. */
export interface LinkStatus extends Shape {
  cut: LinkDirection | null;
  /** Whether its cable is in, and both hosts have power. */
  plugged: boolean;
}

/** The state of a lab. */
export interface LabStatus {
  id: string;
  containment: Containment;
  hosts: Record<Host, HostStatus>;
  links: Record<Link, LinkStatus>;
}

/** What only the lab itself knows. */
export interface StatusInput {
  id: string;
  groups: Readonly<Record<Place, ProcessGroup>>;
  isOff: (host: Host) => boolean;
  shapes: Readonly<Record<Link, Shape>>;
}

/** The state of a lab that is up. */
export async function readStatus(input: StatusInput): Promise<LabStatus> {
  const { id, groups, isOff, shapes } = input;
  const [a, b, lan, upA, upB] = await Promise.all([
    cutDevices(id, "a"),
    cutDevices(id, "b"),
    cutDevices(id, "lan"),
    devicesUp(id, "a"),
    devicesUp(id, "b"),
  ]);
  const cuts = { a, b };
  const host = (host: Host): HostStatus => ({
    power: isOff(host) ? "off" : "on",
    frozen: groups[host].frozen(),
    processes: groups[host].pids().length,
    lan_cut: lanCut(cuts[host].has("lan"), lan.has(`host-${host}`)),
  });
  const link = (link: Link): LinkStatus => ({
    ...shapes[link],
    cut: linkCut(link, cuts) ?? null,
    plugged: upA.has(`link-${link}`) && upB.has(`link-${link}`),
  });
  return {
    id,
    containment: groups.a.containment,
    hosts: { a: host("a"), b: host("b") },
    links: { a: link("a"), b: link("b") },
  };
}

/** The state for a person. */
export function statusText(status: LabStatus): string {
  const lines = [`lab ${status.id}: processes held by ${status.containment}`];
  for (const host of HOSTS) {
    const { power, frozen, processes, lan_cut } = status.hosts[host];
    const faults = [frozen ? "frozen" : "", lan_cut === null ? "" : `cut off the LAN (${lan_cut})`];
    lines.push(
      [`  host ${host}: power ${power}`, `${processes} processes`, ...faults].filter((x) => x !== "").join(
        ", ",
      ),
    );
  }
  for (const name of ["a", "b"] as const) {
    const link = status.links[name];
    const rate = link.rate_mbit === 0 ? "no limit" : `${link.rate_mbit} Mbit/s`;
    const faults = [
      link.loss_percent === 0 ? "" : `${link.loss_percent} % loss`,
      link.cut === null ? "" : `cut (${link.cut})`,
      link.plugged ? "" : "no carrier",
    ];
    lines.push([`  link ${name}: ${rate}`, ...faults].filter((x) => x !== "").join(", "));
  }
  return lines.join("\n");
}

function lanCut(incoming: boolean, outgoing: boolean): LanDirection | null {
  if (incoming && outgoing) return "both";
  if (incoming) return "in";
  return outgoing ? "out" : null;
}

async function devicesUp(id: string, host: Host): Promise<Set<string>> {
  const text = await runCommand(["ip", "-n", namespaceOf(id, host), "-o", "link", "show", "up"], {
    op: "read the lab's lines",
  });
  const lines = text.split("\n").filter((line) => line.includes("LOWER_UP"));
  return new Set(lines.flatMap((line) => /^\d+: ([^@:]+)/.exec(line)?.[1] ?? []));
}
