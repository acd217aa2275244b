/** What each fault does to the world, and how it ends. */

import type { SimHost } from "./host.ts";
import type { Fault, HostIndex } from "./schedule.ts";
import type { World } from "./world.ts";

function hostOf(world: World, index: HostIndex): SimHost {
  return world.hosts[index] as SimHost;
}

function bootLater(world: World, host: SimHost, after: number | null): void {
  if (after === null) return;
  world.clock.after(after, () => {
    if (host.running || !host.powered) return;
    world.note(`${host.name} boots`);
    host.boot(false);
  });
}

function endLater(world: World, after: number | null, end: () => void): void {
  if (after !== null) world.clock.after(after, end);
}

function setLinks(world: World, cut: boolean): void {
  for (const link of world.linkCut) link.fill(cut);
}

function setLan(world: World, host: number, side: { out?: boolean; in?: boolean }): void {
  const before = world.onLan(host);
  if (side.out !== undefined) world.lanOut[host] = side.out;
  if (side.in !== undefined) world.lanIn[host] = side.in;
  if (!before && world.onLan(host)) world.lanSince[host] = world.clock.now;
}

/** Does one fault now. */
export function inflict(world: World, fault: Fault): void {
  if (world.recording) world.note(`FAULT ${JSON.stringify(fault)}`);
  switch (fault.kind) {
    case "power_off":
    case "power_off_both":
    case "kill_runner":
    case "die_at_action":
    case "freeze":
    case "kill_qemu":
    case "guest_off":
      return hurtHost(world, fault);
    case "cut_link":
    case "cut_links":
    case "cut_lan":
    case "part_lan":
    case "part":
    case "lose":
    case "slow_link":
      return hurtNetwork(world, fault);
    case "slow_disk":
    case "failing_writes":
    case "bad_disk":
    case "timers":
    case "pace":
      return hurtParts(world, fault);
    case "command":
      return hostOf(world, fault.host).told(fault.command);
    case "confirm": {
      const host = hostOf(world, fault.host);
      const kind = host.state.phase.kind;
      // It says what is so, and not when the other host went on alone before, or to a host that would start an older copy by it.
      const own = host.state.disk?.term ?? 0;
      const wentOn = (host.peer.store.newest?.term ?? 0) > own;
      const waits = kind === "asking" || kind === "deciding";
      if (!host.peer.running && !wentOn && waits) host.told("confirm_peer_off");
      return;
    }
    default:
      return hurtWitness(world, fault);
  }
}

type Of<Kind extends Fault["kind"]> = Extract<Fault, { kind: Kind }>;

function hurtHost(
  world: World,
  fault: Of<
    "power_off" | "power_off_both" | "kill_runner" | "die_at_action" | "freeze" | "kill_qemu" | "guest_off"
  >,
): void {
  switch (fault.kind) {
    case "power_off": {
      const host = hostOf(world, fault.host);
      host.powerOff();
      return bootLater(world, host, fault.back);
    }
    case "power_off_both": {
      const [a, b] = world.hosts as [SimHost, SimHost];
      a.powerOff();
      bootLater(world, a, fault.back);
      world.clock.after(fault.gap, () => {
        b.powerOff();
        bootLater(world, b, fault.backPeer);
      });
      return;
    }
    case "kill_runner": {
      const host = hostOf(world, fault.host);
      if (!host.running) return;
      host.die("runner killed");
      return bootLater(world, host, fault.back);
    }
    case "die_at_action": {
      const { action, when, power, back } = fault;
      hostOf(world, fault.host).deadline = { action, when, power, back };
      return;
    }
    case "freeze":
      return hostOf(world, fault.host).freeze(fault.for);
    case "kill_qemu":
      return hostOf(world, fault.host).engine.killQemu();
    case "guest_off":
      return hostOf(world, fault.host).engine.guestOff();
    default:
      fault satisfies never;
  }
}

