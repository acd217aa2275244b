/** Samples of each VM, finer the newer: each second for ten minutes (in memory), each ten seconds for a day, each five minutes for nine days
 * (in SQLite).
 *
 * Bounds are numbers of samples in the order in which they came, not ages. So a clock that jumps destroys nothing: ahead leaves a gap; back
 * lets time pass twice, and what is measured again replaces what was kept of that time. */

import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { VmSample } from "../model/vm.ts";
import { MEASURED, nothingAt, type Stretch, thinned, together } from "./thinning.ts";

/** A little more than what is asked for, so that "the last day" is all of it. */
export const TIERS = { memory: 660, fine_s: 10, fine: 9_000, coarse_s: 300, coarse: 2_700 } as const;
/** The newest samples come each second, or less often where a node has much to do: below 2.5 times this no gap is seen. */
const USUAL_S = 2;
/** VMs whose samples are kept; the one that was silent longest makes room. */
const VMS = 64;

interface Series {
  /** The newest, in the order in which they came. */
  seconds: VmSample[];
  /** Those of the ten seconds that have not ended. */
  open: VmSample[];
  /** Begin of the five minutes that have not ended, s; null: none yet. */
  coarse_s: number | null;
  fineCount: number;
  coarseCount: number;
  taken: number;
}

const bucketOf = (t_ms: number, step_s: number) => Math.floor(t_ms / 1000 / step_s) * step_s;

