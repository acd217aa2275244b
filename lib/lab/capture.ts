/** Listens on the LAN's switch to each host's port, and notes every frame that a host says for the guest: before any of the lab's
 * cuts, so that it is heard also when it then gets no further.
 *
 * @example
 * ```ts
 * await using capture = await Capture.start(lab);
 * ...
 * const second = voices(await capture.stop());
 * ```
 */

import { EdgeError } from "../errors.ts";
import type { Lab } from "./lab.ts";
import { wallAhead_us } from "./monotonic.ts";
import { type Host, HOSTS } from "./places.ts";
import type { GuestFrame } from "./voices.ts";

export { type GuestFrame, type SecondVoice, type Turn, voices } from "./voices.ts";

/** The demo guest's address (lib/lab/pair.ts). */
export const GUEST_MAC = "52:54:00:12:34:56";

const OP = "capture frames";
const READY_MS = 10_000;
const STOP_MS = 5_000;
/** The wall clock may be slewed while we listen, but not set. */
const CLOCK_STEP_US = 50_000;
const SNAP_BYTES = 64;
const PCAP_HEADER = 24;
const RECORD_HEADER = 16;
/** pcap with nanoseconds, written by a little-endian host. */
const PCAP_MAGIC = 0xa1b23c4d;
const ETHERNET_HEADER = 14;

/** One capture of both ports. Costs nothing but memory, some 100 bytes a frame: take() what you have seen in a long run. */
export class Capture implements AsyncDisposable {
  readonly #ports: readonly Port[];
  readonly #ahead_us: number;
  #stopped = false;

  private constructor(ports: readonly Port[], ahead_us: number) {
    this.#ports = ports;
    this.#ahead_us = ahead_us;
  }

  /** Resolves when both ports are listened to. */
  static async start(lab: Lab, options: { mac?: string } = {}): Promise<Capture> {
    const ahead_us = wallAhead_us();
    const ports = HOSTS.map((host) => new Port(lab, { host, mac: options.mac ?? GUEST_MAC, ahead_us }));
    const capture = new Capture(ports, ahead_us);
    try {
      await Promise.all(ports.map((port) => port.ready()));
    } catch (error) {
      await capture[Symbol.asyncDispose]();
      throw error;
    }
    return capture;
  }

