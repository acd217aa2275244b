/** Nodes whose runners are fake ones: real processes, with nothing in them. */

import { fileURLToPath } from "node:url";
import { ControlClient } from "../../../lib/group/control_socket.ts";
import type { PairSettings } from "../../../lib/model/node.ts";
import { vmCreate } from "../../../lib/model/vm.ts";
import { lockHolder, processId } from "../../../lib/node/vm/launcher.ts";
import { VmManager } from "../../../lib/node/vm/manager.ts";
import type { VmManagerOptions } from "../../../lib/node/vm/options.ts";
import { hostTuning } from "../../../lib/vm/host_config.ts";
import { channels, disks, Heard } from "./kit.ts";

const FAKE = fileURLToPath(new URL("./fake_runner.ts", import.meta.url));
export const VM = "press-1";

export const SETTINGS: PairSettings = {
  link_a: { local: "10.0.0.1", peer: "10.0.0.2" },
  link_b: null,
  lan: null,
  arbiter: "manual",
  witness: null,
  takeover_ms: 150,
};

/** Two nodes in one directory; their runners end with it. */
export class Nodes implements AsyncDisposable {
  readonly net = channels();
  readonly heard = { a: new Heard(), b: new Heard() };
  readonly #open = new Set<VmManager>();

  private constructor(readonly directory: string) {}

  static async make(): Promise<Nodes> {
    return new Nodes(await Deno.makeTempDir({ prefix: "isf-vm-" }));
  }

  options(host: "a" | "b"): VmManagerOptions {
    return {
      places: { data: `${this.directory}/${host}`, run: `${this.directory}/run-${host}` },
      self: [Deno.execPath(), "run", "--no-prompt", "--allow-all", FAKE],
      node: () => ({ id: `${host.toUpperCase()}-ID`, name: `node-${host}` }),
      peer: this.net[host],
      recorder: this.heard[host],
      pairSettings: () => SETTINGS,
      disks,
      tuning: hostTuning.parse({}),
      runners: "processes",
    };
  }

  async open(host: "a" | "b"): Promise<VmManager> {
    const manager = await VmManager.open(this.options(host));
    this.#open.add(manager);
    return manager;
  }

  async close(manager: VmManager): Promise<void> {
    this.#open.delete(manager);
    await manager[Symbol.asyncDispose]();
  }

  /** Adds a VM without disks. */
  async add(manager: VmManager, more: Record<string, unknown> = {}): Promise<void> {
    await manager.add(
      vmCreate.parse({ name: VM, memory_mib: 64, screen: false, protect: false, ...more }),
      [],
      "local",
    );
  }

  place(host: "a" | "b"): string {
    return `${this.directory}/${host}/vms/${VM}`;
  }

  run(host: "a" | "b"): string {
    return `${this.directory}/run-${host}/${VM}`;
  }

  /** The process that has the lock. */
  pid(host: "a" | "b"): number {
    return lockHolder(`${this.run(host)}/runner.lock`)?.pid ?? 0;
  }

  /** The arguments of each start so far. */
  starts(host: "a" | "b"): string[] {
    try {
      return Deno.readTextFileSync(`${this.place(host)}/starts`).split("\n").slice(0, -1);
    } catch {
      return [];
    }
  }

  /** Tells the fake runner. */
  async tell(host: "a" | "b", command: string, options: Record<string, unknown> = {}): Promise<void> {
    using client = await ControlClient.connect(`${this.run(host)}/runner.sock`);
    await client.call(command, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const pids = (["a", "b"] as const).map((host) => this.pid(host)).filter((pid) => pid > 0);
    for (const manager of this.#open) await manager[Symbol.asyncDispose]();
    for (const pid of pids) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error; // it was about to end
      }
      while (processId(pid) !== null) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await Deno.remove(this.directory, { recursive: true });
  }
}