/** The history of all VMs. All calls but `take` between two buckets wait for the disk. */
export class SampleHistory {
  readonly #db: DatabaseSync;
  readonly #insert: StatementSync;
  readonly #series = new Map<string, Series>();
  #taken = 0;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#insert = db.prepare(
      `INSERT OR REPLACE INTO samples (vm, step_s, t_s, ${MEASURED.join(", ")})
       VALUES (?, ?, ?, ${MEASURED.map(() => "?").join(", ")})`,
    );
    const known = db.prepare("SELECT vm, max(seq) AS newest FROM samples GROUP BY vm ORDER BY newest").all();
    for (const { vm } of known as { vm: string }[]) this.#seriesOf(vm);
  }

  /** Takes one; writes when ten seconds have ended. Throws what the disk says: nothing but that stretch is lost. */
  take(vm: string, sample: VmSample): void {
    const series = this.#seriesOf(vm);
    series.taken = ++this.#taken;
    const first = series.open[0];
    series.seconds.push(sample);
    if (series.seconds.length > TIERS.memory) series.seconds.shift();
    const ended = first !== undefined &&
      bucketOf(first.t_ms, TIERS.fine_s) !== bucketOf(sample.t_ms, TIERS.fine_s);
    const closed = ended ? series.open : null;
    if (ended) series.open = [];
    if (series.open.length < 100) series.open.push(sample);
    if (closed !== null) this.#close(vm, { series, closed });
  }

  /** Writes what is open, before the end. */
  flush(): void {
    for (const [vm, series] of this.#series) {
      if (series.open.length === 0) continue;
      const closed = series.open;
      series.open = [];
      this.#close(vm, { series, closed });
    }
  }

  /** Samples of a VM within a range, thinned. */
  query(vm: string, range: { from_ms: number; to_ms: number; points: number }): VmSample[] {
    const rows = this.#db.prepare(
      `SELECT * FROM samples WHERE vm = ? AND step_s = ? AND t_s * 1000 >= ? AND t_s * 1000 <= ? ORDER BY t_s`,
    );
    const stretches = (step_s: number): Stretch[] =>
      (rows.all(vm, step_s, range.from_ms, range.to_ms) as unknown as (VmSample & { t_s: number })[])
        .map((row) => ({ sample: fromRow(row), step_s }));
    const fine = stretches(TIERS.fine_s);
    const seconds = this.#secondsOf(vm, range);
    const all = finest([stretches(TIERS.coarse_s), fine, seconds]);
    return thinned(all, range);
  }

  #secondsOf(vm: string, range: { from_ms: number; to_ms: number }): Stretch[] {
    const of = new Map<number, VmSample>();
    for (const sample of this.#series.get(vm)?.seconds ?? []) {
      if (sample.t_ms >= range.from_ms && sample.t_ms <= range.to_ms) of.set(sample.t_ms, sample);
    }
    return [...of.values()].sort((a, b) => a.t_ms - b.t_ms).map((sample) => ({ sample, step_s: USUAL_S }));
  }

  #seriesOf(vm: string): Series {
    const known = this.#series.get(vm);
    if (known !== undefined) return known;
    if (this.#series.size >= VMS) this.#forgetSilent();
    const count = (step_s: number) =>
      (this.#db.prepare("SELECT count(*) AS n FROM samples WHERE vm = ? AND step_s = ?").get(vm, step_s) as {
        n: number;
      }).n;
    const newest = this.#db.prepare(
      "SELECT t_s FROM samples WHERE vm = ? AND step_s = ? ORDER BY seq DESC LIMIT 1",
    ).get(vm, TIERS.fine_s) as { t_s: number } | undefined;
    const made: Series = {
      seconds: [],
      open: [],
      coarse_s: newest === undefined ? null : bucketOf(newest.t_s * 1000, TIERS.coarse_s),
      fineCount: count(TIERS.fine_s),
      coarseCount: count(TIERS.coarse_s),
      taken: ++this.#taken,
    };
    this.#series.set(vm, made);
    return made;
  }

  #forgetSilent(): void {
    const [vm] = [...this.#series].reduce((a, b) => a[1].taken <= b[1].taken ? a : b);
    this.#series.delete(vm);
    this.#db.prepare("DELETE FROM samples WHERE vm = ?").run(vm);
  }

  /** Ten seconds have ended; perhaps the five minutes that the ones before belong to have as well. */
  #close(vm: string, { series, closed }: { series: Series; closed: VmSample[] }): void {
    const t_s = bucketOf(closed[0]!.t_ms, TIERS.fine_s);
    const coarse_s = bucketOf(t_s * 1000, TIERS.coarse_s);
    if (series.coarse_s !== null && series.coarse_s !== coarse_s) {
      const rows = this.#db.prepare(
        "SELECT * FROM samples WHERE vm = ? AND step_s = ? AND t_s >= ? AND t_s < ?",
      ).all(vm, TIERS.fine_s, series.coarse_s, series.coarse_s + TIERS.coarse_s);
      const samples = (rows as unknown as (VmSample & { t_s: number })[]).map(fromRow);
      if (samples.length > 0) {
        this.#write(vm, TIERS.coarse_s, together(samples, series.coarse_s * 1000));
        series.coarseCount = this.#bound(vm, TIERS.coarse_s, series.coarseCount + 1);
      }
    }
    series.coarse_s = coarse_s;
    this.#write(vm, TIERS.fine_s, together(closed, t_s * 1000));
    series.fineCount = this.#bound(vm, TIERS.fine_s, series.fineCount + 1);
  }

  #write(vm: string, step_s: number, sample: VmSample): void {
    this.#insert.run(vm, step_s, sample.t_ms / 1000, ...MEASURED.map((key) => sample[key]));
  }

  /** Counts may be too great where time passed twice, since what is replaced is counted again: then they are counted anew. */
  #bound(vm: string, step_s: number, count: number): number {
    const limit = step_s === TIERS.fine_s ? TIERS.fine : TIERS.coarse;
    if (count <= limit + limit / 50) return count;
    this.#db.prepare(
      `DELETE FROM samples WHERE vm = ?1 AND step_s = ?2 AND seq <= (
         SELECT seq FROM samples WHERE vm = ?1 AND step_s = ?2 ORDER BY seq DESC LIMIT 1 OFFSET ?3)`,
    ).run(vm, step_s, limit);
    const left = this.#db.prepare("SELECT count(*) AS n FROM samples WHERE vm = ? AND step_s = ?")
      .get(vm, step_s) as { n: number };
    return left.n;
  }
}

function fromRow(row: VmSample & { t_s: number }): VmSample {
  const sample = nothingAt(row.t_s * 1000);
  for (const key of MEASURED) sample[key] = row[key];
  return sample;
}

/** From coarse to fine: where a finer one is known for a stretch of time, the coarser one goes. */
function finest(tiers: readonly Stretch[][]): Stretch[] {
  let kept: Stretch[] = [];
  for (const tier of tiers) {
    const step_s = kept.map((stretch) => stretch.step_s);
    const covered = new Map<number, Set<number>>();
    for (const step of new Set(step_s)) {
      covered.set(step, new Set(tier.map(({ sample }) => bucketOf(sample.t_ms, step))));
    }
    kept = kept.filter(({ sample, step_s }) => !covered.get(step_s)!.has(bucketOf(sample.t_ms, step_s)));
    kept.push(...tier);
  }
  return kept.sort((a, b) => a.sample.t_ms - b.sample.t_ms);
}
