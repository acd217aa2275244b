/** What a pair holds of its machine: memory, descriptors, threads, processes, namespaces, interfaces, files. */

import type { LabRunner } from "../pair.ts";
import { type Host, HOSTS, labIds } from "../places.ts";
import { runCommand } from "../command.ts";
import type { Stage } from "./stage.ts";

/** What one host holds. */
export interface HostInventory {
  /** The runner's resident memory without the guest's, MiB. */
  anonymous_mib: number;
  descriptors: number;
  threads: number;
  /** All processes of the host. */
  processes: number;
  interfaces: number;
  /** Below its data and its run directory. */
  files: number;
  /** How long this runner has been there, s. */
  age_s: number;
}

/** What both hold, and the machine's namespaces of labs. */
export interface Inventory {
  hosts: Record<Host, HostInventory>;
  namespaces: number;
  temporary: number;
}

/** Counts everything. */
export async function inventory(stage: Stage): Promise<Inventory> {
  const hosts = {} as Record<Host, HostInventory>;
  for (const host of HOSTS) hosts[host] = await hostInventory(stage, stage.runner(host));
  return {
    hosts,
    namespaces: names("/run/netns").filter((name) => name.startsWith(`isf${stage.lab.id}-`)).length,
    temporary: labIds().filter((id) => id === stage.lab.id).length,
  };
}

async function hostInventory(stage: Stage, runner: LabRunner): Promise<HostInventory> {
  const { host, child: { pid } } = runner;
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1]);
  const links = await runCommand(["ip", "-n", stage.lab.namespace(host), "-o", "link"], {
    op: "count interfaces",
  });
  const started_us = Number(runner.events[0]?.["t_us"]);
  return {
    anonymous_mib: Math.round(field("RssAnon") / 102.4) / 10,
    descriptors: names(`/proc/${pid}/fd`).length,
    threads: field("Threads"),
    processes: stage.lab.processes(host).length,
    interfaces: links.trim().split("\n").length,
    files: filesBelow(stage.pair.dataDirectory(host)) + filesBelow(stage.pair.runDirectory(host)),
    age_s: Math.round((stage.clock() - started_us) / 1e6),
  };
}

function names(directory: string): string[] {
  return [...Deno.readDirSync(directory)].map(({ name }) => name);
}

function filesBelow(directory: string): number {
  let files = 0;
  for (const { name, isDirectory } of Deno.readDirSync(directory)) {
    files += isDirectory ? filesBelow(`${directory}/${name}`) : 1;
  }
  return files;
}

/** What of `end` is more than `start` by more than a runner's normal changes; empty when nothing leaks. */
export function leaks(start: Inventory, end: Inventory): string[] {
  const found: string[] = [];
  const compare = (what: string, counts: { from: number; to: number; slack: number }) => {
    const { from, to, slack } = counts;
    if (to > from + slack) found.push(`${what}: ${from} at the start, ${to} at the end`);
  };
  // The hosts may have changed places: what one holds is compared with the most that either held.
  const most = (of: (host: HostInventory) => number) =>
    Math.max(...HOSTS.map((host) => of(start.hosts[host])));
  for (const host of HOSTS) {
    const now = end.hosts[host];
    compare(`descriptors on host ${host}`, {
      from: most((h) => h.descriptors),
      to: now.descriptors,
      slack: 8,
    });
    compare(`threads on host ${host}`, { from: most((h) => h.threads), to: now.threads, slack: 8 });
    compare(`processes on host ${host}`, { from: most((h) => h.processes), to: now.processes, slack: 0 });
    compare(`interfaces on host ${host}`, { from: most((h) => h.interfaces), to: now.interfaces, slack: 0 });
    compare(`files on host ${host}`, { from: most((h) => h.files), to: now.files, slack: 2 });
    compare(`memory of host ${host}, MiB`, {
      from: most((h) => h.anonymous_mib),
      to: now.anonymous_mib,
      slack: 64,
    });
  }
  compare("namespaces", { from: start.namespaces, to: end.namespaces, slack: 0 });
  return found;
}
