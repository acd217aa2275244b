/** All processes of one place of the lab, as one thing that can be counted, frozen and killed at once.
 *
 * With cgroup v2 (wherever it is mounted) the kernel does it: a process cannot leave by forking, `cgroup.kill` misses none.
 * Where no cgroup v2 can be written, the processes are those whose network namespace is the place's, stopped and killed
 * one by one until none is left: as thorough, but not at one instant. */

import { EdgeError } from "../errors.ts";

/** How a place's processes are held together. */
export type Containment = "cgroup" | "namespace";

const WAIT_BOUND_MS = 5_000;

/** The mount point of a cgroup v2 tree that can be written; undefined when there is none. */
export function cgroupRoot(): string | undefined {
  for (const line of Deno.readTextFileSync("/proc/mounts").split("\n")) {
    const [, at, type] = line.split(" ");
    if (type !== "cgroup2" || at === undefined) continue;
    const probe = `${at}/isf-probe-${Deno.pid}-${crypto.randomUUID().slice(0, 8)}`;
    try {
      Deno.mkdirSync(probe);
      const able = exists(`${probe}/cgroup.freeze`);
      Deno.removeSync(probe);
      if (able) return at;
    } catch {
      // Not writable here: the next one, or none.
    }
  }
  return undefined;
}

/** One process of a place. */
export interface Member {
  pid: number;
  /** The kernel's name for it. */
  name: string;
  /** Its command line. */
  words: string[];
}

/** The processes of one place. */
export class ProcessGroup {
  readonly #namespace: string;
  readonly #cgroup: string | undefined;

  /** @param cgroup directory of the place's cgroup; undefined to go by the namespace alone */
  constructor(namespace: string, cgroup: string | undefined) {
    this.#namespace = namespace;
    this.#cgroup = cgroup;
  }

  get containment(): Containment {
    return this.#cgroup === undefined ? "namespace" : "cgroup";
  }

