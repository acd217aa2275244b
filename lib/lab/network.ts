/** Builds and removes the lab's network: namespaces, veth pairs, bridges, shaping. */

import { EdgeError } from "../errors.ts";
import { runCommand } from "./command.ts";
import { ADDRESSES, BRIDGE, HOSTS, type Link, LINKS, namespaceOf, type Place, PLACES } from "./places.ts";

/** The network's measures. */
export interface NetworkOptions {
  /** Rate of each replication line, both ways, in Mbit/s; 0 leaves it unshaped. */
  rate_mbit: number;
  /** Largest frame on all lines and on the LAN, in bytes (9000 for jumbo frames). */
  mtu: number;
}

const OP = "build the lab's network";
/** What a line's queue holds when more is sent than it carries. */
const QUEUE_MS = 25;
const READY_BOUND_MS = 5_000;

/** Runs `ip` commands in a namespace, one process for all. */
export async function ipBatch(namespace: string, lines: readonly string[]): Promise<void> {
  await runCommand(["ip", "-n", namespace, "-batch", "-"], { op: OP, stdin: `${lines.join("\n")}\n` });
}

/** Creates all of the network. The caller removes it if this throws. */
export async function buildNetwork(id: string, options: NetworkOptions): Promise<void> {
  for (const place of PLACES) {
    await runCommand(["ip", "netns", "add", namespaceOf(id, place)], { op: OP });
  }
  await Promise.all(PLACES.map((place) => tuneKernel(namespaceOf(id, place))));
  await addCables(id, options.mtu);
  await Promise.all([
    ...HOSTS.map((host) => ipBatch(namespaceOf(id, host), hostLines(host, options.mtu))),
    ipBatch(namespaceOf(id, "lan"), [
      ...bridgeLines("02:77:00:00:00:01", options.mtu),
      `addr add ${ADDRESSES.reference}/24 dev ${BRIDGE}`,
      ...["host-a", "host-b", "client"].flatMap((port) => [
        `link set ${port} master ${BRIDGE}`,
        `link set ${port} up`,
      ]),
    ]),
    ipBatch(namespaceOf(id, "client"), [
      `link set lo up`,
      `addr add ${ADDRESSES.client}/24 dev lan`,
      `link set lan up`,
      `route add default via ${ADDRESSES.reference}`,
    ]),
  ]);
  for (const link of LINKS) await shapeLine(id, link, options.rate_mbit);
  await linesReady(id);
}

/** Waits until each interface that has a carrier also sends: the kernel notices carriers at most once a second. */
export async function linesReady(id: string): Promise<void> {
  const end_ms = performance.now() + READY_BOUND_MS;
  for (;;) {
    const texts = await Promise.all(
      PLACES.map((place) =>
        runCommand(["ip", "-n", namespaceOf(id, place), "-o", "link", "show", "up"], { op: OP })
      ),
    );
    const late = texts.join("\n").split("\n").filter((line) =>
      /LOWER_UP/.test(line) && /NO-CARRIER/.test(line)
    );
    if (late.length === 0) return;
    if (performance.now() > end_ms) {
      throw new EdgeError(`these lines do not come up: ${late.join("; ")}`, { op: OP, hint: "Try again." });
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** What would delay or duplicate frames on so small a network is switched off. */
async function tuneKernel(namespace: string): Promise<void> {
  const settings = [
    "ipv6/conf/default/accept_dad=0", // else an address cannot be used for a second
    "ipv6/conf/default/accept_ra=0",
    "ipv6/conf/default/router_solicitations=0",
    "bridge/bridge-nf-call-iptables=0", // bridged frames need no firewall here
    "bridge/bridge-nf-call-ip6tables=0",
    "bridge/bridge-nf-call-arptables=0",
  ].map((setting) => {
    const [name, value] = setting.split("=");
    return `[ ! -w /proc/sys/net/${name} ] || echo ${value} > /proc/sys/net/${name}`;
  });
  await runCommand(["ip", "netns", "exec", namespace, "sh", "-c", settings.join("\n")], { op: OP });
}

/** All veth pairs, each end created where it belongs. */
async function addCables(id: string, mtu: number): Promise<void> {
  const cable = (from: [Place, string], to: [Place, string]) =>
    `link add ${from[1]} netns ${namespaceOf(id, from[0])} mtu ${mtu} type veth ` +
    `peer name ${to[1]} netns ${namespaceOf(id, to[0])} mtu ${mtu}`;
  const lines = [
    ...LINKS.map((link) => cable(["a", `link-${link}`], ["b", `link-${link}`])),
    ...HOSTS.map((host) => cable([host, "lan"], ["lan", `host-${host}`])),
    cable(["client", "lan"], ["lan", "client"]),
  ];
  await runCommand(["ip", "-batch", "-"], { op: OP, stdin: `${lines.join("\n")}\n` });
}

function bridgeLines(mac: string, mtu: number): string[] {
  return [
    "link set lo up",
    `link add ${BRIDGE} address ${mac} mtu ${mtu} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`,
    `link set ${BRIDGE} up`,
  ];
}

function hostLines(host: "a" | "b", mtu: number): string[] {
  return [
    ...bridgeLines(`02:77:00:00:00:${host === "a" ? "02" : "03"}`, mtu),
    `addr add ${ADDRESSES.lan[host]}/24 dev ${BRIDGE}`,
    `link set lan master ${BRIDGE}`,
    "link set lan up",
    ...LINKS.flatMap((link) => [
      `addr add ${ADDRESSES.links[link][host]}/24 dev link-${link}`,
      `link set link-${link} up`,
    ]),
  ];
}

/** Gives a replication line a rate, both ways; 0 takes the limit away. */
export async function shapeLine(id: string, link: Link, rate_mbit: number): Promise<void> {
  const tc = (host: "a" | "b", words: string[]) =>
    runCommand(["tc", "-n", namespaceOf(id, host), "qdisc", ...words], { op: "shape a line" });
  // A bucket of 1 ms, but not smaller than the largest packet that the kernel hands to a device at once.
  const burst = Math.max(65_536, Math.ceil(rate_mbit * 125));
  const shaped = ["root", "tbf", "rate", `${rate_mbit}mbit`, "burst", `${burst}`, "latency", `${QUEUE_MS}ms`];
  await Promise.all(HOSTS.map(async (host) => {
    const dev = ["dev", `link-${link}`];
    if (rate_mbit > 0) return tc(host, ["replace", ...dev, ...shaped]);
    await tc(host, ["replace", ...dev, "root", "pfifo"]);
    return tc(host, ["del", ...dev, "root"]);
  }));
}

/** Removes the namespaces, and with them all interfaces. What is not there is no error. */
export async function removeNetwork(id: string): Promise<void> {
  for (const place of PLACES) {
    const namespace = namespaceOf(id, place);
    try {
      Deno.statSync(`/run/netns/${namespace}`);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) continue;
      throw error;
    }
    await runCommand(["ip", "netns", "del", namespace], { op: "remove the lab's network" });
  }
}
