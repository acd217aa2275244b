/** Two nodes in the lab: `iservft-edge serve` on each host, as its user would have it, paired and set up by nothing but the API. */

import { EdgeError } from "../errors.ts";
import type { PairSettings } from "../model/node.ts";
import type { VmCreateInput } from "../model/vm.ts";
import { createDisk, guestCommandLine, writeInitramfs } from "./guest_image.ts";
import type { Lab } from "./lab.ts";
import { NodeApi } from "./node_api.ts";
import { ADDRESSES, BRIDGE, type Host, HOSTS } from "./places.ts";

const START_MS = 30_000;
const PAIRING_MS = 30_000;
const DISK_MIB = 32;
export const NODE_NAMES = { a: "press-a", b: "press-b" } as const;
/** Where the page is, from the LAN. */
export const WEB_PORT = 8443;

/** What the nodes are made of. */
export interface LabNodesOptions {
  lab: Lab;
  /** Directory for both hosts' files; made, not removed. */
  directory: string;
  /** The command that runs this program. */
  self: readonly string[];
  kernel: { vmlinuz: string; modules: readonly string[] };
  guestInit: string;
  /** Each line that a node says. */
  onLine?: (host: Host, line: string) => void;
}

/** A `serve` that was started. */
export interface LabNode {
  child: Deno.ChildProcess;
  /** What it said so far. */
  lines: string[];
  ended: Promise<Deno.CommandStatus>;
}

export class LabNodes implements AsyncDisposable {
  readonly #options: LabNodesOptions;
  readonly #apis = new Map<Host, NodeApi>();
  readonly #nodes = new Map<Host, LabNode>();
  readonly #started: LabNode[] = [];

  private constructor(options: LabNodesOptions) {
    this.#options = options;
  }

