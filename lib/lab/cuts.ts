/** Cuts in the lab's lines, and loss on them.
 *
 * Each is an nftables table on the receiving interface's ingress hook, which sees every frame, ARP included. The sender
 * notices nothing: its interface is up and its frames are gone, as with a broken switch. One table per interface and
 * kind, so that faults are set and taken back one by one, also by another process than the one that set them. */

import { runCommand } from "./command.ts";
import {
  type Host,
  HOSTS,
  type LanDirection,
  type Link,
  type LinkDirection,
  LINKS,
  namespaceOf,
  type Place,
} from "./places.ts";

/** An interface on which frames are dropped as they come in. */
export interface Drop {
  place: Place;
  device: string;
}

const OP = "cut a line";

/** Where frames of a replication line are dropped to cut it in a direction. */
export function linkDrops(link: Link, direction: LinkDirection): Drop[] {
  const device = `link-${link}`;
  const drops: Drop[] = [];
  if (direction !== "b-to-a") drops.push({ place: "b", device });
  if (direction !== "a-to-b") drops.push({ place: "a", device });
  return drops;
}

/** Where frames are dropped to cut a host off the LAN. */
export function lanDrops(host: Host, direction: LanDirection): Drop[] {
  const drops: Drop[] = [];
  if (direction !== "in") drops.push({ place: "lan", device: `host-${host}` });
  if (direction !== "out") drops.push({ place: host, device: "lan" });
  return drops;
}

/** Drops everything that comes in on these interfaces. */
export async function cut(id: string, drops: readonly Drop[]): Promise<void> {
  await Promise.all(drops.map((drop) => nft(id, drop.place, tableLines("cut", drop.device, "drop"))));
}

/** Takes cuts back; what was not cut stays as it is. */
export async function mend(id: string, drops: readonly Drop[]): Promise<void> {
  await Promise.all(drops.map((drop) => nft(id, drop.place, removeLines("cut", drop.device))));
}

/** Parts the hosts' two ports of the switch from each other, or joins them again. */
export async function partPorts(id: string, parted: boolean): Promise<void> {
  for (const host of HOSTS) {
    const port = ["dev", `host-${host}`, "isolated", parted ? "on" : "off"];
    await runCommand(["bridge", "-n", namespaceOf(id, "lan"), "link", "set", ...port], { op: OP });
  }
}

/** Drops a share of a replication line's frames, both ways, at random; 0 takes the loss away. */
export async function loseFrames(id: string, link: Link, percent: number): Promise<void> {
  const share = Math.round(percent * 100);
  await Promise.all(
    linkDrops(link, "both").map(({ place, device }) =>
      nft(
        id,
        place,
        share === 0
          ? removeLines("loss", device)
          : tableLines("loss", device, `numgen random mod 10000 < ${share} drop`),
      )
    ),
  );
}

/** The interfaces of a place on which everything is dropped. */
export async function cutDevices(id: string, place: Place): Promise<Set<string>> {
  const text = await runCommand(
    ["ip", "netns", "exec", namespaceOf(id, place), "nft", "list", "tables", "netdev"],
    { op: "read the lab's cuts" },
  );
  return new Set([...text.matchAll(/isf_cut_(\w+)/g)].map((found) => found[1]?.replaceAll("_", "-") ?? ""));
}

/** The ways in which a replication line is cut; undefined when it is whole. */
export function linkCut(link: Link, cuts: Readonly<Record<Host, Set<string>>>): LinkDirection | undefined {
  const toA = cuts.a.has(`link-${link}`);
  const toB = cuts.b.has(`link-${link}`);
  if (toA && toB) return "both";
  if (toA) return "b-to-a";
  return toB ? "a-to-b" : undefined;
}

/** Every interface that a cut may be on. */
export function allDrops(): Drop[] {
  return [
    ...LINKS.flatMap((link) => linkDrops(link, "both")),
    ...lanDrops("a", "both"),
    ...lanDrops("b", "both"),
  ];
}

function table(kind: "cut" | "loss", device: string): string {
  return `isf_${kind}_${device.replaceAll("-", "_")}`;
}

/** Replaces the table in one transaction. */
function tableLines(kind: "cut" | "loss", device: string, rule: string): string[] {
  const name = table(kind, device);
  return [
    ...removeLines(kind, device),
    `add table netdev ${name}`,
    `add chain netdev ${name} in { type filter hook ingress device "${device}" priority 0; policy accept; }`,
    `add rule netdev ${name} in ${rule}`,
  ];
}

/** Adding first makes deleting work whether it is there or not. */
function removeLines(kind: "cut" | "loss", device: string): string[] {
  const name = table(kind, device);
  return [`add table netdev ${name}`, `delete table netdev ${name}`];
}

async function nft(id: string, place: Place, lines: readonly string[]): Promise<void> {
  await runCommand(["ip", "netns", "exec", namespaceOf(id, place), "nft", "-f", "-"], {
    op: OP,
    hint: "Install nftables; the kernel needs the netdev family of nf_tables.",
    stdin: `${lines.join("\n")}\n`,
  });
}