  create(): void {
    if (this.#cgroup !== undefined) Deno.mkdirSync(this.#cgroup, { recursive: true });
  }

  /** The words that run `command` inside the place. */
  wrap(command: readonly string[]): string[] {
    const inside = ["ip", "netns", "exec", this.#namespace, ...command];
    if (this.#cgroup === undefined) return inside;
    // Joins first: `ip netns exec` hides the cgroup file system behind a new /sys.
    return ["sh", "-c", 'echo $$ > "$0" && exec "$@"', `${this.#cgroup}/cgroup.procs`, ...inside];
  }

  /** All live processes in the cgroup or the namespace. */
  pids(): number[] {
    const pids = new Set(this.#pidsByNamespace());
    if (this.#cgroup !== undefined && exists(this.#cgroup)) {
      for (const line of Deno.readTextFileSync(`${this.#cgroup}/cgroup.procs`).split("\n")) {
        if (line !== "") pids.add(Number(line));
      }
    }
    return [...pids];
  }

  members(): Member[] {
    return this.pids().flatMap((pid) => {
      try {
        const words = Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0").filter((word) => word !== "");
        return [{ pid, name: Deno.readTextFileSync(`/proc/${pid}/comm`).trim(), words }];
      } catch {
        return []; // it has ended meanwhile
      }
    });
  }

  /** Stops all of them where they are; resolves when none runs any more, at the latest after `bound_ms`. */
  async freeze(bound_ms = WAIT_BOUND_MS): Promise<boolean> {
    if (this.#cgroup !== undefined) {
      this.#adopt();
      Deno.writeTextFileSync(`${this.#cgroup}/cgroup.freeze`, "1");
      return await until(() => this.frozen(), bound_ms);
    }
    return await until(() => this.#signalRunning("SIGSTOP") === 0, bound_ms);
  }

  thaw(): void {
    if (this.#cgroup !== undefined) {
      if (exists(this.#cgroup)) Deno.writeTextFileSync(`${this.#cgroup}/cgroup.freeze`, "0");
      return;
    }
    for (const pid of this.pids()) signalProcess(pid, "SIGCONT");
  }

  /** Whether all of them stand still because of `freeze`. */
  frozen(): boolean {
    if (this.#cgroup !== undefined) {
      return /^frozen 1$/m.test(Deno.readTextFileSync(`${this.#cgroup}/cgroup.events`));
    }
    const pids = this.pids();
    return pids.length > 0 && pids.every((pid) => "TtZX".includes(stateOf(pid)));
  }

  /** Kills all of them with SIGKILL, and returns once none is left. */
  async kill(): Promise<void> {
    const killFile = `${this.#cgroup}/cgroup.kill`;
    if (this.#cgroup !== undefined && exists(killFile)) Deno.writeTextFileSync(killFile, "1");
    const gone = await until(() => {
      const pids = this.pids();
      for (const pid of pids) signalProcess(pid, "SIGKILL");
      return pids.length === 0;
    }, WAIT_BOUND_MS);
    if (!gone) {
      throw new EdgeError(`processes ${this.pids().join(", ")} do not die`, {
        op: `kill all processes in ${this.#namespace}`,
        hint: "See what they wait for: /proc/PID/stack.",
      });
    }
  }

  /** Removes the cgroup; its processes must be gone. */
  async remove(): Promise<void> {
    const cgroup = this.#cgroup;
    if (cgroup === undefined || !exists(cgroup)) return;
    // The kernel lets a cgroup go a little after its last process.
    const removed = await until(() => {
      try {
        Deno.removeSync(cgroup);
        return true;
      } catch (error) {
        return error instanceof Deno.errors.NotFound;
      }
    }, WAIT_BOUND_MS);
    if (removed) return;
    throw new EdgeError(`cannot remove ${cgroup}`, {
      op: "take the lab down",
      hint: "Run `lab down` again.",
    });
  }

  /** Takes in whoever was started in the namespace by hand. */
  #adopt(): void {
    for (const pid of this.#pidsByNamespace()) {
      try {
        Deno.writeTextFileSync(`${this.#cgroup}/cgroup.procs`, `${pid}`);
      } catch {
        // It has ended meanwhile.
      }
    }
  }

  #signalRunning(name: Deno.Signal): number {
    const running = this.pids().filter((pid) => !"TtZX".includes(stateOf(pid)));
    for (const pid of running) signalProcess(pid, name);
    return running.length;
  }

  #pidsByNamespace(): number[] {
    let wanted: number | null;
    try {
      wanted = Deno.statSync(`/run/netns/${this.#namespace}`).ino;
    } catch {
      return []; // not built, or already removed
    }
    const link = `net:[${wanted}]`;
    const pids: number[] = [];
    for (const entry of Deno.readDirSync("/proc")) {
      if (!/^\d+$/.test(entry.name)) continue;
      try {
        if (Deno.readLinkSync(`/proc/${entry.name}/ns/net`) === link) pids.push(Number(entry.name));
      } catch {
        // It has ended meanwhile.
      }
    }
    return pids;
  }
}

/** Sends a signal; a process that has ended is no error. */
export function signalProcess(pid: number, name: Deno.Signal): void {
  try {
    Deno.kill(pid, name);
  } catch {
    // It has ended meanwhile.
  }
}

/** The state letter of /proc/PID/stat; "X" when the process is gone. */
function stateOf(pid: number): string {
  try {
    return /\) (\S)/.exec(Deno.readTextFileSync(`/proc/${pid}/stat`))?.[1] ?? "X";
  } catch {
    return "X";
  }
}

async function until(done: () => boolean, bound_ms: number): Promise<boolean> {
  const end_ms = performance.now() + bound_ms;
  for (let wait_ms = 0; !done(); wait_ms = Math.min(20, wait_ms + 1)) {
    if (performance.now() > end_ms) return false;
    await new Promise((resolve) => setTimeout(resolve, wait_ms));
  }
  return true;
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
