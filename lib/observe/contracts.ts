/** What the node and the web see of being watched. Observer (observer.ts) and Alerter (alerts/alerter.ts) are these. */

import type { AlertSettings, AlertView } from "../model/alerts.ts";
import type { Snapshot } from "../model/backend.ts";
import type { CheckView } from "../model/doctor.ts";
import type { EventQuery, EventView } from "../model/event.ts";
import type { Recorder } from "../model/recorder.ts";
import type { VmSample } from "../model/vm.ts";

/** What was taken, as it is kept. Like the model's Change, without the snapshot. */
export type Observation =
  | { kind: "event"; event: EventView }
  | { kind: "sample"; vm: string; sample: VmSample };

/** Sums since this process began, for counters. */
export interface VmTotals {
  checkpoints: number;
  /** To the other node. */
  bytes: number;
}

/** How the keeping of events and samples goes. */
export interface ObserverState {
  events_kept: number;
  events_lost: number;
  samples_lost: number;
  /** Why events are not kept now; null: they are. */
  problem: string | null;
}

/** Keeps events and samples, and answers what was. */
export interface ObserverContract extends Recorder, AsyncDisposable {
  /** Keeps an event of the other node, as that one took it. Never throws, never waits. */
  taken(event: Omit<EventView, "id">): void;
  query(query: EventQuery): Promise<EventView[]>;
  /** At most `points`, thinned; where nothing was measured stands one sample with nothing but nulls. */
  history(vm: string, range: { from_ms: number; to_ms: number; points: number }): Promise<VmSample[]>;
  subscribe(listener: (seen: Observation) => void): Disposable;
  totals(): ReadonlyMap<string, VmTotals>;
  state(): ObserverState;
}

/** What is told of beside the snapshot. */
export interface AlertExtras {
  /** What `telling()` was on the other node; null: it did not say, or is not heard. */
  peer_telling: readonly string[] | null;
  /** What doctor found last on this node; empty: not looked. */
  checks: readonly CheckView[];
  /** Why the audit log is not whole; null: it is. */
  audit: string | null;
}

/** Settings of alerts as the other node is given them: with their secrets, since each node must be able to tell when the other one dies. */
export interface AlertReplica {
  /** The greater one is newer. */
  revision: number;
  settings: AlertSettings;
}

/** What keeps the settings of two nodes the same. */
export interface AlertReplicas {
  replica(): AlertReplica;
  /** Takes the other node's, when they are newer and good. Returns whether they were taken. Throws ProblemError "invalid". */
  adopt(replica: { revision: number; settings: unknown }): Promise<boolean>;
  /** Told when they were changed here. */
  onConfigured(listener: () => void): Disposable;
}

/** Tells people of conditions that last. */
export interface AlerterContract extends AsyncDisposable {
  /** Secrets show as "set" or "". */
  settings(): AlertSettings;
  /** A secret that is "set" stays as it is. Returns what `settings()` does. */
  configure(settings: AlertSettings): Promise<AlertSettings>;
  /** Sends a test by one channel, and says how that went. */
  test(channel: string): Promise<{ ok: boolean; detail: string }>;
  /** To be called once a second, and may be at each change. Never throws, never waits. */
  evaluate(snapshot: Snapshot, extras: AlertExtras): void;
  active(): AlertView[];
  /** Keys that this node tells people of: said to the other one, so that only one does. */
  telling(): string[];
  /** Messages per channel since the start. */
  counts(): { channel: string; kind: string; sent: number; failed: number; waiting: number }[];
}
