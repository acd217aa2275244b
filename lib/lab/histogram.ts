/** Latencies in bounded memory: buckets whose width grows with the value, each at most 1/32 of it. */

const SUB_BUCKETS = 32;
const OCTAVES = 31;

/** Counts values of 0 to some 2^35, whole numbers; percentiles are right to 3 %. */
export class Histogram {
  readonly #counts = new Uint32Array(SUB_BUCKETS * (OCTAVES + 1));
  #total = 0;
  #max = 0;

  get total(): number {
    return this.#total;
  }

  get max(): number {
    return this.#max;
  }

  add(value: number): void {
    const whole = Math.max(0, Math.round(value));
    const index = indexOf(whole);
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#total++;
    if (whole > this.#max) this.#max = whole;
  }

  /** The value that `share` (0 to 1) of all are not above; 0 when there is none. */
  percentile(share: number): number {
    if (this.#total === 0) return 0;
    const wanted = Math.max(1, Math.ceil(this.#total * share));
    let seen = 0;
    for (let index = 0; index < this.#counts.length; index++) {
      seen += this.#counts[index] ?? 0;
      if (seen >= wanted) return Math.min(this.#max, middleOf(index));
    }
    return this.#max;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#total = 0;
    this.#max = 0;
  }
}

/** Values below SUB_BUCKETS have a bucket each; above, an octave has SUB_BUCKETS of equal width. */
function indexOf(value: number): number {
  if (value < SUB_BUCKETS) return value;
  const octave = Math.min(OCTAVES, Math.floor(Math.log2(value / SUB_BUCKETS)) + 1);
  const within = Math.floor(value / 2 ** (octave - 1)) - SUB_BUCKETS;
  return octave * SUB_BUCKETS + Math.min(SUB_BUCKETS - 1, Math.max(0, within));
}

function middleOf(index: number): number {
  const octave = Math.floor(index / SUB_BUCKETS);
  const within = index % SUB_BUCKETS;
  if (octave === 0) return within;
  const width = 2 ** (octave - 1);
  return Math.floor((within + SUB_BUCKETS + 0.5) * width);
}