function hurtNetwork(
  world: World,
  fault: Of<"cut_link" | "cut_links" | "cut_lan" | "part_lan" | "part" | "lose" | "slow_link">,
): void {
  switch (fault.kind) {
    case "cut_link": {
      const cut = world.linkCut[fault.link] as boolean[];
      for (const from of fault.from === "both" ? [0, 1] : [fault.from]) cut[from] = true;
      return endLater(world, fault.for, () => cut.fill(false));
    }
    case "cut_links":
      setLinks(world, true);
      return endLater(world, fault.for, () => setLinks(world, false));
    case "cut_lan": {
      const { host, way } = fault;
      setLan(world, host, { ...(way !== "in" && { out: true }), ...(way !== "out" && { in: true }) });
      return endLater(world, fault.for, () => setLan(world, host, { out: false, in: false }));
    }
    case "part_lan":
      world.lanApart = true;
      return endLater(world, fault.for, () => world.lanApart = false);
    case "part":
      setLinks(world, true);
      world.lanApart = true;
      return endLater(world, fault.for, () => {
        setLinks(world, false);
        world.lanApart = false;
      });
    case "lose":
      world.loss = fault.share;
      return endLater(world, fault.for, () => world.loss = 0);
    case "slow_link":
      world.linkDelay[fault.link] = fault.ms;
      return endLater(world, fault.for, () => world.linkDelay[fault.link] = 0);
    default:
      fault satisfies never;
  }
}

function hurtParts(
  world: World,
  fault: Of<"slow_disk" | "failing_writes" | "bad_disk" | "timers" | "pace">,
): void {
  const host = hostOf(world, fault.host);
  switch (fault.kind) {
    case "slow_disk":
      host.slowDisk = fault.ms;
      return endLater(world, fault.for, () => host.slowDisk = 0);
    case "failing_writes":
      host.writesFail = true;
      return endLater(world, fault.for, () => host.writesFail = false);
    case "bad_disk":
      if (host.running && !host.frozen) host.dispatch({ kind: "disk_failed", why: "bad sector" });
      return;
    case "pace":
      host.wantsEarly = true;
      return endLater(world, fault.for, () => host.wantsEarly = false);
    case "timers":
      host.timerFactor = fault.factor;
      return endLater(world, fault.for, () => host.timerFactor = 1);
    default:
      fault satisfies never;
  }
}

function hurtWitness(world: World, fault: Of<"witness_crash" | "cut_witness" | "slow_witness">): void {
  const { witness } = world;
  if (witness === null) return;
  switch (fault.kind) {
    case "witness_crash":
      witness.crash();
      return endLater(world, fault.for, () => witness.start());
    case "cut_witness": {
      const { host, way } = fault;
      if (way !== "in") witness.cutOut[host] = true;
      if (way !== "out") witness.cutIn[host] = true;
      return endLater(world, fault.for, () => witness.cutOut[host] = witness.cutIn[host] = false);
    }
    case "slow_witness":
      witness.delay = fault.ms;
      witness.twice = fault.twice;
      return endLater(world, fault.for, () => witness.delay = witness.twice = 0);
    default:
      fault satisfies never;
  }
}

/** Everything is mended, and every host is on. */
export function mendAll(world: World): void {
  world.note("all mended");
  setLinks(world, false);
  world.linkDelay.fill(0);
  for (const host of [0, 1]) setLan(world, host, { out: false, in: false });
  world.lanApart = false;
  world.loss = 0;
  if (world.witness !== null) {
    const { witness } = world;
    witness.start();
    witness.cutOut.fill(false);
    witness.cutIn.fill(false);
    witness.delay = witness.twice = 0;
  }
  for (const host of world.hosts) {
    host.deadline = null;
    host.slowDisk = 0;
    host.writesFail = false;
    host.timerFactor = 1;
    host.wantsEarly = false;
    if (!host.running) bootLater(world, host, host.chance.between(1, 200));
  }
}
