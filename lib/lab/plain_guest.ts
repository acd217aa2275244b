/** The demo guest on one host of the lab under stock QEMU alone: what protection is compared with. */

import { EdgeError } from "../errors.ts";
import { runCommand } from "./command.ts";
import { guestCommandLine } from "./guest_image.ts";
import type { Lab } from "./lab.ts";
import { ADDRESSES, BRIDGE, type Host } from "./places.ts";

/** The guest's parts. */
export interface PlainGuestOptions {
  host: Host;
  vmlinuz: string;
  initramfs: string;
  /** Raw image; none for a guest without a disk. */
  disk?: string;
  memory_mb: number;
  poolMegabytes?: number;
  /** File that is the guest's memory, on tmpfs; by default QEMU's own. */
  memoryFile?: string;
  /** How long it may take to boot. */
  bound_ms?: number;
}

const TAP = "tap-guest";
const READY = "iservft-guest ready";

/** A guest that runs unprotected. It ends with its host, or when it is disposed of. */
export class PlainGuest implements AsyncDisposable {
  readonly pid: number;
  /** From the start of QEMU to the service's readiness. */
  readonly boot_ms: number;
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<void>;

  private constructor(child: Deno.ChildProcess, booted: { boot_ms: number; reading: Promise<void> }) {
    this.#child = child;
    this.pid = child.pid;
    this.boot_ms = booted.boot_ms;
    this.#reading = booted.reading;
  }

  /** Starts it and waits until its service is ready. */
  static async start(lab: Lab, options: PlainGuestOptions): Promise<PlainGuest> {
    const op = "start the demo guest";
    const tap = [`ip tuntap add ${TAP} mode tap`, `ip link set ${TAP} master ${BRIDGE} up`].join(" && ");
    const exists = `ip link show ${TAP} >/dev/null 2>&1`;
    await runCommand(
      ["ip", "netns", "exec", lab.namespace(options.host), "sh", "-c", `${exists} || { ${tap}; }`],
      { op, hint: "The machine needs /dev/net/tun." },
    );
    const began_ms = performance.now();
    const child = lab.exec(options.host, qemuCommand(options), {
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
    const errors = new Response(child.stderr).text();
    const console = consoleOf(child.stdout);
    const reading = Promise.all([console.done, errors]).then(() => {});
    let timer: ReturnType<typeof setTimeout> | undefined;
    const bound = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), options.bound_ms ?? 60_000);
    });
    const ready = await Promise.race([console.ready, bound]);
    clearTimeout(timer);
    const guest = new PlainGuest(child, { boot_ms: performance.now() - began_ms, reading });
    if (ready) return guest;
    await guest[Symbol.asyncDispose]();
    const text = `${await errors}${console.text()}`.trim().split("\n").slice(-5).join("; ");
    throw new EdgeError(text === "" ? "it does not boot in time" : text, { op, hint: "See QEMU's message." });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#reading;
    await this.#child.status;
  }
}

/** Reads the guest's serial console to its end; `ready` says whether the service came up before that. */
function consoleOf(stream: ReadableStream<Uint8Array>) {
  const ready = Promise.withResolvers<boolean>();
  let text = "";
  const read = async () => {
    for await (const part of stream.pipeThrough(new TextDecoderStream())) {
      text = (text + part).slice(-8192);
      if (text.includes(READY)) ready.resolve(true);
    }
    ready.resolve(false);
  };
  return { ready: ready.promise, done: read(), text: () => text };
}

function qemuCommand(options: PlainGuestOptions): string[] {
  const boot = {
    ip: `${ADDRESSES.guest}/24`,
    gateway: ADDRESSES.reference,
    ...(options.poolMegabytes === undefined ? {} : { poolMegabytes: options.poolMegabytes }),
  };
  const disk = options.disk === undefined ? [] : [
    ...["-drive", `file=${options.disk},format=raw,if=none,id=disk0,cache=none,aio=threads`],
    ...["-device", "virtio-blk-pci,drive=disk0"],
  ];
  const memory = options.memoryFile === undefined ? ["-machine", "q35"] : [
    ...["-machine", "q35,memory-backend=ram0", "-object"],
    `memory-backend-file,id=ram0,size=${options.memory_mb}M,mem-path=${options.memoryFile},share=on`,
  ];
  return [
    "qemu-system-x86_64",
    ...memory,
    ...["-accel", "tcg", "-smp", "1", "-m", `${options.memory_mb}`],
    ...[
      "-nodefaults",
      "-no-user-config",
      "-display",
      "none",
      "-vga",
      "none",
      "-serial",
      "stdio",
      "-no-reboot",
    ],
    ...["-kernel", options.vmlinuz, "-initrd", options.initramfs, "-append", guestCommandLine(boot)],
    ...disk,
    ...["-netdev", `tap,id=net0,ifname=${TAP},script=no,downscript=no`],
    ...["-device", "virtio-net-pci,netdev=net0,mac=52:54:00:77:00:10,romfile="],
  ];
}
