/** Two hosts on one machine, and everything that can happen to them.
 *
 * @example
 * ```ts
 * await using lab = await Lab.up({ id: "t1" });
 * const runner = lab.exec("a", ["iservft-edge", "runner", "vm.toml"]);
 * const { at_us } = await lab.powerOff("a");
 * ```
 */

import { EdgeError } from "../errors.ts";
import { allDrops, cut, lanDrops, linkDrops, loseFrames, mend, partPorts } from "./cuts.ts";
import { mountSource, removeMounts } from "./mounts.ts";
import { type MonotonicClock, monotonicClock } from "./monotonic.ts";
import {
  buildNetwork,
  ipBatch,
  linesReady,
  type NetworkOptions,
  removeNetwork,
  shapeLine,
} from "./network.ts";
import {
  checkId,
  type Host,
  HOSTS,
  labIds,
  type LanDirection,
  type Link,
  type LinkDirection,
  LINKS,
  namespaceOf,
  type Place,
  PLACES,
  stateDirectory,
} from "./places.ts";
import { type LabStatus, readStatus, type Shape } from "./status.ts";
import { cgroupRoot, type Containment, ProcessGroup, signalProcess } from "./processes.ts";

/** How a lab is built. */
export interface LabOptions extends Partial<NetworkOptions> {
  id: string;
  /** How processes are held together; by default cgroups where they can be had. */
  containment?: Containment;
}

/** When a fault took hold, by CLOCK_MONOTONIC. */
export interface Fault {
  /** Just before it. */
  at_us: number;
  /** When all of it was in place. */
  done_us: number;
}

/** How a process in the lab is started: as in Deno.Command. */
export type ExecOptions = Omit<Deno.CommandOptions, "args">;

interface Config {
  cgroup: string | null;
  /** The rate that the lab was built with. */
  rate_mbit: number;
  links: Record<Link, Shape>;
}

/** A lab that is up. Disposing of it removes everything in it. */
export class Lab implements AsyncDisposable {
  readonly id: string;
  readonly #groups: Record<Place, ProcessGroup>;
  readonly #clock: MonotonicClock;

  private constructor(id: string, config: Config) {
    this.id = id;
    this.#groups = groupsOf(id, config.cgroup ?? undefined);
    this.#clock = monotonicClock();
  }

  /** Builds a lab. Throws if one with this id is there. */
  static async up(options: LabOptions): Promise<Lab> {
    const id = checkId(options.id);
    const op = `build lab ${id}`;
    const rate_mbit = options.rate_mbit ?? 1000;
    if (Deno.uid() !== 0) {
      throw new EdgeError("only root can make namespaces", { op, hint: "Run it as root." });
    }
    if (labIds().includes(id)) {
      throw new EdgeError(`lab ${id} is there already`, {
        op,
        hint: `Take it down first: lab down --lab ${id}`,
      });
    }
    const root = options.containment === "namespace" ? undefined : cgroupRoot();
    if (root === undefined && options.containment === "cgroup") {
      throw new EdgeError("no cgroup v2 tree can be written", {
        op,
        hint: "Leave the containment to the lab.",
      });
    }
    Deno.mkdirSync(stateDirectory(id), { recursive: true });
    const shape = () => ({ rate_mbit, loss_percent: 0 });
    const config: Config = {
      cgroup: root === undefined ? null : `${root}/isf${id}`,
      rate_mbit,
      links: { a: shape(), b: shape() },
    };
    const lab = new Lab(id, config);
    try {
      writeConfig(id, config);
      for (const place of PLACES) lab.#groups[place].create();
      await buildNetwork(id, { rate_mbit, mtu: options.mtu ?? 1500 });
    } catch (error) {
      await Lab.down(id);
      throw error;
    }
    return lab;
  }

  /** The lab of this id, which another process may have built. */
  static open(id: string): Lab {
    return new Lab(checkId(id), readConfig(id));
  }

  /** Removes a lab, or what a crash left of one. Removing nothing is no error. */
  static async down(id: string): Promise<void> {
    checkId(id);
    const cgroup = leftCgroup(id);
    const groups = groupsOf(id, cgroup);
    for (const place of PLACES) {
      await groups[place].kill();
      groups[place].thaw();
    }
    for (const host of HOSTS) await removeMounts(mountSource(id, host));
    await removeNetwork(id);
    for (const place of PLACES) await groups[place].remove();
    if (cgroup !== undefined) await new ProcessGroup(namespaceOf(id, "a"), cgroup).remove();
    await Deno.remove(stateDirectory(id), { recursive: true }).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Lab.down(this.id);
  }

