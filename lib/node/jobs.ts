/** Long work with progress: an import, a backup. Kept in memory: what was running when the node's service ended is over, and its files are
 * removed by whoever made them. */

import { EdgeError } from "../errors.ts";
import { type Explained, ProblemError } from "../model/problem.ts";
import { explained } from "../model/problem_english.ts";
import type { JobView } from "../model/vm.ts";
import type { Jobs } from "./contracts.ts";

/** Jobs that may run at a time, and that are shown at most. */
const RUNNING_MAX = 4;
const KEPT_MAX = 100;
/** What is over is shown for this long. */
const KEPT_MS = 3600_000;
/** The rate is of about the last so many ms. */
const RATE_OVER_MS = 5000;
/** Between two looks at the rate, ms: shorter ones are noise. */
const RATE_STEP_MS = 200;
/** Listeners hear of progress at most this often, ms. */
const TELL_MS = 250;

type Work = Parameters<Jobs["start"]>[1];
type Begun = Parameters<Jobs["start"]>[0];

/** How fast something goes, smoothed. */
export class Rate {
  #atMs: number;
  #done = 0;
  #perS: number | null = null;

  constructor(nowMs: number) {
    this.#atMs = nowMs;
  }

  /** Per second; null: not known yet. */
  get perS(): number | null {
    return this.#perS;
  }

  /** So much was done by now. */
  add(done: number, nowMs: number): void {
    const spent = nowMs - this.#atMs;
    if (spent < RATE_STEP_MS) return;
    const now = Math.max(0, done - this.#done) * 1000 / spent;
    // The weight of a measurement grows with the time that it is about, so that the steps' lengths do not matter.
    const weight = 1 - Math.exp(-spent / RATE_OVER_MS);
    this.#perS = this.#perS === null ? now : this.#perS + weight * (now - this.#perS);
    this.#atMs = nowMs;
    this.#done = done;
  }
}

interface Job {
  view: JobView;
  rate: Rate;
  abort: AbortController;
  done: Promise<void>;
  endedMs: number | null;
  toldMs: number;
}

/** What is shown of an error: what was wrong, and what to do. */
export function errorView(error: unknown): Explained {
  const detail = error instanceof Error ? error.message : String(error);
  const hint = error instanceof EdgeError || error instanceof ProblemError ? error.hint : "";
  const reason = error instanceof ProblemError ? error.reason : null;
  return { detail: detail.slice(0, 2000), hint: hint.slice(0, 2000), ...(reason === null ? {} : { reason }) };
}

/** Runs jobs. */
export class JobRunner implements Jobs, AsyncDisposable {
  readonly #jobs = new Map<string, Job>();
  readonly #listeners = new Set<() => void>();
  readonly #nowMs: () => number;
  #closed = false;

  constructor(options: { nowMs?: () => number } = {}) {
    this.#nowMs = options.nowMs ?? Date.now;
  }

  /** Newest first. */
  list(): JobView[] {
    this.#forget();
    return [...this.#jobs.values()].map((job) => ({ ...job.view })).reverse();
  }

  /** Starts `work` at once. Throws ProblemError too_many when enough is running. `done` rejects with what went wrong; nobody has to wait for it. */
  start(begun: Begun, work: Work): { view: JobView; done: Promise<void> } {
    this.#forget();
    const running = [...this.#jobs.values()].filter((job) => job.endedMs === null).length;
    if (this.#closed || running >= RUNNING_MAX) {
      throw new ProblemError(
        "too_many",
        this.#closed ? explained("job.ending") : explained("job.too_many", { count: running }),
      );
    }
    const nowMs = this.#nowMs();
    const job: Job = {
      view: {
        ...begun,
        id: crypto.randomUUID(),
        state: "running",
        done: 0,
        rate_per_s: null,
        eta_s: null,
        started: new Date(nowMs).toISOString(),
        ended: null,
        error: null,
      },
      rate: new Rate(nowMs),
      abort: new AbortController(),
      done: Promise.resolve(),
      endedMs: null,
      toldMs: nowMs,
    };
    this.#jobs.set(job.view.id, job);
    job.done = this.#run(job, work);
    job.done.catch(() => {}); // it is in the view
    this.#tell();
    return { view: { ...job.view }, done: job.done };
  }

  /** Asks a job to end. Throws ProblemError not_found, or conflict when it is over already. */
  cancel(id: string): void {
    const job = this.#jobs.get(id);
    if (job === undefined) {
      throw new ProblemError("not_found", explained("job.absent", { id: JSON.stringify(id.slice(0, 60)) }));
    }
    if (job.endedMs !== null) {
      throw new ProblemError("conflict", explained("job.over", { state: job.view.state }));
    }
    job.abort.abort(new DOMException("It was cancelled", "AbortError"));
  }

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Cancels what runs, and returns when all of it has ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const job of this.#jobs.values()) {
      job.abort.abort(new DOMException("The node's service ends", "AbortError"));
    }
    await Promise.allSettled([...this.#jobs.values()].map((job) => job.done));
  }

  async #run(job: Job, work: Work): Promise<void> {
    const { signal } = job.abort;
    try {
      await Promise.resolve(); // `start` has returned when the work begins
      signal.throwIfAborted();
      await work({ progress: (done, total) => this.#progress(job, done, total), signal });
      this.#end(job, "done");
    } catch (error) {
      if (!signal.aborted) job.view.error = errorView(error);
      this.#end(job, signal.aborted ? "cancelled" : "failed");
      throw error;
    }
  }

  #progress(job: Job, done: number, total?: number): void {
    if (job.endedMs !== null) return;
    const nowMs = this.#nowMs();
    const { view, rate } = job;
    view.total = total ?? view.total;
    view.done = Math.min(done, Math.max(view.total, 0));
    rate.add(view.done, nowMs);
    view.rate_per_s = rate.perS;
    const left = view.total - view.done;
    view.eta_s = rate.perS === null || rate.perS <= 0 ? null : Math.ceil(left / rate.perS);
    if (nowMs - job.toldMs < TELL_MS) return;
    job.toldMs = nowMs;
    this.#tell();
  }

  #end(job: Job, state: "done" | "failed" | "cancelled"): void {
    const nowMs = this.#nowMs();
    job.endedMs = nowMs;
    Object.assign(job.view, { state, ended: new Date(nowMs).toISOString(), eta_s: null });
    if (state === "done") job.view.done = job.view.total;
    this.#tell();
  }

  #forget(): void {
    const nowMs = this.#nowMs();
    let over = this.#jobs.size - KEPT_MAX;
    for (const [id, job] of this.#jobs) {
      if (job.endedMs === null) continue;
      if (over-- > 0 || nowMs - job.endedMs >= KEPT_MS) this.#jobs.delete(id);
    }
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
