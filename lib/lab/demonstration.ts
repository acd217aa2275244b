/** The demonstration: a protected VM in the lab under load, a fault, and what came of it, measured from outside. */

import type { Status } from "../../ffi/status.ts";
import { ClientProcess } from "./client_process.ts";
import type { ClientSummary } from "./counting_client.ts";
import type { Fault, Lab } from "./lab.ts";
import { LabPair, type PairOptions, type RunnerEvent } from "./pair.ts";
import { ADDRESSES, type Host } from "./places.ts";

/** What can be made to fail. */
export const FAILURES = [
  "power-off-primary",
  "freeze-primary",
  "kill-backup",
  "cut-link-a",
  "cut-links",
  "none",
] as const;
export type Failure = typeof FAILURES[number];

/** How a demonstration goes. */
export interface DemonstrationOptions {
  pair: PairOptions;
  fail: Failure;
  /** Length of the load in seconds; the fault comes in its middle. */
  seconds: number;
  /** Pages that each request dirties. */
  dirty: number;
  /** Bytes that each request writes to disk and flushes. */
  write: number;
  /** Everything that happens, as it happens. */
  onEvent(event: Record<string, unknown> & { event: string }): void;
}

/** The outcome: what `demo --json` prints last. */
export interface Outcome {
  event: "summary";
  acknowledged: number;
  lost: number;
  connection: "survived" | "broken";
  longest_gap_ms: number;
  detection_ms: number | null;
  takeover_ms: number | null;
  checkpoints: number;
  checkpoints_per_s: number;
  pause_ms: { p50: number; p99: number };
  bytes_per_dirty_page: number;
  link_mbit_s: number;
  memory_verified: boolean;
  disk_verified: boolean;
  /** Beyond what was promised: how it ended, and the client's latency. */
  failure: Failure;
  runs_on: Host | null;
  protection: string;
  latency_ms: { p50: number; p99: number };
  guest_verified: boolean;
}

const READY_MS = 120_000;
const VERIFY_MS = 20_000;
const SETTLE_MS = 10_000;

interface Measured {
  status: Status;
  at_us: number;
}

async function measure(pair: LabPair, host: Host): Promise<Measured> {
  const { engine } = await pair.runner(host).call("status") as { engine: Status };
  return { status: engine, at_us: performance.now() * 1000 };
}

/** Runs the demonstration in a lab that is up. */
export async function demonstrate(lab: Lab, options: DemonstrationOptions): Promise<Outcome> {
  const { onEvent } = options;
  const say = (text: string) => onEvent({ event: "step", text });
  say("writing the hosts' files");
  await using pair = await LabPair.create({
    ...options.pair,
    lab,
    onEvent: (host, event) => onEvent({ ...event, host }),
  });
  say("starting a runner on each host, and the guest on host A");
  await pair.protect(READY_MS);
  say("protected; waiting for the guest's service");
  await using client = new ClientProcess(lab, {
    self: options.pair.self,
    options: {
      hostname: ADDRESSES.guest,
      dirty: options.dirty,
      write: options.write,
      connect_ms: READY_MS,
      verify: true,
    },
    onEvent: (event) =>
      onEvent({ ...event, event: event.event === "progress" ? "progress" : `client-${event.event}` }),
  });
  await client.connected;
  return await run({ lab, pair, client, options, say });
}

interface Scene {
  lab: Lab;
  pair: LabPair;
  client: ClientProcess;
  options: DemonstrationOptions;
  say(text: string): void;
}

async function run(scene: Scene): Promise<Outcome> {
  const { pair, client, options, say } = scene;
  say("a client counts over one TCP connection");
  await sleep(1000);
  const begun = await measure(pair, "a");
  await sleep(options.seconds * 500);
  const before = await measure(pair, "a");
  say("comparing both hosts' memory and disk at a commit");
  const verified = await verify(pair);
  await sleep(500);
  await client.mark();
  await sleep(100);
  const fault = await inject(scene);
  await sleep(options.seconds * 500);
  await afterwards(scene);
  say("asking the guest to check its own memory and disk");
  const summary = await client.stop();
  const runsOn = await whoRuns(pair);
  return outcome(scene, { begun, before, verified, fault, summary, runsOn });
}

async function verify(pair: LabPair): Promise<RunnerEvent> {
  const a = pair.runner("a");
  await a.call("verify");
  return await a.event((event) => event.event === "verified", VERIFY_MS);
}

