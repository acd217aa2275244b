/** This machine's network interfaces, and what two machines could use to reach each other. */

import { z } from "zod";
import type { PairSettings } from "../../model/node.ts";
import { keptSettings } from "./replacing.ts";
import type { NodeInterface } from "./types.ts";

const ADDRESSES_MAX = 64;

/** What the other node says of its own: from outside. */
export const interfacesSchema = z.object({
  interfaces: z.array(z.object({
    name: z.string().max(15),
    address: z.ipv4(),
    prefix: z.number().int().min(0).max(32),
    speed_mbit: z.number().nullable(),
    bridge: z.boolean(),
    carrier: z.boolean(),
  })).max(ADDRESSES_MAX),
  /** What VMs that run there keep (replacing.ts). */
  kept: keptSettings.nullish(),
});

function readText(path: string): string | null {
  try {
    return Deno.readTextFileSync(path).trim();
  } catch {
    return null; // an interface that is down has no speed and no carrier to read
  }
}

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** What an interface says that it can, Mbit/s; null: it does not say. */
export function speedOf(name: string): number | null {
  const speed = Number(readText(`/sys/class/net/${name}/speed`) ?? -1);
  return Number.isInteger(speed) && speed > 0 ? speed : null;
}

/** Whether a cable is plugged in at both ends; null: no such interface, or it does not say. */
export function carrierOf(name: string): boolean | null {
  const carrier = readText(`/sys/class/net/${name}/carrier`);
  return carrier === null ? null : carrier === "1";
}

/** Whether this machine has a bridge of this name. */
export function isBridge(name: string): boolean {
  return isDirectory(`/sys/class/net/${name}/bridge`);
}

/** Reads them from the system: those with an IPv4 address, but for the loopback. */
export function readInterfaces(): NodeInterface[] {
  return Deno.networkInterfaces()
    .filter(({ family, name }) => family === "IPv4" && name !== "lo")
    .slice(0, ADDRESSES_MAX)
    .map(({ name, address, cidr }) => ({
      name,
      address,
      prefix: Number(cidr.split("/")[1] ?? 32),
      speed_mbit: speedOf(name),
      bridge: isBridge(name),
      carrier: carrierOf(name) === true,
    }));
}

/** The gateway that an interface's default route names; null: none. */
export function readGateway(name: string): string | null {
  const lines = (readText("/proc/net/route") ?? "").split("\n").map((line) => line.split("\t"));
  const gateway = lines.find(([device, destination]) => device === name && destination === "00000000")?.[2];
  if (gateway === undefined || !/^[0-9A-F]{8}$/.test(gateway) || gateway === "00000000") return null;
  return gateway.match(/../g)!.map((byte) => Number.parseInt(byte, 16)).reverse().join(".");
}

function network({ address, prefix }: { address: string; prefix: number }): string {
  const bits = address.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0);
  return `${Math.floor(bits / 2 ** (32 - prefix))}/${prefix}`;
}

interface Match {
  mine: NodeInterface;
  theirs: NodeInterface;
}

/** Pairs of addresses in the same network, each interface once, the fastest first. */
function matches(mine: readonly NodeInterface[], theirs: readonly NodeInterface[]): Match[] {
  const speed = ({ mine, theirs }: Match) => Math.min(mine.speed_mbit ?? 0, theirs.speed_mbit ?? 0);
  const live = ({ mine, theirs }: Match) => Number(mine.carrier && theirs.carrier);
  const all = mine.flatMap((one) =>
    theirs.filter((other) =>
      network(other) === network(one) && other.address !== one.address && one.prefix < 32
    )
      .map((other) => ({ mine: one, theirs: other }))
  ).sort((a, b) => live(b) - live(a) || speed(b) - speed(a) || a.mine.name.localeCompare(b.mine.name));
  const taken = new Set<string>();
  return all.filter(({ mine, theirs }) => {
    const [here, there] = [`here ${mine.name}`, `there ${theirs.name}`];
    if (taken.has(here) || taken.has(there)) return false;
    taken.add(here).add(there);
    return true;
  });
}

/** What could be set: the LAN is where both have a bridge of the same name, the lines are what else they share. null: they share nothing. */
export function propose(
  mine: readonly NodeInterface[],
  { theirs, gateway }: { theirs: readonly NodeInterface[]; gateway(name: string): string | null },
): PairSettings | null {
  const shared = matches(mine, theirs);
  const lan = shared.find(({ mine, theirs }) => mine.bridge && theirs.bridge && mine.name === theirs.name);
  const lines = shared.filter(({ mine, theirs }) => !mine.bridge && !theirs.bridge);
  const [first, second] = lines;
  const addresses = ({ mine, theirs }: Match) => ({ local: mine.address, peer: theirs.address });
  const line = first ?? lan;
  if (line === undefined) return null;
  const reference = lan === undefined ? null : gateway(lan.mine.name);
  return {
    link_a: addresses(line),
    link_b: second === undefined ? null : addresses(second),
    lan: lan === undefined ? null : { ...addresses(lan), bridge: lan.mine.name, reference },
    arbiter: reference === null ? "manual" : "lan",
    witness: null,
    takeover_ms: 150,
  };
}