  /** Writes what both hosts have. Nothing runs yet. */
  static async create(options: LabNodesOptions): Promise<LabNodes> {
    const { directory, kernel, guestInit } = options;
    await Deno.mkdir(directory, { recursive: true });
    await writeInitramfs({ init: guestInit, modules: kernel.modules, output: `${directory}/initramfs` });
    await createDisk({ path: `${directory}/disk.img`, megabytes: DISK_MIB });
    const nodes = new LabNodes(options);
    for (const host of HOSTS) {
      await Deno.writeTextFile(nodes.configFile(host), nodes.#config(host));
      nodes.#apis.set(host, new NodeApi(nodes.socket(host)));
    }
    return nodes;
  }

  configFile(host: Host): string {
    return `${this.#options.directory}/serve-${host}.toml`;
  }

  dataDirectory(host: Host): string {
    return `${this.#options.directory}/data-${host}`;
  }

  runDirectory(host: Host): string {
    return `/run/isf-${this.#options.lab.id}-${host}`;
  }

  /** The socket of its API. */
  socket(host: Host): string {
    return `${this.runDirectory(host)}/serve.sock`;
  }

  api(host: Host): NodeApi {
    return this.#apis.get(host)!;
  }

  /** The page's address, as the LAN sees it. */
  url(host: Host): string {
    return `https://${ADDRESSES.lan[host]}:${WEB_PORT}`;
  }

  node(host: Host): LabNode {
    const node = this.#nodes.get(host);
    if (node === undefined) throw new Error(`no serve was started on host ${host}`);
    return node;
  }

  /** Starts `serve`; resolves when its API answers. */
  async start(host: Host): Promise<LabNode> {
    const words = [...this.#options.self, "serve", "--config", this.configFile(host)];
    const child = this.#options.lab.exec(host, words, { stdin: "null", stdout: "piped", stderr: "piped" });
    const lines: string[] = [];
    const reading = Promise.all(
      [child.stdout, child.stderr].map((stream) => this.#read(stream, { host, lines })),
    );
    const node = { child, lines, ended: Promise.all([child.status, reading]).then(([status]) => status) };
    this.#nodes.set(host, node);
    this.#started.push(node);
    let over = false;
    node.ended.then(() => over = true);
    await this.api(host).until(() => true, START_MS).catch((error) => {
      throw over
        ? new EdgeError(`serve on host ${host} ended: ${lines.slice(-20).join("\n")}`, {
          op: "start a node",
          hint: "See above.",
        })
        : error;
    });
    return node;
  }

  async #read(stream: ReadableStream<Uint8Array>, to: { host: Host; lines: string[] }): Promise<void> {
    let rest = "";
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      const parts = (rest + text).split("\n");
      rest = parts.pop() ?? "";
      for (const line of parts) {
        to.lines.push(line);
        if (to.lines.length > 5000) to.lines.shift();
        this.#options.onLine?.(to.host, line);
      }
    }
  }

  /** Kills `serve` with SIGKILL, or ends it with `signal`. The VMs go on. */
  async kill(host: Host, signal: Deno.Signal = "SIGKILL"): Promise<void> {
    const node = this.node(host);
    try {
      node.child.kill(signal);
    } catch {
      // It has ended.
    }
    await node.ended;
  }

  /** Pairs both by the one-time code and the six digits, and sets lines, LAN and arbiter. */
  async pair(settings: Partial<PairSettings> = {}): Promise<void> {
    await pairNodes({ a: this.api("a"), b: this.api("b") }, settings);
  }

  /** The lab's lines, as a host sees them. */
  settings(host: Host): PairSettings {
    return linesOf(host);
  }

  /** A VM with the demo's guest in it, which boots a kernel from outside of its disk. */
  guest(name: string, more: Partial<VmCreateInput> = {}): VmCreateInput {
    const { directory, kernel } = this.#options;
    const cmdline = guestCommandLine({ ip: `${ADDRESSES.guest}/24`, gateway: ADDRESSES.reference });
    return {
      name,
      memory_mib: 192,
      disks: [{ kind: "import", path: `${directory}/disk.img`, format: "raw" }],
      nics: [{ mac: "52:54:00:12:34:56" }],
      screen: true,
      start: true,
      ...more,
      spec: {
        accel: "tcg",
        stop_s: 0, // it knows no power button
        kernel: kernel.vmlinuz,
        initrd: `${directory}/initramfs`,
        cmdline: cmdline.replace("console=ttyS0", "console=tty0 console=ttyS0"),
        ...more.spec,
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child } of this.#started) {
      try {
        child.kill("SIGTERM");
      } catch {
        // It has ended.
      }
    }
    const late = setTimeout(() => {
      for (const { child } of this.#started) {
        try {
          child.kill("SIGKILL");
        } catch {
          // It has ended.
        }
      }
    }, 10_000);
    for (const node of this.#started) await node.ended;
    clearTimeout(late);
    for (const host of HOSTS) {
      this.api(host)[Symbol.dispose]();
      // Runners outlive `serve`, as they should: they end with the lab.
      await Deno.remove(this.runDirectory(host), { recursive: true }).catch(() => {});
    }
  }

  #config(host: Host): string {
    const { directory, kernel } = this.#options;
    // Hosts are frozen and killed here: a watchdog would reset the machine that both of them are on.
    return `node = "${NODE_NAMES[host]}"
listen = "0.0.0.0:${WEB_PORT}"
data = "${this.dataDirectory(host)}"
run = "${this.runDirectory(host)}"
qemu_user = "nobody"
images = ["${directory}", "${kernel.vmlinuz}"]
[fencing]
watchdog = "off"
`;
  }
}

/** Pairs two nodes of the lab by the one-time code and the six digits, and sets lines, LAN and arbiter. */
export async function pairNodes(
  { a, b }: Record<Host, NodeApi>,
  settings: Partial<PairSettings> = {},
): Promise<void> {
  const invited = await a.call<{ pairing: { step: string; code: string } }>("POST", "/pair/invite");
  await b.call("POST", "/pair/join", { address: ADDRESSES.links.a.a, code: invited.pairing.code });
  const digits = await Promise.all([a, b].map(async (api) => {
    const { pair } = await api.until((snapshot) => snapshot.pair.pairing.step === "comparing", PAIRING_MS);
    return pair.pairing.step === "comparing" ? pair.pairing.digits : "";
  }));
  if (digits[0] !== digits[1]) throw new Error(`the two nodes show ${digits.join(" and ")}`);
  await Promise.all([a, b].map((api) => api.call("POST", "/pair/confirm")));
  for (const api of [a, b]) {
    await api.until(
      ({ pair, nodes }) => pair.pairing.step === "paired" && nodes[1]?.reachable === true,
      PAIRING_MS,
    );
  }
  await a.call("PUT", "/pair/settings", { ...linesOf("a"), ...settings });
}

/** The lab's lines, as a host sees them. */
function linesOf(host: Host): PairSettings {
  const other = host === "a" ? "b" : "a";
  const line = (link: "a" | "b") => ({
    local: ADDRESSES.links[link][host],
    peer: ADDRESSES.links[link][other],
  });
  return {
    link_a: line("a"),
    link_b: line("b"),
    lan: {
      local: ADDRESSES.lan[host],
      peer: ADDRESSES.lan[other],
      bridge: BRIDGE,
      reference: ADDRESSES.reference,
    },
    arbiter: "lan",
    witness: null,
    takeover_ms: 150,
  };
}
