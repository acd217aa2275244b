/** What a client of the counting guest has been promised, and whether the promise was kept.
 *
 * Each request asks for the next number. A number that came back is acknowledged: whatever happens to the hosts
 * afterwards, the guest may never again stand below it. */

import { Histogram } from "./histogram.ts";

/** One window of progress. All times in microseconds unless the name says otherwise. */
export interface Progress {
  t_us: number;
  /** Highest number that the guest gave out. */
  acknowledged: number;
  /** The newest reply. */
  last: number;
  /** Replies so far. */
  replies: number;
  p50_us: number;
  p99_us: number;
  /** How long the client has been without a reply, in milliseconds. */
  gap_ms: number;
}

/** Latencies of all replies. */
export interface Latency {
  p50: number;
  p90: number;
  p99: number;
  max: number;
}

/** What was counted, at the end. */
export interface CountSummary {
  acknowledged: number;
  replies: number;
  /** Acknowledged numbers that the guest no longer knew. */
  lost: number;
  /** Numbers that were given out and never reached this client. */
  skipped: number;
  longest_gap_ms: number;
  /** Longest time without a reply that ended after the mark; null without a mark. */
  gap_since_mark_ms: number | null;
  latency_us: Latency;
}

/** Follows the replies of one closed loop. Time is passed in. */
export class CountTracker {
  readonly #window = new Histogram();
  readonly #all = new Histogram();
  #acknowledged = 0;
  #last = 0;
  #replies = 0;
  #lost = 0;
  #skipped = 0;
  #newest_us: number;
  #longest_gap_us = 0;
  #gap_since_mark_us: number | undefined;

  constructor(start_us: number) {
    this.#newest_us = start_us;
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** A reply came. Returns the time since the one before. The first reply may be any number: others may have counted. */
  reply(number: number, times: { sent_us: number; at_us: number }): number {
    const gap_us = this.#gap(times.at_us);
    this.#newest_us = times.at_us;
    this.#window.add(times.at_us - times.sent_us);
    this.#all.add(times.at_us - times.sent_us);
    if (this.#replies > 0) {
      if (number <= this.#last) this.#lost += this.#last - number + 1;
      else this.#skipped += number - this.#last - 1;
    }
    this.#replies++;
    this.#last = number;
    this.#acknowledged = Math.max(this.#acknowledged, number);
    return gap_us;
  }

  /** The guest said, on whatever connection, that it stands at this number. */
  verify(counter: number): void {
    if (counter < this.#acknowledged) this.#lost = Math.max(this.#lost, this.#acknowledged - counter);
  }

  /** From now on, gaps are also counted apart. One that is under way counts. */
  mark(): void {
    this.#gap_since_mark_us = 0;
  }

  /** The window's figures; the next window begins. */
  progress(at_us: number): Progress {
    const progress = {
      t_us: at_us,
      acknowledged: this.#acknowledged,
      last: this.#last,
      replies: this.#replies,
      p50_us: this.#window.percentile(0.5),
      p99_us: this.#window.percentile(0.99),
      gap_ms: (at_us - this.#newest_us) / 1000,
    };
    this.#window.clear();
    return progress;
  }

  /** `waiting`: a request is unanswered, so the time since the newest reply is a gap as well. */
  summary(at: { at_us: number; waiting: boolean }): CountSummary {
    if (at.waiting) this.#gap(at.at_us);
    const all = this.#all;
    return {
      acknowledged: this.#acknowledged,
      replies: this.#replies,
      lost: this.#lost,
      skipped: this.#skipped,
      longest_gap_ms: this.#longest_gap_us / 1000,
      gap_since_mark_ms: this.#gap_since_mark_us === undefined ? null : this.#gap_since_mark_us / 1000,
      latency_us: {
        p50: all.percentile(0.5),
        p90: all.percentile(0.9),
        p99: all.percentile(0.99),
        max: all.max,
      },
    };
  }

  #gap(at_us: number): number {
    const gap_us = at_us - this.#newest_us;
    this.#longest_gap_us = Math.max(this.#longest_gap_us, gap_us);
    if (this.#gap_since_mark_us !== undefined) {
      this.#gap_since_mark_us = Math.max(this.#gap_since_mark_us, gap_us);
    }
    return gap_us;
  }
}