  /** The frames so far, in the order in which they came. What came in the last milliseconds may be missing. */
  get frames(): GuestFrame[] {
    return sorted(this.#ports.flatMap((port) => port.frames));
  }

  /** As `frames`, and forgets them. */
  take(): GuestFrame[] {
    return sorted(this.#ports.flatMap((port) => port.frames.splice(0)));
  }

  /** Ends it and returns all frames that came until now. Throws when the kernel dropped some, or the wall clock was set meanwhile:
   * such a capture proves nothing. */
  async stop(): Promise<GuestFrame[]> {
    this.#stopped = true;
    await Promise.all(this.#ports.map((port) => port.stop()));
    const step_us = wallAhead_us() - this.#ahead_us;
    if (Math.abs(step_us) > CLOCK_STEP_US) {
      throw new EdgeError(`the wall clock was set by ${Math.round(step_us / 1000)} ms during the capture`, {
        op: OP,
        hint: "Its times are by the wall clock: capture without setting it.",
      });
    }
    return this.frames;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    await Promise.all(this.#ports.map((port) => port.kill()));
  }
}

/** tcpdump on one port. */
class Port {
  readonly frames: GuestFrame[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #reader: PcapReader;
  readonly #output: Promise<void>;
  readonly #errors: Promise<void>;
  readonly #listening = Promise.withResolvers<void>();
  #said = "";

  constructor(lab: Lab, options: { host: Host; mac: string; ahead_us: number }) {
    const { host, mac, ahead_us } = options;
    // The direction by -Q: a filter "inbound" misses the first frame (libpcap applies it by itself, and does not know it).
    const where = ["-i", `host-${host}`, "-Q", "in", "-p", "-B", "16384"];
    const form = ["-n", "-s", `${SNAP_BYTES}`, "--time-stamp-precision=nano", "-w", "-"];
    const command = [
      "tcpdump",
      ...where,
      "-U",
      "--immediate-mode",
      ...form,
      "-Z",
      "root",
      `ether src ${mac}`,
    ];
    this.#child = lab.exec("lan", command, { stdin: "null", stdout: "piped", stderr: "piped" });
    this.#reader = new PcapReader((frame) =>
      this.frames.push({ ...frame, at_us: frame.at_us - ahead_us, host })
    );
    this.#output = this.#read();
    this.#output.catch(() => {}); // stop() tells
    this.#errors = this.#listen();
  }

  /** Resolves when it listens. */
  async ready(): Promise<void> {
    const late = setTimeout(() => this.#signal("SIGKILL"), READY_MS);
    await Promise.race([this.#listening.promise, this.#errors]);
    clearTimeout(late);
    if (/listening on/.test(this.#said)) return;
    throw new EdgeError(`tcpdump does not listen: ${this.#said.trim()}`, {
      op: OP,
      hint: "Install tcpdump.",
    });
  }

  /** Ends when tcpdump has passed on all that came. */
  async stop(): Promise<void> {
    try {
      // It ends at once when told to, and would leave behind what it has not looked at: when it waits, there is nothing.
      const end_ms = performance.now() + STOP_MS;
      while (!waits(this.#child.pid)) {
        if (performance.now() > end_ms) {
          throw new EdgeError("tcpdump does not keep up", { op: OP, hint: "Run it on a quieter machine." });
        }
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      this.#signal("SIGINT");
      await this.#end();
      const dropped = Number(/(\d+) packets? dropped by kernel/.exec(this.#said)?.[1] ?? Number.NaN);
      if (dropped === 0) return;
      throw new EdgeError(`the capture lost ${dropped} frames`, { op: OP, hint: this.#said.trim() });
    } finally {
      await this.kill();
    }
  }

  async kill(): Promise<void> {
    this.#signal("SIGKILL");
    await this.#end();
  }

  async #end(): Promise<void> {
    await Promise.all([this.#output, this.#errors]);
    await this.#child.status;
  }

  #signal(name: Deno.Signal): void {
    try {
      this.#child.kill(name);
    } catch {
      // It has ended.
    }
  }

  async #read(): Promise<void> {
    for await (const chunk of this.#child.stdout) this.#reader.push(chunk);
  }

  async #listen(): Promise<void> {
    for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) {
      this.#said += text;
      if (/listening on/.test(this.#said)) this.#listening.resolve();
    }
  }
}

/** Whether a process sleeps until something comes: a frame that has come would have woken it. */
function waits(pid: number): boolean {
  const state = /\) (\S)/.exec(Deno.readTextFileSync(`/proc/${pid}/stat`))?.[1];
  return state === "S" && /poll/.test(Deno.readTextFileSync(`/proc/${pid}/wchan`));
}

function sorted(frames: GuestFrame[]): GuestFrame[] {
  return frames.sort((x, y) => x.at_us - y.at_us);
}

/** Reads a stream in the form of a capture file, in pieces as they come. Times are the file's, in microseconds. */
export class PcapReader {
  readonly #found: (frame: Omit<GuestFrame, "host">) => void;
  #rest = new Uint8Array(0);
  #begun = false;

  constructor(found: (frame: Omit<GuestFrame, "host">) => void) {
    this.#found = found;
  }

  push(chunk: Uint8Array): void {
    const bytes = new Uint8Array(this.#rest.length + chunk.length);
    bytes.set(this.#rest);
    bytes.set(chunk, this.#rest.length);
    const view = new DataView(bytes.buffer);
    let at = 0;
    if (!this.#begun) {
      if (bytes.length < PCAP_HEADER) return void (this.#rest = bytes);
      const magic = view.getUint32(0, true);
      if (magic !== PCAP_MAGIC) {
        throw new EdgeError(`this is no capture: it begins with 0x${magic.toString(16)}`, {
          op: OP,
          hint: "",
        });
      }
      this.#begun = true;
      at = PCAP_HEADER;
    }
    while (bytes.length - at >= RECORD_HEADER) {
      const kept = view.getUint32(at + 8, true);
      if (bytes.length - at < RECORD_HEADER + kept) break;
      if (kept >= ETHERNET_HEADER) this.#found(recordAt(view, at));
      at += RECORD_HEADER + kept;
    }
    this.#rest = bytes.subarray(at);
  }
}

function recordAt(view: DataView, at: number): Omit<GuestFrame, "host"> {
  return {
    at_us: view.getUint32(at, true) * 1e6 + view.getUint32(at + 4, true) / 1000,
    bytes: view.getUint32(at + 12, true),
    protocol: view.getUint16(at + RECORD_HEADER + 12),
  };
}