/** Does the damage. Null when there is none. */
async function inject({ lab, options, say }: Scene): Promise<Fault | null> {
  switch (options.fail) {
    case "none":
      return null;
    case "power-off-primary":
      say("host A loses its power");
      return await lab.powerOff("a");
    case "freeze-primary":
      say("host A freezes");
      return await lab.freeze("a");
    case "kill-backup":
      say("host B loses its power");
      return await lab.powerOff("b");
    case "cut-link-a":
      say("link A is cut");
      return await lab.cutLink("a");
    case "cut-links": {
      say("both links are cut");
      const first = await lab.cutLink("a");
      const second = await lab.cutLink("b");
      return { at_us: first.at_us, done_us: second.done_us };
    }
    default:
      return options.fail satisfies never;
  }
}

/** What belongs to the fault's end: a frozen host thaws, and must find that it was overtaken. */
async function afterwards({ lab, pair, options, say }: Scene): Promise<void> {
  if (options.fail !== "freeze-primary") return;
  say("host A thaws");
  await lab.thaw("a");
  const a = pair.runner("a");
  await a.event(
    (event) => event.event === "state" && (event["to"] === "fencing" || event["to"] === "stale"),
    SETTLE_MS,
  )
    .catch(() => {});
}

async function whoRuns(pair: LabPair): Promise<{ host: Host | null; protection: string }> {
  for (const host of ["a", "b"] as const) {
    const runner = pair.runner(host);
    if (runner.over) continue;
    const status = await runner.call("status").catch(() => undefined) as
      | { phase: string; sentence: string }
      | undefined;
    if (status && ["solo", "syncing", "protected", "deciding", "handing"].includes(status.phase)) {
      return { host, protection: status.sentence };
    }
  }
  return { host: null, protection: "The VM runs nowhere." };
}

interface Findings {
  begun: Measured;
  before: Measured;
  verified: RunnerEvent;
  fault: Fault | null;
  summary: ClientSummary;
  runsOn: { host: Host | null; protection: string };
}

function outcome(scene: Scene, found: Findings): Outcome {
  const { options, pair } = scene;
  const { begun, before, verified, fault, summary } = found;
  const took_s = (before.at_us - begun.at_us) / 1e6;
  const change = (pick: (status: Status) => number) => pick(before.status) - pick(begun.status);
  const link_bytes = change((s) => sum(s.link_bytes_out) + sum(s.link_bytes_in));
  const survivor = options.fail === "kill-backup" ? "a" : "b";
  const events = pair.runner(survivor).events;
  const silent = events.find((event) =>
    fault !== null && event.event === "peer" && event["silent"] === true &&
    Number(event["t_us"]) > fault.at_us
  );
  const first = events.find((event) => event.event === "first_frame");
  const pages = change((s) => s.dirty_pages);
  return {
    event: "summary",
    acknowledged: summary.acknowledged,
    lost: summary.lost,
    connection: summary.connection,
    longest_gap_ms: round(summary.gap_since_mark_ms ?? 0),
    detection_ms: silent && fault ? round((Number(silent["t_us"]) - fault.at_us) / 1000) : null,
    takeover_ms: first ? round(Number(first["takeover_us"]) / 1000) : null,
    checkpoints: before.status.checkpoints,
    checkpoints_per_s: round(change((s) => s.checkpoints) / took_s),
    pause_ms: { p50: before.status.pause_us_p50 / 1000, p99: before.status.pause_us_p99 / 1000 },
    bytes_per_dirty_page: pages > 0 ? round(change((s) => s.page_bytes) / pages) : 0,
    link_mbit_s: round(link_bytes * 8 / 1e6 / took_s),
    memory_verified: verified["memory"] === true && verified["blocks"] === true &&
      verified["device"] === true,
    disk_verified: verified["disk"] === true,
    failure: options.fail,
    runs_on: found.runsOn.host,
    protection: found.runsOn.protection,
    latency_ms: { p50: round(summary.latency_us.p50 / 1000), p99: round(summary.latency_us.p99 / 1000) },
    guest_verified: summary.memory?.ok === true && (options.write === 0 || summary.disk?.ok === true),
  };
}

/** What is wrong with an outcome; empty when the pair did what it promises. */
export function faultsOf(outcome: Outcome): string[] {
  const wrong: string[] = [];
  if (outcome.lost > 0) wrong.push(`${outcome.lost} acknowledged counts were lost`);
  if (outcome.connection === "broken") wrong.push("the client's TCP connection broke");
  if (!outcome.memory_verified) {
    wrong.push("the backup's memory, RAM blocks or device state differed from the primary's");
  }
  if (!outcome.disk_verified) wrong.push("the backup's disk differed from the primary's");
  if (!outcome.guest_verified) wrong.push("the guest found its own memory or disk damaged");
  if (outcome.runs_on === null) wrong.push("the VM runs nowhere");
  return wrong;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
