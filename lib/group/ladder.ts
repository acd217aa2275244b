/** What is done when the backup does not keep up with the guest: a pure function from what was measured to a step of a ladder.
 *
 *   full ──► longer epochs ──► slower guest ──► asynchronous        one rung at a time, downwards while commits take longer than the
 *        ◄──               ◄──              ◄──                     bound, upwards when they do not and the line has room
 *
 * Down: strain has to last, and each rung gets time to show its effect. Up: ease has to last longer, twice as long after each rise that
 * failed soon, until there is so much room that the past does not count. So it does not flap, whatever the load. */

/** A kind of rung. */
export type Level = "full" | "longer" | "slower" | "asynchronous";

/** The VM's policy: `[degradation]` of vm.toml. */
export interface DegradationPolicy {
  /** The levels below "full" that may be used, in their order. */
  order: readonly Exclude<Level, "full">[];
  /** A commit may take this long before something is done, and the operator is told. */
  max_added_ms: number;
  throttle_max_percent: number;
}

/** One rung: what the engine is told there. */
export interface Rung {
  level: Level;
  /** Epochs are at least this long; null: as the host's file says. */
  epoch_ms: number | null;
  /** Dirty pages that end an epoch are multiplied by this. */
  dirty_factor: number;
  /** The guest stands still for this share of the time. */
  percent: number;
}

/** What was measured since the last sample. */
export interface Sample {
  /** A monotonic clock. */
  t_ms: number;
  /** How long commits take: the newest one took, or the oldest one on its way has taken already. */
  latency_ms: number;
  /** Epochs on their way. */
  inflight: number;
  /** What the guest makes, encoded. */
  wanted_bytes_s: number;
  /** What the backup takes by way of its line; 0: not known yet. */
  line_bytes_s: number;
  /** Nothing was committed for longer than the host's bound. */
  stalled: boolean;
}

/** Where the ladder stands. */
export interface LadderState {
  /** Index into rungs(). */
  rung: number;
  since_ms: number;
  /** Of the last sample; null: none yet. */
  t_ms: number | null;
  strain_ms: number;
  ease_ms: number;
  plenty_ms: number;
  /** When it last went up; null: not yet. */
  rose_ms: number | null;
  /** Rises that failed soon. */
  relapses: number;
  /** At the last rung, and still strained. */
  stuck: boolean;
}

/** A step from one rung to another. `why` names what was measured. */
export interface Change {
  from: Rung;
  to: Rung;
  down: boolean;
  why: string;
}

/** What one sample led to. */
export interface LadderStep {
  state: LadderState;
  change: Change | null;
  /** It has just become clear that the last rung is not enough. */
  stuck: string | null;
}

/** Strain must last this long in sum, ms: a single large epoch is none. */
export const STRAIN_MS = 1000;
/** A rung is given this long to show its effect. */
export const DOWN_DWELL_MS = 2000;
/** Ease must last this long before the first rise. */
export const UP_MS = 3000;
/** A rise that is taken back within this time has failed. */
export const RELAPSE_MS = 30_000;
/** Room in plenty for this long: earlier failures no longer count. */
export const PLENTY_MS = 30_000;
/** 2^6 times UP_MS: some three minutes. */
const RELAPSES_MOST = 6;
/** A sample that comes late counts for no more than this: the process did not run meanwhile. */
const GAP_MS = 1000;
/** Shares of max_added_ms to which epochs are stretched, and how many times more dirty pages they may hold. */
const LONGER = [{ share: 0.05, factor: 2 }, { share: 0.2, factor: 4 }, { share: 0.8, factor: 8 }];
const THROTTLE_STEP = 20;
/** Shorter epochs send pages again that a longer one sends once. */
const SHORTER_COSTS = 1.5;
/** So much of the line may be used after a rise, as foreseen. */
const ROOM = 0.8;
/** So much of it counts as room in plenty. */
const PLENTY = 0.25;

const FULL: Rung = { level: "full", epoch_ms: null, dirty_factor: 1, percent: 0 };

/** The ladder of a policy, from "full" downwards. */
export function rungs(policy: DegradationPolicy): Rung[] {
  const ladder = [FULL];
  const last = () => ladder.at(-1) ?? FULL;
  if (policy.order.includes("longer")) {
    for (const { share, factor } of LONGER) {
      const epoch_ms = share * policy.max_added_ms;
      ladder.push({ level: "longer", epoch_ms, dirty_factor: factor, percent: 0 });
    }
  }
  if (policy.order.includes("slower")) {
    const most = policy.throttle_max_percent;
    for (let percent = Math.min(THROTTLE_STEP, most); percent > last().percent;) {
      ladder.push({ ...last(), level: "slower", percent });
      percent = Math.min(percent + THROTTLE_STEP, most);
    }
  }
  // Output that does not wait needs no slowed guest: the copy falls behind instead.
  if (policy.order.includes("asynchronous")) ladder.push({ ...last(), level: "asynchronous", percent: 0 });
  return ladder;
}

