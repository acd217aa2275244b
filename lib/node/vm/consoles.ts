/** The consoles of VMs, wherever they run: a viewer of the serial line stays while the VM moves. */

import { z } from "zod";
import type { Duplex } from "../../model/backend.ts";
import { ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";
import { vmName } from "../../model/vm.ts";
import { vmPaths } from "../../vm/command_line.ts";
import type { PeerChannel } from "../contracts.ts";
import { RoamingLine } from "./roaming_line.ts";
import { SerialHub } from "./serial_hub.ts";

const METHOD = "vm.console";

const question = z.strictObject({
  name: vmName,
  kind: z.enum(["serial", "screen"]),
  /** What was said before comes first. */
  scrollback: z.boolean(),
});
type Question = z.infer<typeof question>;

export interface ConsolesOptions {
  peer: PeerChannel;
  runDir(name: string): string;
  dataDir(name: string): string;
  /** Where it runs now; null: nowhere that is known. */
  place(name: string): "here" | "there" | null;
}

export class Consoles implements AsyncDisposable {
  readonly #options: ConsolesOptions;
  readonly #hubs = new Map<string, SerialHub>();
  readonly #lines = new Set<RoamingLine>();

  constructor(options: ConsolesOptions) {
    this.#options = options;
    options.peer.answerStream(METHOD, (params) => this.#here(question.parse(params)));
  }

  /** Follows the serial lines of these VMs, whose runners are here, and of no others. */
  async follow(names: ReadonlySet<string>): Promise<void> {
    for (const name of names) {
      if (this.#hubs.has(name)) continue;
      const socket = vmPaths(this.#options.runDir(name)).serialSocket;
      this.#hubs.set(name, new SerialHub({ socket, log: `${this.#options.dataDir(name)}/serial.log` }));
    }
    for (const [name, hub] of this.#hubs) {
      if (names.has(name)) continue;
      this.#hubs.delete(name);
      await hub[Symbol.asyncDispose]();
    }
  }

  /** Opens one, wherever the VM runs. */
  async open(name: string, kind: "serial" | "screen"): Promise<Duplex> {
    const first = await this.#connect({ name, kind, scrollback: true });
    if (kind === "screen") return first;
    const line: RoamingLine = new RoamingLine({
      first,
      again: () => this.#connect({ name, kind, scrollback: false }),
      onEnd: () => this.#lines.delete(line),
    });
    this.#lines.add(line);
    return line;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const line of [...this.#lines]) await line[Symbol.asyncDispose]();
    await this.follow(new Set());
  }

  #connect(wanted: Question): Promise<Duplex> {
    const place = this.#options.place(wanted.name);
    if (place === "here") return this.#here(wanted);
    if (place === "there") return this.#options.peer.open(METHOD, wanted);
    throw new ProblemError("conflict", explained("console.stopped", { name: wanted.name }));
  }

  async #here({ name, kind, scrollback }: Question): Promise<Duplex> {
    const console = kind === "serial"
      ? this.#hubs.get(name)?.attach({ scrollback })
      : await screen(vmPaths(this.#options.runDir(name)).vnc);
    if (console !== undefined) return console;
    throw new ProblemError("conflict", explained(`console.${kind}`, { name }));
  }
}

/** A connection of its own to QEMU's screen; undefined: there is none. */
async function screen(path: string): Promise<Duplex | undefined> {
  try {
    const { readable, writable, close } = await connectUnix(path);
    return { readable, writable, [Symbol.asyncDispose]: () => Promise.resolve(close()) };
  } catch {
    return undefined;
  }
}

async function connectUnix(path: string) {
  const connection = await Deno.connect({ transport: "unix", path });
  const close = () => {
    try {
      connection.close();
    } catch {
      // closed by the other side
    }
  };
  return { readable: connection.readable, writable: connection.writable, close };
}
