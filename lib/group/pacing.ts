/** Runs the ladder (ladder.ts) on a VM's engine: samples its status page while it is protected, and does what the ladder says. */

import type { Engine } from "../../ffi/engine.ts";
import { MODES, type StatusPage } from "../../ffi/status.ts";
import {
  beginLadder,
  type Change,
  climb,
  type DegradationPolicy,
  type LadderState,
  type Level,
  type Rung,
  rungs,
  type Sample,
} from "./ladder.ts";
import type { GroupEvent } from "./types.ts";

const SAMPLE_MS = 250;
/** A wish that the decision could not grant is said again after this. */
const ASK_AGAIN_MS = 3000;

/** The host's rhythm, as its file says. */
export interface Rhythm {
  minUs: number;
  maxUs: number;
  dirtyPages: number;
  inflight: number;
  stallUs: number;
}

/** What pacing is made of. */
export interface PacingOptions {
  engine: Pick<Engine, "rhythm" | "throttle" | "clockUs"> & { status: StatusPage };
  policy: DegradationPolicy;
  rhythm: Rhythm;
  report(event: Record<string, unknown>): void;
  /** To the decision: output should leave at once, or wait again. */
  dispatch(event: Extract<GroupEvent, { kind: "pace" }>): void;
}

/** What is done for the guest's pace now, for people. */
export interface PaceView {
  level: Level;
  /** The guest is slowed by this. */
  percent: number;
  /** Epochs are at least this long; null: as the host's file says. */
  epoch_ms: number | null;
  /** The last rung is not enough. */
  stuck: boolean;
  /** What was measured when this began; "" at full pace. */
  why: string;
  since_us: number;
}

/** Counters of one look. */
interface Reading {
  t_ms: number;
  bytes: number;
  sent: number;
  checkpoints: number;
}

/** One VM's pace. */
export class Pacing implements Disposable {
  readonly #options: PacingOptions;
  readonly #ladder: Rung[];
  readonly #timer: ReturnType<typeof setInterval>;
  #state: LadderState = beginLadder();
  #applied: Rung;
  #why = "";
  #since_us: number;
  #asked_ms = -Infinity;
  #before: Reading | null = null;
  #line_bytes_s = 0;

  constructor(options: PacingOptions) {
    this.#options = options;
    this.#ladder = rungs(options.policy);
    this.#since_us = options.engine.clockUs();
    this.#applied = this.#ladder[0]!;
    this.#timer = setInterval(() => this.look(), SAMPLE_MS);
  }

