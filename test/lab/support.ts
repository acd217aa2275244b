/** What the tests of the lab share. */

import { Lab, type LabOptions } from "../../lib/lab/lab.ts";
import type { Place } from "../../lib/lab/places.ts";

/** A lab with an id of its own. */
export async function testLab(options: Partial<LabOptions> = {}): Promise<Lab> {
  return await Lab.up({ id: `t${crypto.randomUUID().slice(0, 6)}`, ...options });
}

/** Waits for something, and says whether it came. */
export async function soon(done: () => boolean | Promise<boolean>, bound_ms = 5000): Promise<boolean> {
  const end_ms = performance.now() + bound_ms;
  while (!(await done())) {
    if (performance.now() > end_ms) return false;
    await pause(20);
  }
  return true;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A process in the lab whose output lines are collected. It ends with the block that it was made in. */
export class Spy implements AsyncDisposable {
  readonly lines: string[] = [];
  readonly child: Deno.ChildProcess;
  readonly #reading: Promise<void>;

  constructor(lab: Lab, start: { place: Place; command: string[] }) {
    this.child = lab.exec(start.place, start.command, { stdin: "null", stdout: "piped", stderr: "inherit" });
    this.#reading = this.#read();
  }

  /** Resolves when all that it wrote has been read. */
  get finished(): Promise<void> {
    return this.#reading;
  }

  async says(line: string, bound_ms = 10_000): Promise<boolean> {
    return await soon(() => this.lines.includes(line), bound_ms);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#reading;
    await this.child.status;
  }

  async #read(): Promise<void> {
    let rest = "";
    for await (const text of this.child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      this.lines.push(...lines);
    }
  }
}

/** The command that runs one of the scripts beside this file. */
export function script(name: string, ...args: string[]): string[] {
  const path = new URL(name, import.meta.url).pathname;
  return [Deno.execPath(), "run", "--allow-all", "--no-prompt", path, ...args];
}

/** Whether a ping gets through. */
export async function pings(lab: Lab, from: Place, address: string): Promise<boolean> {
  const child = lab.exec(from, ["ping", "-c", "2", "-i", "0.2", "-W", "1", address], {
    stdin: "null",
    stdout: "null",
    stderr: "null",
  });
  return (await child.status).success;
}

/** How many of `count` datagrams, sent from one place to an address of another, arrive. */
export async function datagrams(
  lab: Lab,
  way: { from: Place; to: Place; address: string; count: number },
): Promise<number> {
  await using listener = new Spy(lab, { place: way.to, command: script("udp.ts", "listen", way.address) });
  if (!(await listener.says("ready"))) throw new Error("the listener did not start");
  const sender = lab.exec(way.from, script("udp.ts", "send", way.address, `${way.count}`), { stdin: "null" });
  await sender.status;
  await soon(() => listener.lines.length > way.count, 300);
  return listener.lines.length - 1;
}
