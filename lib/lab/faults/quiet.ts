/** Hours without a fault, on a busy machine: whatever a pair does then beside protecting its guest is a mistake. */

import type { ClientSummary } from "../counting_client.ts";
import type { RunnerEvent } from "../pair.ts";
import { type Host, HOSTS } from "../places.ts";
import { brokenPromises, pause, type Program, Scene } from "../scene.ts";

/** How it goes. */
export interface QuietOptions {
  hours: number;
  /** Processes that take all the time that they get, one for each core. */
  busy: number;
  /** ms of silence that are a lost host. */
  takeover: number;
  /** Said once a minute, and when something happens. */
  onLine(line: Record<string, unknown>): void;
  /** Ends it early. */
  stop?: AbortSignal;
}

/** Something that should not have happened. */
export interface Mistake {
  at_s: number;
  host: Host;
  what: string;
}

/** What came of it. */
export interface QuietReport {
  hours: number;
  /** The VM moved, or its host went on alone. */
  false_takeovers: number;
  /** A host found the other silent on all paths; what it decided then is counted above. */
  false_silences: number;
  /** A single path was found dead. */
  paths_lost: number;
  stalls: number;
  mistakes: Mistake[];
  /** Longest time without a sign of life from the other host, ms. */
  worst_gap_ms: Record<Host, number>;
  /** Longest time that a host's own heartbeat thread did not run, ms. */
  worst_stall_ms: Record<Host, number>;
  checkpoints: number;
  pause_ms: { p50: number; p99: number };
  replies: number;
  longest_reply_gap_ms: number;
  /** What the client found broken. */
  broken: string[];
}

const LOOK_MS = 10_000;
const SAY_MS = 60_000;

interface Watch {
  scene: Scene;
  options: QuietOptions;
  /** Events before this were the pair's start. */
  from: Record<Host, number>;
  report: QuietReport;
  begun_ms: number;
}

/** Runs it in a lab of its own. */
export async function quietHours(program: Program, options: QuietOptions): Promise<QuietReport> {
  const { scene, client } = await (await Scene.open(program, { takeover: options.takeover })).counting({
    patience_ms: 60_000,
  });
  await using _ = scene;
  const busy = Array.from(
    { length: options.busy },
    () =>
      scene.lab.exec("client", ["sh", "-c", "while :; do :; done"], {
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }),
  );
  const watch: Watch = {
    scene,
    options,
    from: { a: scene.pair.runner("a").events.length, b: scene.pair.runner("b").events.length },
    report: emptyReport(),
    begun_ms: performance.now(),
  };
  let summary: ClientSummary;
  try {
    await watchHours(watch, () => client.replies);
    await lookAtCounters(watch);
    summary = await client.stop();
  } finally {
    for (const child of busy) child.kill("SIGKILL");
    await Promise.all(busy.map((child) => child.status));
  }
  lookAtEvents(watch);
  return {
    ...watch.report,
    hours: (performance.now() - watch.begun_ms) / 3_600_000,
    replies: summary.replies,
    longest_reply_gap_ms: summary.longest_gap_ms,
    broken: brokenPromises(summary),
  };
}

function emptyReport(): QuietReport {
  return {
    hours: 0,
    false_takeovers: 0,
    false_silences: 0,
    paths_lost: 0,
    stalls: 0,
    mistakes: [],
    worst_gap_ms: { a: 0, b: 0 },
    worst_stall_ms: { a: 0, b: 0 },
    checkpoints: 0,
    pause_ms: { p50: 0, p99: 0 },
    replies: 0,
    longest_reply_gap_ms: 0,
    broken: [],
  };
}

async function watchHours(watch: Watch, replies: () => number): Promise<void> {
  const { options } = watch;
  const end_ms = watch.begun_ms + options.hours * 3_600_000;
  let said_ms = watch.begun_ms;
  while (performance.now() < end_ms && options.stop?.aborted !== true) {
    await pause(Math.max(1, Math.min(LOOK_MS, end_ms - performance.now())));
    const before = watch.report.mistakes.length;
    lookAtEvents(watch);
    await lookAtCounters(watch);
    if (performance.now() - said_ms < SAY_MS && watch.report.mistakes.length === before) continue;
    said_ms = performance.now();
    const { mistakes, ...figures } = watch.report;
    options.onLine({
      event: "quiet",
      minutes: Math.round((said_ms - watch.begun_ms) / 60_000),
      ...figures,
      replies: replies(),
      mistakes: mistakes.slice(before),
    });
  }
}

/** What an undisturbed host never says; undefined for what it may. */
function mistakeOf(event: RunnerEvent): keyof QuietReport | undefined {
  switch (event.event) {
    case "promoted":
      return "false_takeovers";
    case "state":
      return event["to"] === "going_solo" ? "false_takeovers" : undefined;
    case "peer":
      return event["silent"] === true ? "false_silences" : undefined;
    case "path":
      return event["alive"] === false ? "paths_lost" : undefined;
    case "stalled":
      return "stalls";
    default:
      return undefined;
  }
}

function lookAtEvents(watch: Watch): void {
  const { scene, report, from } = watch;
  for (const host of HOSTS) {
    const events = scene.pair.runner(host).events;
    for (const event of events.slice(from[host])) {
      const kind = mistakeOf(event);
      if (kind === undefined) continue;
      (report[kind] as number)++;
      const at_s = Math.round((performance.now() - watch.begun_ms) / 1000);
      report.mistakes.push({ at_s, host, what: JSON.stringify(event) });
    }
    from[host] = events.length;
  }
}

async function lookAtCounters(watch: Watch): Promise<void> {
  const { scene, report } = watch;
  for (const host of HOSTS) {
    if (scene.pair.runner(host).over) continue;
    const { engine } = await scene.status(host);
    const greater = (before: number, us: number) => Math.max(before, us / 1000);
    report.worst_gap_ms[host] = greater(report.worst_gap_ms[host], engine.heartbeat_gap_us_max);
    report.worst_stall_ms[host] = greater(report.worst_stall_ms[host], engine.heartbeat_stall_us_max);
    if (engine.checkpoints === 0) continue; // the backup
    report.checkpoints = engine.checkpoints;
    report.pause_ms = { p50: engine.pause_us_p50 / 1000, p99: engine.pause_us_p99 / 1000 };
  }
}
