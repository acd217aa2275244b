/** The snapshot, put together from what the parts of a node say. Pure. */

import type { AlertView } from "../model/alerts.ts";
import type { Snapshot } from "../model/backend.ts";
import type { ArbiterView, NodeView, PairView, PathView } from "../model/node.ts";
import { homeVerdict, whatIf } from "../model/verdicts.ts";
import type { JobView, VmView } from "../model/vm.ts";
import type { NodeFacts } from "./facts.ts";
import type { VmReport } from "./vm/records.ts";

/** What the other node is, as far as it is known. */
export interface PeerWord {
  id: string;
  name: string;
  reachable: boolean;
  since_ms: number;
  /** What it said of its machine last; null: nothing yet. */
  facts: NodeFacts | null;
  clock_offset_ms: number | null;
}

/** All that a snapshot is made of. */
export interface PictureParts {
  facts: NodeFacts;
  peer: PeerWord | null;
  pair: PairView;
  arbiter: ArbiterView | null;
  vms: VmView[];
  /** What this node's runners say. */
  reports: readonly VmReport[];
  jobs: JobView[];
  alerts: AlertView[];
}

function iso(ms: number): string | null {
  return ms > 0 ? new Date(ms).toISOString() : null;
}

function self(facts: NodeFacts): NodeView {
  return { ...facts, self: true, reachable: true, since: facts.started, clock_offset_ms: 0 };
}

/** What a node that is away said of itself still stands, but for what passes. */
function other(peer: PeerWord): NodeView {
  const unknown = {
    version: null,
    qemu: null,
    kernel: null,
    accel: null,
    cpu_model: null,
    cpus: null,
    memory_mib: null,
    memory_free_mib: null,
    disk_bytes: null,
    disk_free_bytes: null,
    privileged: null,
    started: null,
    url: null,
  };
  const passing = peer.reachable ? {} : { memory_free_mib: null, disk_free_bytes: null };
  return {
    ...unknown,
    ...peer.facts,
    ...passing,
    id: peer.id,
    name: peer.name,
    self: false,
    reachable: peer.reachable,
    since: iso(peer.since_ms),
    clock_offset_ms: peer.reachable ? peer.clock_offset_ms : null,
  };
}

function sum(values: readonly (number | null | undefined)[]): number | null {
  const known = values.filter((value) => value !== null && value !== undefined);
  return known.length === 0 ? null : known.reduce((total, value) => total + value, 0);
}

/** A replication line with what the runners know of it: which carries the data, and how much. */
function withRunners(path: PathView, reports: readonly VmReport[]): PathView {
  const index = { a: 0, b: 1, lan: 2 }[path.name];
  // Heartbeats are timed by the engine; what this service measures has its own waits in it.
  const trips = reports.map((report) => report.paths[index]?.rtt_us).filter((rtt) => typeof rtt === "number");
  const rtt_us = trips.length === 0 ? path.rtt_us : Math.min(...trips);
  if (path.name === "lan") return { ...path, rtt_us };
  const lines = reports.map((report) => report.lines[index]);
  return {
    ...path,
    rtt_us,
    active: reports.some((report) => report.active === index),
    out_mbit: sum(lines.map((line) => line?.out_mbit)),
    in_mbit: sum(lines.map((line) => line?.in_mbit)),
  };
}

/** The snapshot but for its number and time. */
export function picture(parts: PictureParts): Omit<Snapshot, "revision" | "at"> {
  const { facts, peer, vms, reports, jobs, alerts } = parts;
  const nodes = [self(facts), ...(peer === null ? [] : [other(peer)])];
  const pair: PairView = {
    ...parts.pair,
    arbiter: parts.arbiter,
    paths: parts.pair.paths.map((path) => withRunners(path, reports)),
  };
  const situation = { nodes, pair, vms };
  return { home: homeVerdict(situation), nodes, pair, vms, jobs, alerts, what_if: whatIf(situation) };
}

/** Who decides counts as lost when either node does not reach it: whichever is left would have to. */
export function ofBoth(
  arbiter: ArbiterView | null,
  peer: { node: string; state: ArbiterView["state"] | null | undefined },
): ArbiterView | null {
  if (arbiter === null || arbiter.state === "lost" || peer.state !== "lost") return arbiter;
  return { ...arbiter, state: "lost", since: null, why: `${peer.node} does not reach it` };
}
