/** The node's side of what is kept: takes events and samples at once and without ever throwing, hands them to the worker, and tells
 * whoever listens. */

import { join } from "node:path";
import { english } from "../model/english.ts";
import type { EventQuery, EventView, NewEvent } from "../model/event.ts";
import { ProblemError } from "../model/problem.ts";
import { explained } from "../model/problem_english.ts";
import type { VmSample } from "../model/vm.ts";
import type { Observation, ObserverContract, ObserverState, VmTotals } from "./contracts.ts";
import type { Taken } from "./keeper.ts";
import { StoreThread } from "./store_thread.ts";
import { MEASURED } from "./thinning.ts";

/** What an observer needs. */
export interface ObserverOptions {
  /** DATA/observe; there, and 0700. */
  directory: string;
  /** Name of this node. */
  node: string;
  nowMs?: () => number;
  /** Told of what goes wrong here itself. */
  warn?: (text: string) => void;
}

const TEXT_CHARS = 1_000;
const NAME_CHARS = 100;
const PARAM_CHARS = 500;
const PARAMS = 30;
/** A sample that is farther from now was stamped by another clock. */
const SAMPLE_SLACK_MS = 5_000;
/** How far the other node's clock may be ahead. */
const AHEAD_MS = 24 * 3600 * 1000;
/** VMs whose sums are kept. */
const VMS = 256;

function bounded(params: NewEvent["params"]): NewEvent["params"] {
  return Object.fromEntries(
    Object.entries(params ?? {}).slice(0, PARAMS).map(([key, value]) => [
      key.slice(0, NAME_CHARS),
      typeof value === "number" ? value : String(value).slice(0, PARAM_CHARS),
    ]),
  );
}

function said(event: NewEvent): string {
  if (event.text !== undefined) return event.text;
  try {
    return english({ code: event.code, params: event.params });
  } catch {
    // A value is missing: what is known is said all the same.
    return `${event.code} ${JSON.stringify(event.params)}`;
  }
}

/** See above. `Observer.open`, and `await using`. */
export class Observer implements ObserverContract {
  readonly #options: Required<ObserverOptions>;
  readonly #thread: StoreThread;
  readonly #listeners = new Set<(seen: Observation) => void>();
  readonly #totals = new Map<string, VmTotals & { t_ms: number }>();

