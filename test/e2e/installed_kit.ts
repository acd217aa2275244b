/** Two machines that boot systemd, and the one binary installed on both as its user does it. */

import { assets, guestKernel, selfCommand } from "../../lib/cli/assets.ts";
import { createDisk, guestCommandLine, writeInitramfs } from "../../lib/lab/guest_image.ts";
import { Lab } from "../../lib/lab/lab.ts";
import { NODE_NAMES, pairNodes } from "../../lib/lab/nodes.ts";
import { ADDRESSES, type Host, HOSTS } from "../../lib/lab/places.ts";
import { CountingClient } from "../../lib/lab/scene.ts";
import { outdated, ROOT, run } from "../../build/run.ts";
import { BootingHost } from "./systemd_kit.ts";

export const SERVICE = "iservft-edge.service";
export const VM = "demo";
export const RUNNER = `iservft-edge-vm-${VM}.service`;
const PROGRAM = `${ROOT}/dist/iservft-edge`;

/** The processes of a VM on a host. */
export interface VmProcesses {
  runner: number;
  qemu: number;
}

export class InstalledNodes implements AsyncDisposable {
  readonly lab: Lab;
  readonly hosts: Record<Host, BootingHost>;
  readonly #rest: AsyncDisposableStack;

  private constructor(
    parts: { lab: Lab; hosts: Record<Host, BootingHost>; rest: AsyncDisposableStack },
  ) {
    this.lab = parts.lab;
    this.hosts = parts.hosts;
    this.#rest = parts.rest;
  }

  /** Boots both, and installs the program that `deno task build` makes. Nothing is paired. */
  static async open(): Promise<InstalledNodes> {
    const sources = ["lib", "ui", "ffi"].flatMap((part) => filesBelow(`${ROOT}/${part}`));
    if (outdated(PROGRAM, sources)) await run([Deno.execPath(), "run", "-A", `${ROOT}/build/build.ts`]);
    await using rest = new AsyncDisposableStack();
    const directory = await Deno.makeTempDir({ prefix: "iservft-installed-" });
    rest.defer(() => Deno.remove(directory, { recursive: true }));
    const given = `${directory}/given`;
    await Deno.mkdir(given);
    const kernel = guestKernel();
    await writeInitramfs({
      init: assets().guestInit,
      modules: kernel.modules,
      output: `${given}/initramfs`,
    });
    await createDisk({ path: `${given}/disk.img`, megabytes: 32 });
    await Deno.copyFile(kernel.vmlinuz, `${given}/vmlinuz`);
    await Deno.copyFile(PROGRAM, `${given}/iservft-edge`);
    await Deno.writeFile(`${given}/newer`, await otherBuild(PROGRAM), { mode: 0o755 });
    const lab = rest.use(await Lab.up({ id: `i${crypto.randomUUID().slice(0, 6)}` }));
    const machine = async (host: Host) => {
      const made = await BootingHost.create({
        lab,
        host,
        directory: `${directory}/${host}`,
        name: NODE_NAMES[host],
        given,
      });
      return rest.use(made);
    };
    const hosts = { a: await machine("a"), b: await machine("b") };
    const nodes = new InstalledNodes({ lab, hosts, rest: rest.move() });
    try {
      await Promise.all(HOSTS.map(async (host) => {
        await hosts[host].boot();
        await hosts[host].must(["/srv/iservft-edge", "install"]);
      }));
    } catch (error) {
      await nodes[Symbol.asyncDispose]();
      throw error;
    }
    return nodes;
  }

  /** Pairs them; nothing here is about how soon a host is found lost, and starting a service takes all of a small machine's time. */
  async pair(): Promise<void> {
    await pairNodes({ a: this.hosts.a.api, b: this.hosts.b.api }, { takeover_ms: 2000 });
  }

  /** Makes the demo's guest on host A by the command line, and waits until it is protected. */
  async create(): Promise<void> {
    const cmdline = guestCommandLine({ ip: `${ADDRESSES.guest}/24`, gateway: ADDRESSES.reference });
    const keys = {
      accel: "tcg",
      stop_s: 0, // it knows no power button
      kernel: "/srv/vmlinuz",
      initrd: "/srv/initramfs",
      cmdline: cmdline.replace("console=ttyS0", "console=tty0 console=ttyS0"),
    };
    await this.hosts.a.must([
      ...["iservft-edge", "vm", "create", VM, "--memory", "192", "--disk", "import:raw:/srv/disk.img"],
      ...["--nic", "mac=52:54:00:12:34:56", "--start", "--wait"],
      ...Object.entries(keys).flatMap(([key, value]) => ["--set", `${key}=${value}`]),
    ]);
  }

  /** A client of the VM; resolves when the VM has answered it. */
  async client(): Promise<CountingClient> {
    const client = new CountingClient(this.lab, { self: selfCommand(), load: {} });
    this.#rest.use(client);
    await client.connected;
    return client;
  }

  /** What systemd says of a unit. */
  async property(host: Host, [unit, name]: [unit: string, name: string]): Promise<string> {
    return (await this.hosts[host].must(["systemctl", "show", `--property=${name}`, "--value", unit])).trim();
  }

  /** The VM's processes, as systemd has them in the runner's unit. */
  async processes(host: Host): Promise<VmProcesses> {
    const runner = Number(await this.property(host, [RUNNER, "MainPID"]));
    const found = await this.hosts[host].run(["pgrep", "--parent", `${runner}`, "--full", "qemu-system"]);
    return { runner, qemu: Number(found.out.trim()) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab.restore().catch(() => {});
    await this.#rest[Symbol.asyncDispose]();
  }
}

function filesBelow(directory: string): string[] {
  return [...Deno.readDirSync(directory)].filter(({ name }) => !name.startsWith(".")).flatMap((entry) => {
    const path = `${directory}/${entry.name}`;
    return entry.isDirectory ? filesBelow(path) : [path];
  });
}

const FOOTER_BYTES = 64;

/** Another build of the packed program, that does the same: one more name for one of its files (build/pack.ts). */
async function otherBuild(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await Deno.readFile(path);
  const end = bytes.length - FOOTER_BYTES;
  const footer = bytes.slice(end);
  const view = new DataView(footer.buffer);
  const [payload, index] = [Number(view.getBigUint64(8, true)), Number(view.getBigUint64(16, true))];
  const text = new TextDecoder().decode(bytes.subarray(index, end));
  const again = text.trimEnd().split("\n").at(-1)!.replace(/\S+$/, "app/newer");
  const added = new TextEncoder().encode(`${text}${again}\n`);
  const made = new Uint8Array(index + added.length + FOOTER_BYTES);
  made.set(bytes.subarray(0, index));
  made.set(added, index);
  view.setBigUint64(24, BigInt(added.length), true);
  const digest = await crypto.subtle.digest("SHA-256", made.subarray(payload, index + added.length));
  footer.set(new Uint8Array(digest), 32);
  made.set(footer, index + added.length);
  return made;
}
