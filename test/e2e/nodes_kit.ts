/** What the tests of `serve` share: a lab with a node on each host, and a client of the VM that counts. */

import { assets, guestKernel, selfCommand } from "../../lib/cli/assets.ts";
import type { ClientOptions } from "../../lib/lab/counting_client.ts";
import { Lab } from "../../lib/lab/lab.ts";
import { LabNodes } from "../../lib/lab/nodes.ts";
import { HOSTS } from "../../lib/lab/places.ts";
import { CountingClient } from "../../lib/lab/scene.ts";
import type { JobView, VmCreateInput } from "../../lib/model/vm.ts";

export const READY_MS = 90_000;
export const VM = "demo";

/** A lab of its own with two nodes. Leaves nothing behind. */
export class NodesScene implements AsyncDisposable {
  readonly lab: Lab;
  readonly nodes: LabNodes;
  readonly directory: string;
  readonly #rest: AsyncDisposableStack;

  private constructor(parts: { lab: Lab; nodes: LabNodes; directory: string; rest: AsyncDisposableStack }) {
    this.lab = parts.lab;
    this.nodes = parts.nodes;
    this.directory = parts.directory;
    this.#rest = parts.rest;
  }

  /** Starts `serve` on both hosts. Nothing else is done yet. */
  static async open(): Promise<NodesScene> {
    await using rest = new AsyncDisposableStack();
    const directory = await Deno.makeTempDir({ prefix: "iservft-nodes-" });
    rest.defer(() => Deno.remove(directory, { recursive: true }));
    const lab = rest.use(await Lab.up({ id: `n${crypto.randomUUID().slice(0, 6)}` }));
    const nodes = rest.use(
      await LabNodes.create({
        lab,
        directory,
        self: selfCommand(),
        kernel: guestKernel(),
        guestInit: assets().guestInit,
      }),
    );
    await Promise.all(HOSTS.map((host) => nodes.start(host)));
    return new NodesScene({ lab, nodes, directory, rest: rest.move() });
  }

  /** Pairs them and makes a protected VM on host A, by the API. */
  async protect(more: Partial<VmCreateInput> = {}): Promise<void> {
    await this.nodes.pair();
    const api = this.nodes.api("a");
    await api.job(await api.call<JobView>("POST", "/vms", this.nodes.guest(VM, more)), READY_MS);
    await api.vm(VM, ["protected"], READY_MS);
    await this.nodes.api("b").vm(VM, ["protected"], READY_MS);
  }

  /** A client of the VM; resolves when the VM has answered it. */
  async client(load: Partial<ClientOptions> = {}): Promise<CountingClient> {
    const client = new CountingClient(this.lab, { self: selfCommand(), load });
    this.#rest.use(client);
    await client.connected;
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab.restore().catch(() => {});
    await this.#rest[Symbol.asyncDispose]();
  }
}