  private constructor(options: Required<ObserverOptions>) {
    this.#options = options;
    this.#thread = new StoreThread({
      path: join(options.directory, "events.db"),
      node: options.node,
      warn: options.warn,
      taken: (events) => events.forEach((event) => this.#tell({ kind: "event", event })),
    });
  }

  /** Begins. Returns when the worker is there, or after a bounded while without it: what comes meanwhile waits for it. */
  static async open(options: ObserverOptions): Promise<Observer> {
    const made = new Observer({
      ...options,
      nowMs: options.nowMs ?? Date.now,
      warn: options.warn ?? (() => {}),
    });
    await made.#thread.ready();
    return made;
  }

  event(event: NewEvent): void {
    try {
      const taken: Taken = {
        at: new Date(this.#options.nowMs()).toISOString(),
        node: this.#options.node,
        severity: event.severity,
        subject: event.subject,
        name: String(event.name ?? "").slice(0, NAME_CHARS),
        code: String(event.code).slice(0, NAME_CHARS),
        params: bounded(event.params),
        text: said(event).slice(0, TEXT_CHARS),
        actor: event.actor === null || event.actor === undefined
          ? null
          : String(event.actor).slice(0, NAME_CHARS),
      };
      this.#thread.event(taken);
    } catch (error) {
      this.#options.warn(`an event could not be taken: ${error instanceof Error ? error.message : error}`);
    }
  }

  /** One of the other node's, which may say anything. */
  taken(event: Omit<EventView, "id">): void {
    try {
      const now = this.#options.nowMs();
      const at = Date.parse(event.at);
      this.#thread.event({
        ...event,
        // A time that is none, or far ahead, would stand before all others for ever.
        at: new Date(at <= now + AHEAD_MS && at >= 0 ? at : now).toISOString(),
        node: event.node.slice(0, NAME_CHARS),
        actor: event.actor?.slice(0, NAME_CHARS) ?? null,
        name: event.name.slice(0, NAME_CHARS),
        code: event.code.slice(0, NAME_CHARS),
        params: bounded(event.params),
        text: event.text.slice(0, TEXT_CHARS),
      });
    } catch (error) {
      this.#options.warn(`an event could not be taken: ${error instanceof Error ? error.message : error}`);
    }
  }

  sample(vm: string, sample: VmSample): void {
    try {
      const now = this.#options.nowMs();
      const off = !(Math.abs(sample.t_ms - now) <= SAMPLE_SLACK_MS);
      const taken: VmSample = { ...sample, t_ms: off ? now : sample.t_ms };
      for (const key of MEASURED) {
        const value = taken[key];
        taken[key] = typeof value === "number" && Number.isFinite(value) ? value : null;
      }
      this.#sum(vm, taken);
      this.#thread.sample(vm.slice(0, NAME_CHARS), taken);
      this.#tell({ kind: "sample", vm, sample: taken });
    } catch (error) {
      this.#options.warn(`a sample could not be taken: ${error instanceof Error ? error.message : error}`);
    }
  }

  #sum(vm: string, sample: VmSample): void {
    const known = this.#totals.get(vm);
    if (known === undefined) {
      if (this.#totals.size < VMS) this.#totals.set(vm, { checkpoints: 0, bytes: 0, t_ms: sample.t_ms });
      return;
    }
    // A gap, or a clock that was set: nothing is made up for it.
    const seconds = (sample.t_ms - known.t_ms) / 1000;
    known.t_ms = sample.t_ms;
    if (!(seconds > 0 && seconds <= 10)) return;
    known.checkpoints += Math.round((sample.checkpoints_per_s ?? 0) * seconds);
    known.bytes += Math.round((sample.out_mbit ?? 0) * 125_000 * seconds);
  }

  #tell(seen: Observation): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(seen);
      } catch (error) {
        this.#options.warn(`a listener failed: ${error instanceof Error ? error.message : error}`);
      }
    }
  }

  async query(query: EventQuery): Promise<EventView[]> {
    const limit = Math.min(1_000, Math.max(1, Math.floor(query.limit) || 100));
    return await this.#ask({ kind: "query", query: { ...query, limit } }) as EventView[];
  }

  async history(
    vm: string,
    range: { from_ms: number; to_ms: number; points: number },
  ): Promise<VmSample[]> {
    const points = Math.min(5_000, Math.max(1, Math.floor(range.points)));
    const { from_ms, to_ms } = range;
    if (!Number.isFinite(from_ms) || !Number.isFinite(to_ms) || !(from_ms < to_ms) || Number.isNaN(points)) {
      throw new ProblemError("invalid", {
        detail: `there is no time between ${from_ms} and ${to_ms}`,
        hint: "Give two times in Unix milliseconds, the earlier one first.",
      });
    }
    return await this.#ask({ kind: "history", vm, range: { from_ms, to_ms, points } }) as VmSample[];
  }

  async #ask(question: Parameters<StoreThread["ask"]>[0]): Promise<EventView[] | VmSample[]> {
    try {
      return await this.#thread.ask(question);
    } catch (error) {
      throw new ProblemError(
        "failed",
        explained("observe.unreadable", {
          why: error instanceof Error ? error.message : String(error),
          directory: this.#options.directory,
        }),
      );
    }
  }

  subscribe(listener: (seen: Observation) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  totals(): ReadonlyMap<string, VmTotals> {
    return this.#totals;
  }

  state(): ObserverState {
    return this.#thread.state();
  }

  /** Writes what waits, for a bounded while, and ends the worker. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread.close();
    this.#listeners.clear();
  }
}
