/** Whole runs of a simulated pair: a schedule of faults from a seed, the invariants at every event, and at the end, with
 * all faults mended, the question whether the VM is protected again. */

import { lanArbiter } from "../../lib/group/arbiter.ts";
import { voiceProblem } from "../../lib/group/invariants.ts";
import type { Settings } from "../../lib/group/types.ts";
import { type Mutation, SimHost } from "./sim_host.ts";
import { Violation, World } from "./sim_world.ts";

const BEGIN_MS = 700;
const FAULTS_MS = 2500;
const HEAL_MS = 20_000;

/** How a run ended. */
export interface Outcome {
  seed: number;
  /** null: all held. */
  violation: string | null;
  /** What happened, newest last. */
  log: string[];
  protectedAtEnd: boolean;
  /** Events of note, to see that the schedules reach what they should. */
  seen: Set<string>;
}

type Fault = (world: World) => void;

function hostOf(world: World): SimHost {
  return world.hosts[world.random() < 0.5 ? 0 : 1] as SimHost;
}

function reboot(world: World, host: SimHost, afterMs: number): void {
  world.clock.after(afterMs, () => {
    if (host.running || !host.powered) return;
    world.note(`${host.name} boots`);
    host.boot(false);
  });
}

/** Cuts that would leave two living hosts, both on the LAN, deaf to each other are left out: no arbiter but a third
 * machine can tell these apart (the documents say so). */
const FAULTS: readonly Fault[] = [
  function powerOff(world) {
    const host = hostOf(world);
    host.die("power off");
    if (world.random() < 0.7) reboot(world, host, world.between(200, 1500));
  },
  function killRunner(world) {
    const host = hostOf(world);
    if (!host.running) return;
    host.die("runner killed");
    reboot(world, host, world.between(20, 600));
  },
  function freeze(world) {
    hostOf(world).freeze(world.between(20, 900));
  },
  function killQemu(world) {
    hostOf(world).killQemu();
  },
  function cutLink(world) {
    const link = world.random() < 0.5 ? 0 : 1;
    const ways = world.random() < 0.6 ? [0, 1] : [world.random() < 0.5 ? 0 : 1];
    world.note(`link ${link} cut from ${ways}`);
    for (const from of ways) (world.linkCut[link] as boolean[])[from] = true;
    mendLater(world, () => (world.linkCut[link] as boolean[]).fill(false));
  },
  function cutLinks(world) {
    world.note("both links cut");
    for (const link of world.linkCut) link.fill(true);
    mendLater(world, () => world.linkCut.forEach((link) => link.fill(false)));
  },
  function cutLan(world) {
    const host = world.random() < 0.5 ? 0 : 1;
    world.note(`LAN of ${host} cut`);
    world.lanCut[host] = true;
    mendLater(world, () => mendLan(world, host));
  },
  function lose(world) {
    world.loss = world.between(0.01, 0.15);
    mendLater(world, () => world.loss = 0);
  },
  function switchover(world) {
    world.note("switchover");
    for (const host of world.hosts) {
      if (host.running) host.dispatch({ kind: "command", command: "switchover" });
    }
  },
  function badDisk(world) {
    const host = hostOf(world);
    world.note(`${host.name} disk failed`);
    if (host.running && !host.frozen) host.dispatch({ kind: "disk_failed", why: "bad sector" });
  },
];

function mendLater(world: World, mend: () => void): void {
  if (world.random() < 0.8) world.clock.after(world.between(30, 1200), mend);
}

function mendLan(world: World, host: number): void {
  if (!world.lanCut[host]) return;
  world.lanCut[host] = false;
  world.lanSince[host] = world.clock.now;
}

function mendAll(world: World): void {
  world.note("all mended");
  world.linkCut.forEach((link) => link.fill(false));
  for (const host of [0, 1]) mendLan(world, host);
  world.loss = 0;
  for (const host of world.hosts) {
    host.powered = true;
    if (!host.running) reboot(world, host, world.between(1, 300));
  }
}

/** Only what a person would do: start a VM that ended with its QEMU, where it ended. */
function operator(world: World): void {
  for (const host of world.hosts) {
    if (host.running && !host.frozen && host.state.phase.kind === "stopped") {
      world.note(`${host.name} operator starts`);
      host.dispatch({ kind: "command", command: "start" });
    }
  }
  world.clock.after(2000, () => operator(world));
}

function isProtected(world: World): boolean {
  const kinds = world.hosts.map((host) => host.running ? host.state.phase.kind : "off").sort();
  return kinds[0] === "protected" && kinds[1] === "ready";
}

function run(world: World, untilMs: number, done: () => boolean): void {
  const until = world.clock.now + untilMs;
  while (!done() && world.clock.next(until)) {
    const problem = voiceProblem(
      world.hosts.map(({ name, state, mode, vmRuns, term, frozen, running }) => ({
        name,
        state,
        voice: running && !frozen && vmRuns && (mode === "solo" || mode === "syncing") ? { term } : null,
      })),
    );
    world.fail(problem);
  }
  world.clock.now = Math.max(world.clock.now, done() ? 0 : until);
}

/** Runs one seed. */
export function simulate(
  seed: number,
  options: { mutation?: Mutation; settings?: Partial<Settings> } = {},
): Outcome {
  const world = new World(seed);
  const settings: Settings = {
    arbiter: lanArbiter,
    peerName: "peer",
    onStall: "wait",
    autoProtect: true,
    ...options.settings,
  };
  for (const index of [0, 1]) world.hosts.push(new SimHost(world, index, options.mutation ?? {}, settings));
  const seen = new Set<string>();
  const outcome = (violation: string | null): Outcome => {
    for (const line of world.log) seen.add(line.replace(/^[\d.]+ [AB] /, ""));
    return { seed, violation, log: world.log, protectedAtEnd: isProtected(world), seen };
  };
  try {
    world.hosts[0]?.boot(true);
    world.clock.after(world.between(0, 200), () => world.hosts[1]?.boot(false));
    run(world, BEGIN_MS, () => false);
    const count = 1 + Math.floor(world.random() * 5);
    for (let i = 0; i < count; i++) {
      const fault = FAULTS[Math.floor(world.random() * FAULTS.length)] as Fault;
      world.clock.after(world.between(0, FAULTS_MS), () => fault(world));
    }
    run(world, FAULTS_MS + 200, () => false);
    mendAll(world);
    world.clock.after(1500, () => operator(world));
    const healed = world.clock.now;
    run(world, HEAL_MS, () => world.clock.now > healed + 400 && isProtected(world));
    if (!isProtected(world)) {
      const kinds = world.hosts.map((host) => `${host.name} ${JSON.stringify(host.state.phase)}`).join(", ");
      return outcome(`not protected ${HEAL_MS} ms after all was mended: ${kinds}`);
    }
    return outcome(null);
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    return outcome(error.message);
  }
}
