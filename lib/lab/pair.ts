/** A protected VM in the lab: files for both hosts, a runner on each, and the demo guest in it. What the demo, the fault tests and
 * the bench are made of. */

import { ControlClient } from "../group/control_socket.ts";
import { EdgeError } from "../errors.ts";
import { createDisk, guestCommandLine, writeInitramfs } from "./guest_image.ts";
import { LabEtcd } from "./etcd.ts";
import { HostClock } from "./host_clock.ts";
import type { Lab } from "./lab.ts";
import { ADDRESSES, BRIDGE, type Host, HOSTS } from "./places.ts";
import { VolatileStorage } from "./volatile_storage.ts";
import { LabWitness } from "./witness.ts";

/** What a pair is made of. */
export interface PairOptions {
  lab: Lab;
  /** Directory for the hosts' files; made, not removed. */
  directory: string;
  /** The command that runs this program. */
  self: readonly string[];
  kernel: { vmlinuz: string; modules: readonly string[] };
  guestInit: string;
  /** MiB. */
  memory?: number;
  /** MiB; 0: no disk. */
  disk?: number;
  vcpus?: number;
  vga?: boolean;
  /** ms. */
  takeover?: number;
  /** Further lines for the host files. */
  hostToml?: string;
  /** Further lines for the VM's file, before its tables. */
  vmToml?: string;
  /** With "witness" or "etcd" there is one, on the LAN. */
  arbiter?: "lan" | "manual" | "witness" | "etcd";
  noOutputCommit?: boolean;
  noTermCheck?: boolean;
  /** Each host's data directory loses at a power cut what was not synced. */
  volatileStorage?: boolean;
  /** Each host's programs have a wall clock of their own, which can jump. */
  clocks?: boolean;
  /** Each event of each runner. */
  onEvent?: (host: Host, event: RunnerEvent) => void;
}

/** An event of a runner. */
export type RunnerEvent = Record<string, unknown> & { event: string };

/** Without output commit: epochs so long that whoever looks sees what is lost. With short ones it is luck. */
const UNSAFE_RHYTHM = "[rhythm]\nmin_epoch_ms = 500\nmax_epoch_ms = 500\ndirty_pages = 1000000\n";
const VM = "demo";
/** MiB. */
const DISK = 64;
const START_MS = 30_000;

/** A runner in the lab. */
export class LabRunner {
  readonly host: Host;
  readonly child: Deno.ChildProcess;
  readonly events: RunnerEvent[] = [];
  readonly #stderr: Promise<string>;
  readonly #waiting = new Set<() => void>();
  readonly ended: Promise<Deno.CommandStatus>;
  client: ControlClient | undefined;
  over = false;

  constructor(host: Host, child: Deno.ChildProcess, onEvent: (event: RunnerEvent) => void) {
    this.host = host;
    this.child = child;
    this.#stderr = new Response(child.stderr).text();
    this.ended = this.#follow(onEvent);
  }

  /** The first event, past or to come, that `wanted` accepts. Throws when the runner ends, or after `bound_ms`. */
  async event(wanted: (event: RunnerEvent) => boolean, bound_ms = START_MS): Promise<RunnerEvent> {
    const until = performance.now() + bound_ms;
    for (let seen = 0;;) {
      for (; seen < this.events.length; seen++) {
        const event = this.events[seen];
        if (event !== undefined && wanted(event)) return event;
      }
      const left = until - performance.now();
      if (this.over || left <= 0) throw await this.#missing(bound_ms);
      await this.#change(left);
    }
  }

  /** Runs a command of the control socket. */
  async call(command: string, options: Record<string, unknown> = {}): Promise<unknown> {
    if (this.client === undefined) throw new Error(`runner ${this.host} is not connected`);
    return await this.client.call(command, options);
  }

  async stderr(): Promise<string> {
    return await this.#stderr;
  }

  async #missing(bound_ms: number): Promise<EdgeError> {
    const last = this.events.filter((event) => event.event === "state" || event.event === "problem").slice(
      -3,
    );
    const said = this.over ? (await this.#stderr).trim() : "";
    return new EdgeError(
      `the runner on host ${this.host} ${this.over ? "ended" : `did not get there in ${bound_ms} ms`}; ${
        said || JSON.stringify(last)
      }`,
      { op: "wait for a runner", hint: "See its events." },
    );
  }

