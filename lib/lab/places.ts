/** The lab's map: names and addresses. Several labs exist side by side, each with an id of its own.
 *
 *       hostA ═══ link A, 10.77.1.0/24 ═══ hostB
 *         ║  ═══ link B, 10.77.2.0/24 ═══   ║
 *        lan                               lan        10.77.0.2 and .3 on a bridge br0 in each host
 *         ╚══════════ switch (lan) ═════════╝         10.77.0.1, the reference address
 *                         ║
 *                       client                        10.77.0.20
 *
 * Each is a network namespace, so interface names need no id. */

import { EdgeError } from "../errors.ts";

/** One of the two hosts. */
export type Host = "a" | "b";
/** One of the two replication lines. */
export type Link = "a" | "b";
/** A network namespace of the lab; `lan` is the switch. */
export type Place = Host | "lan" | "client";
/** Which way a replication line is cut. */
export type LinkDirection = "both" | "a-to-b" | "b-to-a";
/** Which way a host is cut off the LAN, as seen from that host. */
export type LanDirection = "both" | "in" | "out";

export const HOSTS: readonly Host[] = ["a", "b"];
export const LINKS: readonly Link[] = ["a", "b"];
export const PLACES: readonly Place[] = ["a", "b", "lan", "client"];
export const LINK_DIRECTIONS: readonly LinkDirection[] = ["both", "a-to-b", "b-to-a"];
export const LAN_DIRECTIONS: readonly LanDirection[] = ["both", "in", "out"];

/** The bridge on each host that a guest's TAP is put on. */
export const BRIDGE = "br0";

/** The lab's IPv4 addresses. */
export const ADDRESSES = {
  /** On the switch: answers ARP and ping, as a gateway would. */
  reference: "10.77.0.1",
  client: "10.77.0.20",
  /** Free for the demo guest. */
  guest: "10.77.0.10",
  lan: { a: "10.77.0.2", b: "10.77.0.3" },
  links: { a: { a: "10.77.1.1", b: "10.77.1.2" }, b: { a: "10.77.2.1", b: "10.77.2.2" } },
} as const;

const STATE_DIRECTORY = "/run/iservft-lab";
const ID_PATTERN = /^[a-z0-9]{1,8}$/;

/** The id, if it can be one. */
export function checkId(id: string): string {
  if (ID_PATTERN.test(id)) return id;
  throw new EdgeError(`"${id}" is no lab id`, { op: "find the lab", hint: "Use 1 to 8 of a-z and 0-9." });
}

/** The network namespace's name. */
export function namespaceOf(id: string, place: Place): string {
  return `isf${id}-${place}`;
}

/** Where the lab's configuration and marks are kept. */
export function stateDirectory(id: string): string {
  return `${STATE_DIRECTORY}/${id}`;
}

/** The ids of all labs that are up, or were and left something behind. */
export function labIds(): string[] {
  const ids = new Set<string>();
  for (
    const { directory, pattern } of [
      { directory: STATE_DIRECTORY, pattern: /^([a-z0-9]{1,8})$/ },
      { directory: "/run/netns", pattern: /^isf([a-z0-9]{1,8})-(?:a|b|lan|client)$/ },
    ]
  ) {
    for (const name of namesIn(directory)) {
      const found = pattern.exec(name);
      if (found?.[1] !== undefined) ids.add(found[1]);
    }
  }
  return [...ids].sort();
}

function namesIn(directory: string): string[] {
  try {
    return [...Deno.readDirSync(directory)].map((entry) => entry.name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