  /** The namespace of a place, for tools that want its name. */
  namespace(place: Place): string {
    return namespaceOf(this.id, place);
  }

  /** Starts a process in a place. It and its children end with the host's power, or with the lab. */
  exec(place: Place, command: readonly string[], options: ExecOptions = {}): Deno.ChildProcess {
    if (place !== "lan" && place !== "client" && this.#isOff(place)) {
      throw new EdgeError(`host ${place} is off`, {
        op: `run ${command[0]}`,
        hint: `Switch it on: lab fault power-on ${place}`,
      });
    }
    const [program, ...args] = this.#groups[place].wrap(command);
    return new Deno.Command(program ?? "", { ...options, args }).spawn();
  }

  /** Cuts a host's power: at one instant nothing in it runs, none of its lines carries, and then its processes are gone. */
  async powerOff(host: Host): Promise<Fault> {
    return await this.#timed(async () => {
      // Frozen first, and killed only when its lines are dead: the end of a process would close its TCP connections, and
      // the peer would be told what a power cut tells nobody.
      await this.#groups[host].freeze(200);
      Deno.writeTextFileSync(this.#offMark(host), "");
      await ipBatch(this.namespace(host), HOST_LINES.map((device) => `link set ${device} down`));
      await this.#groups[host].kill();
      this.#groups[host].thaw();
    });
  }

  /** Gives a host its power back. Nothing runs in it yet. */
  async powerOn(host: Host): Promise<void> {
    await ipBatch(this.namespace(host), HOST_LINES.map((device) => `link set ${device} up`));
    await Deno.remove(this.#offMark(host)).catch(() => {});
    await linesReady(this.id);
  }

  /** Stops all processes of a host where they are; its lines stay up. */
  async freeze(host: Host): Promise<Fault> {
    return await this.#timed(async () => {
      if (await this.#groups[host].freeze()) return;
      throw new EdgeError(`host ${host} does not stand still`, {
        op: "freeze a host",
        hint: "Power it off instead.",
      });
    });
  }

  async thaw(host: Host): Promise<Fault> {
    return await this.#timed(() => Promise.resolve(this.#groups[host].thaw()));
  }

  /** Loses all frames of a replication line, without either host's interface going down. */
  async cutLink(link: Link, direction: LinkDirection = "both"): Promise<Fault> {
    return await this.#timed(() => cut(this.id, linkDrops(link, direction)));
  }

  async mendLink(link: Link): Promise<Fault> {
    return await this.#timed(() => mend(this.id, linkDrops(link, "both")));
  }

  /** Loses all frames between a host and the LAN. */
  async cutLan(host: Host, direction: LanDirection = "both"): Promise<Fault> {
    return await this.#timed(() => cut(this.id, lanDrops(host, direction)));
  }

  async mendLan(host: Host): Promise<Fault> {
    return await this.#timed(() => mend(this.id, lanDrops(host, "both")));
  }

  /** Loses all frames between the two hosts on the LAN; each goes on to hear everybody else there. */
  async partLan(): Promise<Fault> {
    return await this.#timed(() => partPorts(this.id, true));
  }

  /** Takes partLan back. */
  async joinLan(): Promise<Fault> {
    return await this.#timed(() => partPorts(this.id, false));
  }

  /** Pulls a replication line's cable: both interfaces lose their carrier or go down. */
  async unplugLink(link: Link): Promise<Fault> {
    return await this.#timed(() => this.#setLink(link, "down"));
  }

  async plugLink(link: Link): Promise<Fault> {
    return await this.#timed(async () => {
      await this.#setLink(link, "up");
      await linesReady(this.id);
    });
  }

  /** Changes a line's rate (0: no limit) and its loss, both ways. */
  async shapeLink(link: Link, shape: Partial<Shape>): Promise<void> {
    const config = readConfig(this.id);
    const wanted = { ...config.links[link], ...shape };
    if (!(wanted.rate_mbit >= 0) || !(wanted.loss_percent >= 0 && wanted.loss_percent <= 100)) {
      throw new EdgeError(
        `a rate of ${wanted.rate_mbit} Mbit/s with ${wanted.loss_percent} % loss cannot be`,
        {
          op: "shape a line",
          hint: "Give a rate of 0 or more and a loss of 0 to 100.",
        },
      );
    }
    if (shape.rate_mbit !== undefined) await shapeLine(this.id, link, wanted.rate_mbit);
    if (shape.loss_percent !== undefined) await loseFrames(this.id, link, wanted.loss_percent);
    config.links[link] = wanted;
    writeConfig(this.id, config);
  }

  /** The processes of a place. */
  processes(place: Place): ReturnType<ProcessGroup["members"]> {
    return this.#groups[place].members();
  }

  /** Kills each process of a host that has this name, runs a program of this name, or has it as a whole argument. */
  killProcess(host: Host, name: string): number[] {
    const base = (path: string | undefined) => path?.slice(path.lastIndexOf("/") + 1);
    const found = this.processes(host).filter((member) =>
      member.name === name || base(member.words[0]) === name || member.words.includes(name)
    );
    if (found.length === 0) {
      const names = [...new Set(this.processes(host).map((member) => member.name))].join(", ") || "nothing";
      throw new EdgeError(`host ${host} runs no ${name}`, {
        op: "kill a process",
        hint: `It runs ${names}.`,
      });
    }
    for (const { pid } of found) signalProcess(pid, "SIGKILL");
    return found.map(({ pid }) => pid);
  }

  /** Takes back all faults: power, freezes, cuts, loss, rates. Killed processes stay dead. */
  async restore(): Promise<void> {
    for (const host of HOSTS) {
      this.#groups[host].thaw();
      if (this.#isOff(host)) await this.powerOn(host);
    }
    await mend(this.id, allDrops());
    await this.joinLan();
    for (const link of LINKS) {
      await this.plugLink(link);
      const { rate_mbit, links } = readConfig(this.id);
      const { loss_percent, rate_mbit: rate_now } = links[link];
      if (loss_percent > 0) await this.shapeLink(link, { loss_percent: 0 });
      if (rate_now !== rate_mbit) await this.shapeLink(link, { rate_mbit });
    }
  }

  /** What is up, and what is broken. */
  async status(): Promise<LabStatus> {
    return await readStatus({
      id: this.id,
      groups: this.#groups,
      isOff: (host) => this.#isOff(host),
      shapes: readConfig(this.id).links,
    });
  }

  async #timed(act: () => Promise<unknown>): Promise<Fault> {
    const at_us = this.#clock();
    await act();
    return { at_us, done_us: this.#clock() };
  }

  async #setLink(link: Link, state: "up" | "down"): Promise<void> {
    await Promise.all(
      HOSTS.filter((host) => state === "down" || !this.#isOff(host)).map((host) =>
        ipBatch(this.namespace(host), [`link set link-${link} ${state}`])
      ),
    );
  }

  #offMark(host: Host): string {
    return `${stateDirectory(this.id)}/off-${host}`;
  }

  #isOff(host: Host): boolean {
    try {
      Deno.statSync(this.#offMark(host));
      return true;
    } catch {
      return false;
    }
  }
}

/** All that a host's power feeds. */
const HOST_LINES: readonly string[] = ["lan", "link-a", "link-b"];

function readConfig(id: string): Config {
  try {
    return JSON.parse(Deno.readTextFileSync(`${stateDirectory(id)}/config.json`));
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new EdgeError(`lab ${id} is not up`, { op: "find the lab", hint: `Build it: lab up --lab ${id}` });
  }
}

function writeConfig(id: string, config: Config): void {
  const path = `${stateDirectory(id)}/config.json`;
  Deno.writeTextFileSync(`${path}.new`, `${JSON.stringify(config)}\n`);
  Deno.renameSync(`${path}.new`, path);
}

/** The cgroup of a lab, even if its configuration was never written. */
function leftCgroup(id: string): string | undefined {
  const root = cgroupRoot();
  return root === undefined ? undefined : `${root}/isf${id}`;
}

function groupsOf(id: string, cgroup: string | undefined): Record<Place, ProcessGroup> {
  const group = (place: Place) =>
    new ProcessGroup(namespaceOf(id, place), cgroup === undefined ? undefined : `${cgroup}/${place}`);
  return { a: group("a"), b: group("b"), lan: group("lan"), client: group("client") };
}
