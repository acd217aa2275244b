/** A schedule: what goes wrong, and when. Data, made from a seed before anything runs, so that one that breaks something can be
 * shortened, kept and read. */

import { Chance } from "./clock.ts";

export type HostIndex = 0 | 1;
export type ArbiterName = "lan" | "manual" | "witness";

/** `back`, `for`: ms until it is over; null: until all is mended. */
export type Fault =
  & { at: number }
  & (
    | { kind: "power_off"; host: HostIndex; back: number | null }
    | { kind: "power_off_both"; gap: number; back: number | null; backPeer: number | null }
    | { kind: "kill_runner"; host: HostIndex; back: number | null }
    | {
      kind: "die_at_action";
      host: HostIndex;
      action: number;
      when: "before" | "after" | "answer";
      power: boolean;
      back: number | null;
    }
    | { kind: "freeze"; host: HostIndex; for: number }
    | { kind: "kill_qemu"; host: HostIndex }
    | { kind: "guest_off"; host: HostIndex }
    | { kind: "cut_link"; link: HostIndex; from: "both" | HostIndex; for: number | null }
    | { kind: "cut_links"; for: number | null }
    | { kind: "cut_lan"; host: HostIndex; way: "both" | "in" | "out"; for: number | null }
    /** Only with a witness: both are on the LAN, and do not hear each other there. */
    | { kind: "part_lan"; for: number | null }
    /** Only with a witness: neither line and not the LAN carries between them. */
    | { kind: "part"; for: number | null }
    | { kind: "lose"; share: number; for: number | null }
    | { kind: "slow_link"; link: HostIndex; ms: number; for: number | null }
    | { kind: "slow_disk"; host: HostIndex; ms: number; for: number }
    | { kind: "failing_writes"; host: HostIndex; for: number }
    | { kind: "bad_disk"; host: HostIndex }
    | { kind: "timers"; host: HostIndex; factor: number; for: number }
    | { kind: "command"; host: HostIndex; command: "switchover" | "stop" | "start" | "protect" | "unprotect" }
    /** The ladder: output is to leave before its commit. */
    | { kind: "pace"; host: HostIndex; for: number | null }
    /** The operator, who has looked: only when the other host is indeed off. */
    | { kind: "confirm"; host: HostIndex }
    | { kind: "witness_crash"; for: number | null }
    | { kind: "cut_witness"; host: HostIndex; way: "both" | "in" | "out"; for: number | null }
    | { kind: "slow_witness"; ms: number; twice: number; for: number | null }
  );

export interface Schedule {
  /** Of all that is chance while it runs: delays, what is lost, who is first. */
  seed: number;
  arbiter: ArbiterName;
  onStall: "wait" | "solo";
  faults: Fault[];
  /** What it once broke. */
  why?: string;
}

/** The time in which faults begin, ms. */
export const FAULTS_MS = 1800;

type Maker = (chance: Chance, witness: boolean) => Fault;

const host = (chance: Chance): HostIndex => chance.below(2) as HostIndex;
const ms = (chance: Chance, low: number, high: number) => Math.round(chance.between(low, high) * 10) / 10;
const at = (chance: Chance) => ms(chance, 0, FAULTS_MS);
/** Most faults end by themselves before all is mended. */
const until = (chance: Chance, low: number, high: number) =>
  chance.chance(0.8) ? ms(chance, low, high) : null;

