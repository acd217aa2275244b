/** Stands in a replication line and damages what passes, when told to: the program (`lab-proxy`), and its handle. Each line on its input
 * is a kind of damage and a direction ("flip up", "reorder down"; up: from the host that connects); it says each one back once it is
 * done. */

import { runCommand } from "./command.ts";
import type { Lab } from "./lab.ts";
import { ADDRESSES } from "./places.ts";

export const DAMAGES = ["flip", "truncate", "duplicate", "reorder"] as const;
export type Damage = typeof DAMAGES[number];
export type Direction = "up" | "down";

/** Less than this cannot be cut in its middle. */
const WORTH_BYTES = 40;

const wanted: { damage: Damage; direction: Direction }[] = [];

function say(text: string): void {
  console.log(text);
}

async function write(to: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await to.write(bytes.subarray(sent));
}

/** What is written in the place of `bytes`; what is to follow the next piece is put into `held`. */
function damaged(bytes: Uint8Array, how: Damage, held: Uint8Array[]): Uint8Array {
  const middle = bytes.length >> 1;
  switch (how) {
    case "flip":
      bytes[middle] = (bytes[middle] ?? 0) ^ 1;
      return bytes;
    case "truncate":
      return Uint8Array.from([...bytes.subarray(0, middle), ...bytes.subarray(middle + 16)]);
    case "duplicate":
      return Uint8Array.from([...bytes, ...bytes]);
    case "reorder":
      held.push(bytes);
      return new Uint8Array();
    default:
      return how satisfies never;
  }
}

async function pump(from: Deno.Conn, way: { to: Deno.Conn; direction: Direction }): Promise<void> {
  const { to, direction } = way;
  const held: Uint8Array[] = [];
  const buffer = new Uint8Array(65536);
  try {
    for (;;) {
      const got = await from.read(buffer);
      if (got === null) break;
      let bytes = buffer.slice(0, got);
      const next = wanted[0];
      const before = held.splice(0);
      if (next !== undefined && next.direction === direction && got >= WORTH_BYTES) {
        wanted.shift();
        bytes = Uint8Array.from(damaged(bytes, next.damage, held));
        say(`${next.damage} ${next.direction}`);
      }
      await write(to, bytes);
      for (const late of before) await write(to, late);
    }
  } catch {
    // One end closed it, which is what damage is to lead to.
  }
  for (const end of [from, to]) {
    try {
      end.close();
    } catch {
      // It is closed already.
    }
  }
}

async function commands(): Promise<void> {
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [damage, direction] = line.split(" ") as [Damage, Direction];
      wanted.push({ damage, direction });
    }
  }
}

/** The program: until its input ends. */
export async function runProxy(port: number, target: { hostname: string; port: number }): Promise<void> {
  const listener = Deno.listen({ hostname: "0.0.0.0", port });
  say("ready");
  commands().then(() => listener.close());
  try {
    for await (const client of listener) await join(client, target);
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

async function join(client: Deno.TcpConn, target: { hostname: string; port: number }): Promise<void> {
  try {
    const server = await Deno.connect(target);
    client.setNoDelay(true);
    server.setNoDelay(true);
    pump(client, { to: server, direction: "up" });
    pump(server, { to: client, direction: "down" });
  } catch {
    client.close(); // nobody listens there yet
  }
}

const GROUP = "65534";
const PROXY_PORT = 9800;
const LINE_PORT = 7800;
const SAY_MS = 20_000;

/** A proxy in link A, on host B, which is the one that connects. */
export class DamagingProxy implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: string[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #reading: Promise<void>;

  private constructor(lab: Lab, command: string[]) {
    this.#child = lab.exec("b", command, { stdin: "piped", stdout: "piped", stderr: "inherit" });
    this.#input = this.#child.stdin.getWriter();
    this.#reading = this.#read();
  }

  /** Who connects to link A on host B gets the proxy, which alone reaches host A. Before the runners start. */
  static async start(lab: Lab, self: readonly string[]): Promise<DamagingProxy> {
    const to = `ip daddr ${ADDRESSES.links.a.a} tcp dport ${LINE_PORT}`;
    await runCommand(["ip", "netns", "exec", lab.namespace("b"), "nft", "-f", "-"], {
      op: "lead link A through a proxy",
      stdin: `add table ip detour
add chain ip detour out { type nat hook output priority -100; }
add rule ip detour out meta skgid != ${GROUP} ${to} redirect to :${PROXY_PORT}
`,
    });
    const target = `${ADDRESSES.links.a.a}:${LINE_PORT}`;
    const proxy = new DamagingProxy(lab, [
      ...["setpriv", `--regid=${GROUP}`, "--clear-groups"],
      ...self,
      ...["lab-proxy", `${PROXY_PORT}`, target],
    ]);
    await proxy.#says("ready");
    return proxy;
  }

  /** Resolves when it is done. */
  async damage(what: Damage, direction: Direction): Promise<void> {
    this.#lines.length = 0;
    await this.#input.write(new TextEncoder().encode(`${what} ${direction}\n`));
    await this.#says(`${what} ${direction}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#reading;
    await this.#input.close().catch(() => {});
    await this.#child.status;
  }

  async #says(line: string): Promise<void> {
    const end_ms = performance.now() + SAY_MS;
    while (!this.#lines.includes(line)) {
      if (performance.now() > end_ms) throw new Error(`the proxy did not say ${line}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, SAY_MS);
        this.#waiting.add(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  async #read(): Promise<void> {
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      this.#lines.push(...text.split("\n").filter((line) => line !== ""));
      for (const wake of [...this.#waiting]) wake();
      this.#waiting.clear();
    }
  }
}
