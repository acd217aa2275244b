/** The engine's status page, read in place: no call, no copy but of the numbers. */

/** ISF_ABI that this code speaks. */
export const ABI = 3;

/** enum isf_mode: what the engine is doing. */
export const MODES = {
  IDLE: 0,
  SOLO: 1,
  SYNCING: 2,
  PROTECTED: 3,
  HELD: 4,
  HANDING: 5,
  STANDBY: 6,
  PROMOTING: 7,
} as const;

/** enum tracker_kind: how dirty pages are found. */
export const TRACKERS = { AUTO: 0, PAGESCAN: 1, SOFTDIRTY: 2, COMPARE: 3 } as const;

/** struct isf_status in the order of the header: name and how many u64. */
export const STATUS_FIELDS = [
  ["mode", 1],
  ["generation", 1],
  ["term", 1],
  ["epoch", 1],
  ["committed", 1],
  ["checkpoints", 1],
  ["pause_us_last", 1],
  ["pause_us_p50", 1],
  ["pause_us_p99", 1],
  ["pause_us_max", 1],
  ["stop_us_last", 1],
  ["scan_us_last", 1],
  ["copy_us_last", 1],
  ["finish_us_last", 1],
  ["encode_us_last", 1],
  ["commit_us_last", 1],
  ["commit_us_p50", 1],
  ["commit_us_p99", 1],
  ["dirty_pages_last", 1],
  ["dirty_pages", 1],
  ["page_bytes", 1],
  ["device_bytes", 1],
  ["disk_bytes", 1],
  ["inflight", 1],
  ["inflight_bytes", 1],
  ["link_active", 1],
  ["link_up", 2],
  ["link_bytes_in", 2],
  ["link_bytes_out", 2],
  ["link_rtt_us", 2],
  ["path_alive", 3],
  ["path_rtt_us", 3],
  ["peer_age_us", 1],
  ["lease_left_us", 1],
  ["out_frames", 1],
  ["out_bytes", 1],
  ["in_frames", 1],
  ["in_bytes", 1],
  ["held_frames", 1],
  ["held_bytes", 1],
  ["dropped_frames", 1],
  ["sync_bytes_done", 1],
  ["sync_bytes_total", 1],
  ["tracker", 1],
  ["refused", 1],
  ["peer_term", 1],
  ["peer_role", 1],
  ["peer_flags", 1],
  ["peer_epoch", 1],
  ["peer_generation", 1],
  ["durable", 1],
  ["page_zero", 1],
  ["page_same", 1],
  ["page_xor", 1],
  ["page_raw", 1],
  ["late_frames", 1],
  ["lease_waits", 1],
  ["throttle", 1],
  ["throttle_wanted", 1],
  ["holds", 1],
  ["held_us", 1],
  ["asynchronous", 1],
  ["behind_us", 1],
  ["waiting_us", 1],
  ["sync_bytes_sent", 1],
  ["sync_bytes_skipped", 1],
  ["sync_rate", 1],
  ["sync_eta_s", 1],
  ["sync_phase", 1],
  ["heartbeat_gap_us_max", 1],
  ["heartbeat_stall_us_max", 1],
] as const;

type Field = typeof STATUS_FIELDS[number];

/** One reading of the page. Sizes in bytes, times in microseconds. Numbers are exact up to 2^53. */
export type Status = { [F in Field as F[0]]: F[1] extends 1 ? number : number[] };

/** sizeof(struct isf_status) as this table has it. */
export const STATUS_BYTES = 8 * STATUS_FIELDS.reduce((sum, [, count]) => sum + count, 0);

/** Reads struct isf_status from memory that the engine writes. */
export class StatusPage {
  #words: BigUint64Array;
  #offsets: Map<string, number>;

  /** `buffer`: the page itself, at least STATUS_BYTES long and 8-byte aligned; not copied. */
  constructor(buffer: ArrayBuffer) {
    this.#words = new BigUint64Array(buffer, 0, STATUS_BYTES / 8);
    this.#offsets = new Map();
    let offset = 0;
    for (const [name, count] of STATUS_FIELDS) {
      this.#offsets.set(name, offset);
      offset += count;
    }
  }

  /** One field: of an array, element `index`. */
  get(name: keyof Status, index = 0): number {
    const offset = this.#offsets.get(name);
    if (offset === undefined) throw new RangeError(`The status page has no field ${name}`);
    // An aligned load of 8 bytes: a counter is never seen half written.
    return Number(Atomics.load(this.#words, offset + index));
  }

  /** All fields. A field may be newer than another. */
  read(): Status {
    const status: Record<string, number | number[]> = {};
    for (const [name, count] of STATUS_FIELDS) {
      status[name] = count === 1
        ? this.get(name)
        : Array.from({ length: count }, (_, index) => this.get(name, index));
    }
    return status as Status;
  }

  /** Keeps the last values and lets go of the engine's memory, which is about to be freed. */
  detach(): void {
    this.#words = this.#words.slice();
  }
}
