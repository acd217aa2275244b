/** Whole runs of a simulated pair: a schedule of faults, the invariants at every event, and at the end, with all mended, the question
 * whether the VM is protected again. */

import { arbiterOf } from "../../lib/group/arbiter.ts";
import type { Settings } from "../../lib/group/types.ts";
import type { Coverage } from "./coverage.ts";
import { inflict, mendAll } from "./faults.ts";
import { type Defect, SimHost } from "./host.ts";
import type { Rules } from "./rules.ts";
import { FAULTS_MS, type Schedule } from "./schedule.ts";
import { type GrantRule, SimWitness } from "./witness.ts";
import { Violation, World } from "./world.ts";

const BEGIN_MS = 450;
const HEAL_MS = 80_000;
/** How long it has to stay protected. */
const STAYS_MS = 150;

/** How a run ended. */
export interface Outcome {
  schedule: Schedule;
  /** null: all held. */
  violation: string | null;
  /** What happened, newest last, if it was recorded. */
  log: string[];
  /** How often clients were told something. */
  releases: number;
}

/** What makes the product a broken one. */
export interface Broken extends Defect {
  rules?: Partial<Rules>;
  grant?: GrantRule;
}

export interface SimulateOptions {
  broken?: Broken;
  record?: boolean;
  coverage?: Coverage;
}

/** Only what a person would do: start a VM that ended, where it ended, and want it protected. */
function operator(world: World): void {
  for (const host of world.hosts) {
    const { phase, disk } = host.state;
    const ended = phase.kind === "stopped" || (phase.kind === "waiting" && disk?.role === "stopped");
    if (host.running && ended) {
      world.note(`${host.name} operator starts`);
      host.told("start");
    }
    if (host.running && !host.state.settings.autoProtect) host.told("protect");
  }
  world.clock.after(2000, () => operator(world));
}

function isProtected(world: World): boolean {
  const [a, b] = world.hosts as [SimHost, SimHost];
  if (!a.running || !b.running) return false;
  const [one, other] = [a.state.phase.kind, b.state.phase.kind];
  return (one === "protected" && other === "ready") || (one === "ready" && other === "protected");
}

async function run(world: World, forMs: number, done: () => boolean): Promise<void> {
  const until = world.clock.now + forMs;
  const { settling } = world;
  while (!done() && world.clock.next(until)) {
    while (settling.length > 0) await settling.shift();
  }
  if (!done()) world.clock.now = until;
}

/** Without the operator the manual arbiter may wait for ever: what it does has to be safe. */
function mayWait(schedule: Schedule): boolean {
  return schedule.arbiter === "manual";
}

async function play(world: World, schedule: Schedule): Promise<string | null> {
  const [a, b] = world.hosts as [SimHost, SimHost];
  a.boot(true);
  world.clock.after(world.between(0, 100), () => b.boot(false));
  await run(world, BEGIN_MS, () => false);
  for (const fault of schedule.faults) world.clock.after(fault.at, () => inflict(world, fault));
  const last = schedule.faults.reduce((latest, { at }) => Math.max(latest, at), FAULTS_MS);
  await run(world, last + 200, () => false);
  mendAll(world);
  world.clock.after(1000, () => operator(world));
  const limit = mayWait(schedule) ? 3000 : HEAL_MS;
  let since: number | null = null;
  await run(world, limit, () => {
    if (!isProtected(world)) since = null;
    else since ??= world.clock.now;
    return since !== null && world.clock.now - since >= STAYS_MS;
  });
  if (since !== null || mayWait(schedule)) return null;
  const phases = world.hosts.map((host) => `${host.name} ${JSON.stringify(host.state.phase)}`).join(", ");
  return `not protected ${HEAL_MS} ms after all was mended: ${phases}`;
}

/** Runs one schedule. */
export async function simulate(schedule: Schedule, options: SimulateOptions = {}): Promise<Outcome> {
  const { broken = {}, record = false, coverage } = options;
  const { seed } = schedule;
  const world = new World({ seed, record, coverage, rules: broken.rules ?? {} });
  const settings: Settings = {
    arbiter: arbiterOf(schedule.arbiter),
    peerName: "peer",
    onStall: schedule.onStall,
    autoProtect: true,
  };
  if (schedule.arbiter === "witness") world.witness = new SimWitness(world, seed, broken.grant);
  for (const index of [0, 1] as const) world.hosts.push(new SimHost(world, index, settings, broken, seed));
  let violation: string | null = null;
  try {
    violation = await play(world, schedule);
    if (violation !== null) world.note(`VIOLATION ${violation}`);
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    violation = error.message;
  }
  return { schedule, violation, log: world.log, releases: world.releases };
}