  get view(): PaceView {
    const { level, percent, epoch_ms } = this.#applied;
    return { level, percent, epoch_ms, stuck: this.#state.stuck, why: this.#why, since_us: this.#since_us };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  /** One look at the status page; the timer's, and tests'. */
  look(): void {
    const page = this.#options.engine.status;
    const mode = page.get("mode");
    if (mode === MODES.HANDING) return;
    if (mode !== MODES.PROTECTED || page.get("behind_us") === 0) return this.#over();
    const { state, change, stuck } = climb(this.#state, this.#sample(page), this.#options.policy);
    this.#state = state;
    if (change !== null) this.#changed(change);
    if (stuck !== null) this.#stuck(stuck);
    this.#apply(page);
  }

  get #rung(): Rung {
    return this.#ladder[this.#state.rung]!;
  }

  #sample(page: StatusPage): Sample {
    const now: Reading = {
      t_ms: this.#options.engine.clockUs() / 1000,
      bytes: page.get("page_bytes") + page.get("disk_bytes"),
      sent: page.get("link_bytes_out", 0) + page.get("link_bytes_out", 1),
      checkpoints: page.get("checkpoints"),
    };
    const before = this.#before ?? now;
    this.#before = now;
    const [waiting, took] = [page.get("waiting_us"), page.get("commit_us_last")];
    const latency_ms = Math.max(waiting, took) / 1000;
    const seconds = (now.t_ms - before.t_ms) / 1000;
    const bytes = Math.max(now.bytes - before.bytes, 0);
    const epochs = now.checkpoints - before.checkpoints;
    // What the backup takes is at least what it took; while it cannot keep up it is just that.
    const took_bytes_s = epochs > 0 && took > 0 ? bytes / epochs / (took / 1e6) : 0;
    const sent_bytes_s = seconds > 0 ? (now.sent - before.sent) / seconds : 0;
    const least = Math.max(took_bytes_s, sent_bytes_s);
    const strained = latency_ms > this.#options.policy.max_added_ms && least > 0;
    this.#line_bytes_s = strained ? least : Math.max(this.#line_bytes_s, least);
    return {
      t_ms: now.t_ms,
      latency_ms,
      inflight: page.get("inflight"),
      wanted_bytes_s: seconds > 0 ? bytes / seconds : 0,
      line_bytes_s: this.#line_bytes_s,
      stalled: waiting > this.#options.rhythm.stallUs,
    };
  }

  #changed({ from, to, down, why }: Change): void {
    this.#why = to.level === "full" ? "" : why;
    this.#since_us = this.#options.engine.clockUs();
    this.#report(down ? "degraded" : "recovered", {
      from: from.level,
      to: to.level,
      epoch_ms: to.epoch_ms,
      percent: to.percent,
      why,
      text: down ? `${said(to)}: ${why}` : `${said(to)} again: ${why}`,
    });
    if (down) {
      this.#report("alarm", { code: "degraded", text: `The backup does not keep up. ${said(to)}: ${why}` });
    }
    this.#asked_ms = -Infinity;
  }

  #stuck(why: string): void {
    this.#why = why;
    const rest = this.#ladder.length === 1
      ? "and [degradation] allows nothing that would help"
      : `and [degradation] allows no more than what is done (${said(this.#rung)})`;
    this.#report("alarm", { code: "cannot-keep-up", text: `The backup does not keep up, ${rest}: ${why}` });
  }

  /** Protection is over: at the next one the ladder begins anew. */
  #over(): void {
    const from = this.#rung;
    this.#state = beginLadder();
    this.#before = null;
    this.#line_bytes_s = 0;
    this.#why = "";
    if (from.level === "full") return;
    this.#changed({ from, to: this.#rung, down: false, why: "the VM is not protected now" });
    this.#tell(this.#rung);
  }

  #apply(page: StatusPage): void {
    const rung = this.#rung;
    const [wanted, is] = [rung.level === "asynchronous", page.get("asynchronous") === 1];
    if (wanted !== is) this.#ask(wanted);
    // Until output really leaves at once the guest stays slowed.
    this.#tell(wanted && !is ? this.#ladder[this.#state.rung - 1]! : rung);
  }

  #ask(asynchronous: boolean): void {
    const now = this.#options.engine.clockUs() / 1000;
    if (now - this.#asked_ms < ASK_AGAIN_MS) return;
    this.#asked_ms = now;
    const wants = asynchronous ? "asynchronous" : "synchronous";
    this.#options.dispatch({ kind: "pace", wants, why: this.#why });
  }

  #tell(rung: Rung): void {
    if (rung === this.#applied) return;
    this.#applied = rung;
    const { engine, rhythm } = this.#options;
    const minUs = Math.max(rhythm.minUs, Math.round((rung.epoch_ms ?? 0) * 1000));
    const maxUs = Math.max(rhythm.maxUs, minUs);
    engine.rhythm({ ...rhythm, minUs, maxUs, dirtyPages: rhythm.dirtyPages * rung.dirty_factor });
    engine.throttle(rung.percent);
  }

  #report(event: string, fields: Record<string, unknown>): void {
    this.#options.report({ event, t_us: this.#options.engine.clockUs(), ...fields });
  }
}

/** What a rung does, in words. */
function said(rung: Rung): string {
  switch (rung.level) {
    case "full":
      return "Full pace";
    case "longer":
      return `Epochs are at least ${Math.round(rung.epoch_ms ?? 0)} ms long`;
    case "slower":
      return `The guest is slowed by ${rung.percent} %`;
    case "asynchronous":
      return "Output does not wait for the backup";
    default:
      return rung.level satisfies never;
  }
}
