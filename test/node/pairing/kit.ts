/** Nodes that can be paired, in this process. */

import { openIdentity } from "../../../lib/node/identity.ts";
import { openPairing } from "../../../lib/node/pairing/pairing.ts";
import { keyId, random } from "../../../lib/node/pairing/secrets.ts";
import { PairStore } from "../../../lib/node/pairing/store.ts";
import type { NodeInterface, PairControl, PairingLimits } from "../../../lib/node/pairing/types.ts";
import type { PairingView } from "../../../lib/model/node.ts";
import { HOST, Records, until } from "../peer/kit.ts";

/** A node: its files, and what runs on them until it is stopped. */
export class TestNode implements AsyncDisposable {
  readonly directory: string;
  readonly name: string;
  readonly records = new Records();
  control!: PairControl;
  port = 0;
  limits: Partial<PairingLimits>;
  interfaces: NodeInterface[];
  version = "1.0.0";
  mayRemove: string | null = null;
  mayReplace: string | null = null;
  unfit: string | null = null;
  #running = false;

  private constructor(
    name: string,
    { directory, limits }: { directory: string; limits: Partial<PairingLimits> },
  ) {
    this.name = name;
    this.directory = directory;
    this.limits = limits;
    this.interfaces = [card("eth0", HOST)];
  }

  static async start(
    name: string,
    options: { limits?: Partial<PairingLimits>; interfaces?: NodeInterface[] } = {},
  ): Promise<TestNode> {
    const directory = await Deno.makeTempDir({ prefix: "pair-" });
    const limits = {
      heartbeatMs: 50,
      silentMs: 8000,
      retryMs: 100,
      admission: { perSecond: 1000, burst: 1000 },
      ...options.limits,
    };
    const node = new TestNode(name, { directory, limits });
    if (options.interfaces !== undefined) node.interfaces = options.interfaces;
    await node.run();
    return node;
  }

  /** Starts the service on the node's files. */
  async run(): Promise<void> {
    const { directory, records, limits } = this;
    this.control = await openPairing({
      places: { data: directory, run: directory },
      identity: openIdentity(`${directory}/identity`),
      nodeName: () => this.name,
      version: this.version,
      listen: { host: "0.0.0.0", port: this.port },
      recorder: records,
      now: Date.now,
      mayRemove: () => this.mayRemove,
      mayReplace: () => this.mayReplace,
      unfit: () => this.unfit,
      interfaces: () => this.interfaces,
      limits,
    });
    this.port = this.control.port;
    this.#running = true;
  }

  async stop(): Promise<void> {
    if (!this.#running) return;
    this.#running = false;
    await this.control[Symbol.asyncDispose]();
  }

  get address(): string {
    return `${HOST}:${this.port}`;
  }

  get pairing(): PairingView {
    return this.control.view().pairing;
  }

  file(name: string): string {
    return `${this.directory}/${name}`;
  }

  /** What a file holds; null: it is not there. */
  read(name: string): string | null {
    try {
      return Deno.readTextFileSync(this.file(name));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** An interface. */
export function card(name: string, address: string, more: Partial<NodeInterface> = {}): NodeInterface {
  return { name, address, prefix: 24, speed_mbit: null, bridge: false, carrier: true, ...more };
}

/** The code that a node shows. */
export function codeOf(node: TestNode): string {
  const { pairing } = node;
  if (pairing.step !== "inviting") throw new Error(`${node.name} shows no code, but ${pairing.step}`);
  return pairing.code;
}

/** The digits that a node shows. */
export function digitsOf(node: TestNode): string {
  const { pairing } = node;
  if (pairing.step !== "comparing") throw new Error(`${node.name} shows no digits, but ${pairing.step}`);
  return pairing.digits;
}

/** Until both show digits. */
export async function compare(inviter: TestNode, joiner: TestNode): Promise<void> {
  await inviter.control.invite("test");
  await joiner.control.join({ address: inviter.address, code: codeOf(inviter) }, "test");
  await until("the inviter shows its digits", () => inviter.pairing.step === "comparing");
}

/** Until both are paired and reach each other. */
export async function pair(inviter: TestNode, joiner: TestNode): Promise<void> {
  await compare(inviter, joiner);
  await Promise.all([inviter.control.confirm("test"), joiner.control.confirm("test")]);
  await until("both are paired", () => [inviter, joiner].every(({ pairing }) => pairing.step === "paired"));
  await reached(inviter, joiner);
}

/** Two nodes that have been paired some time ago: what pairing writes, without its slow code. */
export async function paired(...nodes: [TestNode, TestNode]): Promise<void> {
  const key = random();
  for (const node of nodes) {
    await node.stop();
    const other = nodes.find((one) => one !== node)!;
    const peer = {
      id: other.control.id,
      next_id: null,
      name: other.name,
      port: other.port,
      addresses: [HOST],
    };
    new PairStore(node.directory).create({
      version: 1,
      state: "paired",
      peer,
      key_id: keyId(key),
      paired_at: new Date().toISOString(),
    }, key);
  }
  for (const node of nodes) await node.run();
  await reached(...nodes);
}

/** Until both reach each other. */
export async function reached(...nodes: TestNode[]): Promise<void> {
  await until("they reach each other", () => nodes.every(({ control }) => control.channel.reachable));
}