  #change(bound_ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, bound_ms);
      this.#waiting.add(done);
    });
  }

  async #follow(onEvent: (event: RunnerEvent) => void): Promise<Deno.CommandStatus> {
    let rest = "";
    for await (const text of this.child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (!line.startsWith("{")) continue;
        const event: RunnerEvent = JSON.parse(line);
        this.events.push(event);
        onEvent(event);
      }
      for (const wake of [...this.#waiting]) wake();
    }
    const status = await this.child.status;
    this.over = true;
    this.client?.[Symbol.dispose]();
    for (const wake of [...this.#waiting]) wake();
    return status;
  }
}

/** Both hosts' files, and the runners that were started. */
export class LabPair implements AsyncDisposable {
  readonly #options: PairOptions;
  readonly #key: string;
  readonly #witness: LabWitness | undefined;
  readonly #etcd: LabEtcd | undefined;
  readonly runners = new Map<Host, LabRunner>();
  /** All that were ever started, the first one first. */
  readonly started: LabRunner[] = [];
  /** Variables for what runs on a host, from its next start on. */
  readonly environment = new Map<Host, Readonly<Record<string, string>>>();
  readonly #storages = new Map<Host, VolatileStorage>();
  readonly #clocks = new Map<Host, HostClock>();

  private constructor(
    options: PairOptions,
    { key, witness, etcd }: { key: string; witness: LabWitness | undefined; etcd: LabEtcd | undefined },
  ) {
    this.#options = options;
    this.#key = key;
    this.#witness = witness;
    this.#etcd = etcd;
  }

  /** Writes all files. Nothing runs yet. */
  static async create(options: PairOptions): Promise<LabPair> {
    const { directory, kernel } = options;
    await Deno.mkdir(directory, { recursive: true });
    await writeInitramfs({
      init: options.guestInit,
      modules: kernel.modules,
      output: `${directory}/initramfs`,
    });
    const key = [...crypto.getRandomValues(new Uint8Array(32))].map((byte) =>
      byte.toString(16).padStart(2, "0")
    ).join("");
    const witness = options.arbiter === "witness" ? await LabWitness.start(options) : undefined;
    const etcd = options.arbiter === "etcd" ? await LabEtcd.start(options) : undefined;
    const pair = new LabPair(options, { key, witness, etcd });
    for (const host of HOSTS) await pair.#furnish(host);
    const disk = options.disk ?? DISK;
    if (disk > 0) await createDisk({ path: pair.image("a"), megabytes: disk });
    if (options.volatileStorage) await pair.#mountStorages();
    if (options.clocks) {
      for (const host of HOSTS) {
        pair.#clocks.set(host, await HostClock.make({ lab: options.lab, host, directory }));
      }
    }
    return pair;
  }

  /** Puts an empty host in the place of one whose runner has ended: its files are those of a new one, its disk is blank. */
  async empty(host: Host): Promise<void> {
    await Deno.remove(this.dataDirectory(host), { recursive: true });
    await this.#furnish(host);
  }

  async #mountStorages(): Promise<void> {
    const { lab } = this.#options;
    for (const host of HOSTS) {
      const directory = this.dataDirectory(host);
      this.#storages.set(host, await VolatileStorage.mount({ lab, host, directory }));
    }
  }

  /** The volatile storage of a host. */
  storage(host: Host): VolatileStorage {
    const storage = this.#storages.get(host);
    if (storage === undefined) throw new Error(`host ${host} has no volatile storage`);
    return storage;
  }

  /** A host's own wall clock. */
  clock(host: Host): HostClock {
    const clock = this.#clocks.get(host);
    if (clock === undefined) throw new Error(`host ${host} has no clock of its own`);
    return clock;
  }

  /** Cuts these hosts' power, their volatile storages first, all at once: what was not synced is gone, or with a seed a part of it. */
  async cutPower(hosts: readonly Host[], seed?: number): Promise<void> {
    await Promise.all(hosts.map((host) => this.storage(host).losePower(seed)));
    await Promise.all(hosts.map((host) => this.#options.lab.powerOff(host)));
  }

  dataDirectory(host: Host): string {
    return `${this.#options.directory}/host-${host}`;
  }

  /** The VM's run directory on a host. */
  runDirectory(host: Host): string {
    return `/run/isf-${this.#options.lab.id}-${host}/${VM}`;
  }

  image(host: Host): string {
    return `${this.dataDirectory(host)}/disk.img`;
  }

  /** Starts a host's runner and connects to it. `begin`: the VM starts here. */
  async start(host: Host, options: { begin?: boolean } = {}): Promise<LabRunner> {
    const data = this.dataDirectory(host);
    const words = [
      ...this.#options.self,
      "runner",
      "--json",
      ...["--vm", `${data}/vm.toml`, "--host", `${data}/host.toml`],
      ...(options.begin ? ["--start"] : []),
      ...(this.#options.noOutputCommit ? ["--no-output-commit"] : []),
      ...(this.#options.noTermCheck ? ["--no-term-check"] : []),
    ];
    const booted = this.#storages.has(host) ? await this.#boot(host) : [];
    const variables = Object.entries(this.environment.get(host) ?? {});
    const set = variables.length === 0 ? [] : ["env", ...variables.map((pair) => pair.join("="))];
    const clock = this.#clocks.get(host)?.words ?? [];
    const child = this.#options.lab.exec(host, [...booted, ...clock, ...set, ...words], {
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
    const runner = new LabRunner(host, child, (event) => this.#options.onEvent?.(host, event));
    this.runners.set(host, runner);
    this.started.push(runner);
    await runner.event((event) => event.event === "state");
    runner.client = await ControlClient.connect(`${this.runDirectory(host)}/runner.sock`);
    return runner;
  }

  /** After a power cut a host's storage is mounted anew, and its kernel is another boot: what relies on the page cache must see that.
   * The words that run a command in this boot. */
  async #boot(host: Host): Promise<string[]> {
    const file = `${this.#options.directory}/boot-${host}`;
    const storage = this.storage(host);
    const first = !storage.mounted;
    if (first) await storage.remount();
    if (first || !(await exists(file))) await Deno.writeTextFile(file, `${crypto.randomUUID()}\n`);
    const script = `mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"`;
    return ["sh", "-c", script, file];
  }

  /** A host's runner. Throws when it was never started. */
  runner(host: Host): LabRunner {
    const runner = this.runners.get(host);
    if (runner === undefined) throw new Error(`no runner was started on host ${host}`);
    return runner;
  }

  /** The witness. Throws when another arbiter decides. */
  get witness(): LabWitness {
    if (this.#witness === undefined) throw new Error("this pair has no witness");
    return this.#witness;
  }

  /** Both runners, the VM beginning on host A, and waits until it is protected. */
  async protect(bound_ms = 90_000): Promise<void> {
    const [, primary] = await Promise.all([this.start("b"), this.start("a", { begin: true })]);
    await primary.event((event) => event.event === "protected", bound_ms);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const runner of this.started) {
      if (!runner.over) {
        try {
          runner.child.kill("SIGTERM");
        } catch {
          // It has ended.
        }
      }
    }
    const late = setTimeout(() => {
      for (const runner of this.started) if (!runner.over) runner.child.kill("SIGKILL");
    }, 5000);
    for (const runner of this.started) {
      runner.client?.[Symbol.dispose]();
      await runner.ended;
      await runner.stderr();
    }
    clearTimeout(late);
    for (const storage of this.#storages.values()) await storage[Symbol.asyncDispose]();
    await this.#witness?.[Symbol.asyncDispose]();
    await this.#etcd?.[Symbol.asyncDispose]();
    for (const host of HOSTS) {
      await Deno.remove(`/run/isf-${this.#options.lab.id}-${host}`, { recursive: true }).catch(() => {});
    }
  }

  async #furnish(host: Host): Promise<void> {
    const data = this.dataDirectory(host);
    await Deno.mkdir(data, { recursive: true });
    await Deno.writeTextFile(`${data}/key`, this.#key, { mode: 0o600 });
    await Deno.writeTextFile(`${data}/host.toml`, this.#hostFile(host));
    await Deno.writeTextFile(`${data}/vm.toml`, this.#vmFile());
    const disk = this.#options.disk ?? DISK;
    if (disk === 0) return;
    using blank = await Deno.open(this.image(host), { write: true, create: true, truncate: true });
    await blank.truncate(disk * 1024 * 1024);
  }

  #hostFile(host: Host): string {
    const other = host === "a" ? "b" : "a";
    const { lab, takeover = 100, arbiter = "lan", noOutputCommit = false } = this.#options;
    const hostToml = this.#options.hostToml ?? (noOutputCommit ? UNSAFE_RHYTHM : "");
    const links = (["a", "b"] as const).map((link) =>
      `[[link]]\nlocal = "${ADDRESSES.links[link][host]}"\npeer = "${ADDRESSES.links[link][other]}"\n`
    );
    return `node = "host-${host}"
run_dir = "/run/isf-${lab.id}-${host}"
data_dir = "${this.dataDirectory(host)}"
key_file = "${this.dataDirectory(host)}/key"
arbiter = "${arbiter}"
qemu_user = "nobody"
${links.join("")}[lan]
local = "${ADDRESSES.lan[host]}"
peer = "${ADDRESSES.lan[other]}"
bridge = "${BRIDGE}"
reference = "${ADDRESSES.reference}"
${this.#witness?.table(host) ?? ""}${this.#etcd?.table() ?? ""}[heartbeat]
takeover_ms = ${takeover}
${withoutWatchdog(hostToml)}`;
  }

  #vmFile(): string {
    const { directory, kernel, memory = 512, vcpus = 1, disk = DISK, vga = false, vmToml = "" } =
      this.#options;
    const cmdline = guestCommandLine({ ip: `${ADDRESSES.guest}/24`, gateway: ADDRESSES.reference });
    return `name = "${VM}"
memory = ${memory}
vcpus = ${vcpus}
accel = "tcg"
vga = ${vga}
kernel = "${kernel.vmlinuz}"
initrd = "${directory}/initramfs"
cmdline = "${cmdline}"
${vmToml}
${disk > 0 ? `[[disk]]\npath = "disk.img"\n` : ""}[[nic]]
mac = "52:54:00:12:34:56"
`;
  }
}

/** Hosts are frozen and killed here: a watchdog would reset the machine that both of them are on. */
function withoutWatchdog(toml: string): string {
  const table = "[fencing]\n";
  const off = `${table}watchdog = "off"\n`;
  return toml.includes(table) ? toml.replace(table, off) : `${toml}${off}`;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