/** The ladder before its first sample. */
export function beginLadder(): LadderState {
  return {
    rung: 0,
    since_ms: -Infinity,
    t_ms: null,
    strain_ms: 0,
    ease_ms: 0,
    plenty_ms: 0,
    rose_ms: null,
    relapses: 0,
    stuck: false,
  };
}

/** Takes one sample. */
export function climb(before: LadderState, sample: Sample, policy: DegradationPolicy): LadderStep {
  const ladder = rungs(policy);
  const state = measured(before, sample, { policy, ladder });
  const from = ladder[state.rung] ?? FULL;
  const lower = ladder[state.rung + 1];
  const strained = state.strain_ms >= STRAIN_MS && sample.t_ms - state.since_ms >= DOWN_DWELL_MS;
  if (strained && lower !== undefined) {
    const failed = state.rose_ms !== null && sample.t_ms - state.rose_ms < RELAPSE_MS;
    const relapses = failed ? Math.min(state.relapses + 1, RELAPSES_MOST) : state.relapses;
    const next = settled(state, { rung: state.rung + 1, t_ms: sample.t_ms });
    const why = reason(sample, policy);
    return {
      state: { ...next, relapses, rose_ms: null },
      change: { from, to: lower, down: true, why },
      stuck: null,
    };
  }
  if (strained && !state.stuck) {
    return { state: { ...state, stuck: true }, change: null, stuck: reason(sample, policy) };
  }
  const upper = ladder[state.rung - 1];
  if (upper !== undefined && state.ease_ms >= UP_MS * 2 ** state.relapses) {
    const next = settled(state, { rung: state.rung - 1, t_ms: sample.t_ms });
    const why = reason(sample, policy);
    return {
      state: { ...next, rose_ms: sample.t_ms },
      change: { from, to: upper, down: false, why },
      stuck: null,
    };
  }
  return { state, change: null, stuck: null };
}

function settled(state: LadderState, at: { rung: number; t_ms: number }): LadderState {
  return { ...state, rung: at.rung, since_ms: at.t_ms, strain_ms: 0, ease_ms: 0, stuck: false };
}

/** Adds the time since the last sample to what it was a time of. */
function measured(
  state: LadderState,
  sample: Sample,
  by: { policy: DegradationPolicy; ladder: Rung[] },
): LadderState {
  const { max_added_ms } = by.policy;
  const dt = state.t_ms === null ? 0 : Math.min(Math.max(sample.t_ms - state.t_ms, 0), GAP_MS);
  const strained = sample.latency_ms > max_added_ms || sample.stalled;
  const [here, upper] = [by.ladder[state.rung] ?? FULL, by.ladder[state.rung - 1]];
  const calm = !strained && sample.latency_ms <= max_added_ms / 2;
  const eased = calm && upper !== undefined && foreseen(sample, here, upper) <= ROOM;
  const plenty = calm && foreseen(sample, here, FULL) <= PLENTY;
  const plenty_ms = plenty ? state.plenty_ms + dt : 0;
  const strain_ms = Math.min(Math.max(state.strain_ms + (strained ? dt : -dt), 0), STRAIN_MS);
  return {
    ...state,
    t_ms: sample.t_ms,
    strain_ms,
    ease_ms: eased ? state.ease_ms + dt : 0,
    plenty_ms,
    relapses: plenty_ms >= PLENTY_MS ? 0 : state.relapses,
    stuck: state.stuck && (strain_ms > 0 || !calm),
  };
}

/** The share of the line that the guest would need on another rung. */
function foreseen(sample: Sample, here: Rung, there: Rung): number {
  if (sample.line_bytes_s === 0) return 0;
  const faster = Math.max((100 - there.percent) / (100 - here.percent), 1);
  const shorter = (here.epoch_ms ?? 0) > (there.epoch_ms ?? 0) ? SHORTER_COSTS : 1;
  return sample.wanted_bytes_s * faster * shorter / sample.line_bytes_s;
}

function reason(sample: Sample, policy: DegradationPolicy): string {
  const line = sample.line_bytes_s === 0 ? "" : `, the backup takes ${mbit(sample.line_bytes_s)}`;
  const stall = sample.stalled ? ", nothing is committed" : "";
  return `a commit takes ${
    Math.round(sample.latency_ms)
  } ms, the bound is ${policy.max_added_ms} ms; the guest makes ` +
    `${mbit(sample.wanted_bytes_s)}${line}${stall}`;
}

function mbit(bytes_s: number): string {
  const value = bytes_s * 8 / 1e6;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} Mbit/s`;
}