/** How a fault is made, and how often, in relation to the others. */
const MAKERS: readonly { share: number; make: Maker; witness?: true }[] = [
  {
    share: 10,
    make: (c) => ({ kind: "power_off", at: at(c), host: host(c), back: until(c, 100, 1300) }),
  },
  {
    share: 5,
    make: (c) => ({
      kind: "power_off_both",
      at: at(c),
      gap: c.chance(0.5) ? 0 : ms(c, 0, 150),
      back: until(c, 50, 900),
      backPeer: until(c, 50, 900),
    }),
  },
  { share: 10, make: (c) => ({ kind: "kill_runner", at: at(c), host: host(c), back: until(c, 5, 500) }) },
  {
    share: 14,
    make: (c) => ({
      kind: "die_at_action",
      at: at(c),
      host: host(c),
      action: 1 + c.below(8),
      when: c.pick(["before", "after", "answer"]),
      power: c.chance(0.5),
      back: until(c, 5, 900),
    }),
  },
  { share: 10, make: (c) => ({ kind: "freeze", at: at(c), host: host(c), for: ms(c, 15, 900) }) },
  { share: 7, make: (c) => ({ kind: "kill_qemu", at: at(c), host: host(c) }) },
  { share: 1, make: (c) => ({ kind: "guest_off", at: at(c), host: host(c) }) },
  {
    share: 8,
    make: (c) => ({
      kind: "cut_link",
      at: at(c),
      link: host(c),
      from: c.pick(["both", "both", 0, 1] as const),
      for: until(c, 20, 1200),
    }),
  },
  { share: 10, make: (c) => ({ kind: "cut_links", at: at(c), for: until(c, 20, 1200) }) },
  {
    share: 8,
    make: (c) => ({
      kind: "cut_lan",
      at: at(c),
      host: host(c),
      way: c.pick(["both", "both", "in", "out"] as const),
      for: until(c, 20, 1200),
    }),
  },
  { share: 8, witness: true, make: (c) => ({ kind: "part_lan", at: at(c), for: until(c, 20, 1200) }) },
  { share: 8, witness: true, make: (c) => ({ kind: "part", at: at(c), for: until(c, 20, 1800) }) },
  {
    share: 3,
    make: (c) => ({ kind: "lose", at: at(c), share: ms(c, 0.1, 1.5) / 10, for: until(c, 50, 1200) }),
  },
  {
    share: 3,
    make: (c, witness) => ({
      kind: "slow_link",
      at: at(c),
      link: host(c),
      ms: ms(c, 5, witness ? 300 : 60),
      for: until(c, 50, 1200),
    }),
  },
  {
    share: 4,
    make: (c) => ({ kind: "slow_disk", at: at(c), host: host(c), ms: ms(c, 5, 300), for: ms(c, 50, 900) }),
  },
  { share: 3, make: (c) => ({ kind: "failing_writes", at: at(c), host: host(c), for: ms(c, 50, 900) }) },
  { share: 3, make: (c) => ({ kind: "bad_disk", at: at(c), host: host(c) }) },
  {
    share: 3,
    make: (c) => ({
      kind: "timers",
      at: at(c),
      host: host(c),
      factor: c.pick([0.1, 0.5, 2, 5]),
      for: ms(c, 100, 900),
    }),
  },
  {
    share: 10,
    make: (c) => ({
      kind: "command",
      at: at(c),
      host: host(c),
      command: c.pick(
        ["switchover", "switchover", "switchover", "unprotect", "stop", "start", "protect"] as const,
      ),
    }),
  },
  { share: 4, make: (c) => ({ kind: "pace", at: at(c), host: host(c), for: until(c, 20, 900) }) },
  { share: 3, make: (c) => ({ kind: "confirm", at: at(c), host: host(c) }) },
  { share: 7, witness: true, make: (c) => ({ kind: "witness_crash", at: at(c), for: until(c, 20, 900) }) },
  {
    share: 7,
    witness: true,
    make: (c) => ({
      kind: "cut_witness",
      at: at(c),
      host: host(c),
      way: c.pick(["both", "in", "out"] as const),
      for: until(c, 20, 1200),
    }),
  },
  {
    share: 7,
    witness: true,
    make: (c) => ({
      kind: "slow_witness",
      at: at(c),
      ms: ms(c, 0, 150),
      twice: c.chance(0.6) ? 0.5 : 0,
      for: until(c, 50, 1200),
    }),
  },
];

/** What a schedule may be made of. */
export interface GenerateOptions {
  arbiter?: ArbiterName | undefined;
  /** Only these faults: to look for one thing. */
  kinds?: readonly Fault["kind"][] | undefined;
}

/** The kind of fault that a maker makes. */
const KINDS = new Map(MAKERS.map(({ make }) => [make, make(new Chance(0, 0), true).kind]));

function maker(chance: Chance, options: { witness: boolean; kinds: GenerateOptions["kinds"] }): Maker {
  const { witness, kinds } = options;
  const able = MAKERS.filter(({ make, witness: needs }) =>
    (witness || needs !== true) && (kinds === undefined || kinds.includes(KINDS.get(make) as Fault["kind"]))
  );
  let left = chance.between(0, able.reduce((sum, { share }) => sum + share, 0));
  for (const { share, make } of able) {
    left -= share;
    if (left < 0) return make;
  }
  throw new RangeError(`No fault is of the kinds ${kinds}`);
}

/** The schedule of a seed. Cuts that would need more than the arbiter can tell apart are left out with `lan` (two living hosts on the
 * LAN that do not hear each other; the documents say so); with a witness every partition is allowed. */
export function generate(seed: number, options: GenerateOptions = {}): Schedule {
  const chance = new Chance(seed, 0);
  const drawn = chance.next();
  const arbiter = options.arbiter ?? (drawn < 0.5 ? "lan" : drawn < 0.95 ? "witness" : "manual");
  const witness = arbiter === "witness";
  const count = 1 + chance.below(6);
  const onStall = chance.chance(0.2) ? "solo" : "wait";
  const faults: Fault[] = [];
  for (let i = 0; i < count; i++) {
    const fault = maker(chance, { witness, kinds: options.kinds })(chance, witness);
    // Faults that meet: the second of a pair often comes just after the first.
    const before = faults.at(-1);
    if (before !== undefined && chance.chance(0.4)) {
      fault.at = Math.min(FAULTS_MS, Math.round((before.at + chance.between(0, 150)) * 10) / 10);
    }
    faults.push(fault);
  }
  faults.sort((a, b) => a.at - b.at);
  return { seed, arbiter, onStall, faults };
}
