/** What pings tell of the other node's clock. */

/** One ping: its round trip, us; the other's clock minus this one's, as if both ways took the same time, ms. */
export interface ClockSample {
  rtt_us: number;
  offset_ms: number;
}

/** Samples that are remembered: the one with the shortest round trip is the least wrong. */
const SAMPLES = 8;

export class ClockSamples {
  #samples: ClockSample[] = [];

  add(sample: ClockSample): void {
    this.#samples = [...this.#samples.slice(1 - SAMPLES), sample];
  }

  forget(): void {
    this.#samples = [];
  }

  /** Of the last ping; null: none yet. */
  get rtt_us(): number | null {
    return this.#samples.at(-1)?.rtt_us ?? null;
  }

  get offset_ms(): number | null {
    if (this.#samples.length === 0) return null;
    return this.#samples.reduce((least, sample) => sample.rtt_us < least.rtt_us ? sample : least).offset_ms;
  }
}
