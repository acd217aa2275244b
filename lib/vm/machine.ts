/** One VM on one host: its engine with all parts, and the QEMU process that runs it or stands by. Performs; decides nothing. */

import { Engine, type EngineLibrary } from "../../ffi/engine.ts";
import type { NewLines } from "../../ffi/new_lines.ts";
import { makeDurableDirectory } from "../durable_directory.ts";
import { EdgeError } from "../errors.ts";
import { commandLine, type HostSide, vmPaths } from "./command_line.ts";
import { type HostConfig, listens, rhythmOf } from "./host_config.ts";
import { type Fencing, kernelLeaseMs, NftLease } from "./nft_lease.ts";
import { MachineTypeFile, resolveMachine } from "./machine_type.ts";
import { type QemuExit, QemuProcess, userIds } from "./qemu.ts";
import { servedDisks, type VmSpec } from "./spec.ts";

const MIB = 1024 * 1024;
/** Bound of loading the device state into the standby QEMU, ms. */
const RESTORE_MS = 5000;
/** A unix socket's path has at most 107 bytes; the longest name below the run directory has 19. */
const RUN_DIR_MAX = 85;

/** What a machine is made of. */
export interface MachineOptions {
  library: EngineLibrary;
  spec: VmSpec;
  host: HostConfig;
  /** The pair's secret: 32 bytes. */
  secret: Uint8Array<ArrayBuffer>;
  /** The preload shim's path. */
  shim: string;
  accel: "kvm" | "tcg";
  qemu: QemuKind;
}

/** Which QEMU a host has. */
export interface QemuKind {
  version: string;
  /** The versioned machine types that it knows. */
  machines: readonly string[];
}

/** The run directory of a VM on this host. Throws EdgeError when sockets would not fit below it. */
export function runDirOf(host: HostConfig, spec: VmSpec): string {
  const dir = `${host.run_dir}/${spec.name}`;
  if (dir.length <= RUN_DIR_MAX) return dir;
  throw new EdgeError(`The run directory ${dir} has ${dir.length} characters`, {
    op: "make the run directory",
    hint:
      `Sockets live there: choose a shorter run_dir or VM name, together at most ${RUN_DIR_MAX} characters.`,
  });
}

/** A TAP's name: at most 15 characters, the same for the same VM, another for another. */
export function tapName(vm: string, index: number): string {
  let hash = 0x811c9dc5;
  for (const char of vm) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193) >>> 0;
  return `isf${hash.toString(16).padStart(8, "0")}n${index}`;
}

interface Parts {
  engine: Engine;
  runDir: string;
  memory: number;
  lease: NftLease | undefined;
}

/** A VM's engine and QEMU. Made by `Machine.open`. */
export class Machine implements AsyncDisposable {
  readonly engine: Engine;
  readonly runDir: string;
  readonly #options: MachineOptions;
  readonly #memoryPath: string;
  readonly #lease: NftLease | undefined;
  readonly #typeFile: MachineTypeFile;
  #machineType: string;
  #qemu: QemuProcess | undefined;
  /** The QEMU that the engine is attached to. */
  #attached: QemuProcess | undefined;
  /** QEMU was started, and its VM has not been told to run yet. */
  stands = false;
  /** Called when a QEMU ends that nobody here ended. */
  onQemuExit: (exit: QemuExit) => void = () => {};

  private constructor(options: MachineOptions, parts: Parts) {
    this.#options = options;
    this.#lease = parts.lease;
    this.engine = parts.engine;
    this.runDir = parts.runDir;
    const { spec, host, qemu } = options;
    this.#typeFile = new MachineTypeFile(`${host.data_dir}/${spec.name}/machine-type`);
    this.#machineType = resolveMachine(spec.machine, {
      remembered: this.#typeFile.read(),
      known: qemu.machines,
    });
    this.#memoryPath = `/proc/${Deno.pid}/fd/${parts.memory}`;
  }

  /** Makes the engine with memory, disks (journals replayed) and NICs: all that QEMU needs to start. */
  static async open(options: MachineOptions): Promise<Machine> {
    const { spec, host, library, secret } = options;
    const runDir = runDirOf(host, spec);
    const paths = vmPaths(runDir);
    Deno.mkdirSync(runDir, { recursive: true, mode: 0o711 });
    Deno.chmodSync(runDir, 0o711);
    makeDurableDirectory(`${host.data_dir}/${spec.name}`, 0o700);
    const engine = new Engine({ library, runDir, secret });
    try {
      engine.rhythm(rhythmOf(host));
      engine.syncRate(Math.round((host.sync.rate_mbit ?? 0) * 1e6 / 8));
      const memory = engine.memoryNew(spec.memory * MIB);
      for (const disk of servedDisks(spec, host.data_dir)) {
        const statePrefix = `${host.data_dir}/${spec.name}/${disk.name}`;
        await engine.diskAdd({
          name: disk.name,
          image: disk.image,
          statePrefix,
          socket: paths.disk(disk.name),
        });
      }
      const taps = spec.nic.map((nic, index) => {
        const tap = tapName(spec.name, index);
        const bridge = nic.bridge ?? host.lan?.bridge ?? "";
        return { tap, nic: engine.nicAdd({ tap, bridge, socket: paths.nic(index) }) };
      });
      const lease = host.fencing.kernel_lease
        ? await NftLease.install({
          taps,
          lease_ms: kernelLeaseMs(host.heartbeat.takeover_ms),
          leased: ({ nic, secret, lease_ms }) => engine.nicLease({ nic, secret, leaseUs: lease_ms * 1000 }),
        })
        : undefined;
      return new Machine(options, { engine, runDir, memory, lease });
    } catch (error) {
      await engine.close();
      throw error;
    }
  }

  /** Opens the lines to the other host and starts heartbeats. */
  connect(): void {
    const { host } = this.#options;
    const { engine } = this;
    for (const [index, link] of host.link.entries()) {
      engine.heartbeatPath({ index, ...link, port: host.port + index });
      engine.linkAdd({ index, ...link, port: host.port + index, listen: listens(link) });
    }
    if (host.lan !== undefined) {
      const { local, peer } = host.lan;
      engine.heartbeatPath({ index: 2, local, peer, port: host.port + 2 });
    }
    engine.heartbeatStart({
      intervalUs: Math.round(host.heartbeat.interval_ms * 1000),
      silenceUs: Math.round(host.heartbeat.takeover_ms * 1000),
      reference: host.lan?.reference ?? "",
      lan: host.lan?.reference === undefined ? "" : host.lan.bridge,
    });
  }

  /** Other lines and another secret, while the VM runs alone; `replaced` hears up to when events are of the old peer. Throws EngineError, without or
   * after that. */
  relink(to: NewLines, replaced: (since_us: number) => void): void {
    const since = new BigUint64Array(1);
    try {
      this.engine.relink({ ...to, since });
    } finally {
      if (since[0] !== 0n) replaced(Number(since[0]));
    }
  }

  /** What keeps this host silent once it was taken over. */
  get fencing(): Fencing {
    return this.#lease?.state ??
      { fencing: "gate only", why: "kernel_lease is false in the host's file", hint: "Set it to true." };
  }

  /** Looks after the kernel's lease, where there is to be one; returns what an operator should know, or undefined. */
  async checkFencing(): Promise<string | undefined> {
    return await this.#lease?.check();
  }

  /** QEMU's RAM blocks; none before the engine has learned them. */
  get blocks(): { name: string; bytes: number }[] {
    return this.#attached === this.#qemu && this.#qemu !== undefined ? this.engine.blocks() : [];
  }

  /** The VM's machine type, always a versioned one: as it has it, or as it will get it. */
  get machineType(): string {
    return this.#machineType;
  }

  get qemuKind(): QemuKind {
    return this.#options.qemu;
  }

  /** The protocols between two hosts that the engine speaks. */
  get protocol(): { oldest: number; newest: number } {
    const both = this.#options.library.calls.isf_protocol();
    return { oldest: both & 0xffff, newest: both >>> 16 };
  }

  get accel(): "kvm" | "tcg" {
    return this.#options.accel;
  }

  get qemuRuns(): boolean {
    return this.#qemu !== undefined;
  }

  /** The monitor of the QEMU that runs. */
  get qemu(): QemuProcess {
    if (this.#qemu !== undefined) return this.#qemu;
    throw new EdgeError("QEMU does not run", { op: "use QEMU", hint: "Start the VM first." });
  }

  /** Starts QEMU, stopped: as primary, or as standby, which then waits for device state, and has the primary's `machine` type. The type
   * is on stable storage before: who starts the VM again later gives it the same. */
  async start(role: HostSide["role"], machine = this.#machineType): Promise<void> {
    await this.kill();
    if (this.#typeFile.read() !== machine) await this.#typeFile.write(machine);
    this.#machineType = machine;
    const { spec, host, accel, shim } = this.#options;
    const user = host.qemu_user;
    const owner = user === undefined ? undefined : userIds(user);
    const side: HostSide = {
      role,
      runDir: this.runDir,
      dataDir: host.data_dir,
      memoryPath: this.#memoryPath,
      accel,
      machine,
      ...(user === undefined ? {} : { user }),
    };
    if (owner !== undefined) {
      const nics = vmPaths(this.runDir);
      for (const index of spec.nic.keys()) Deno.chownSync(nics.nic(index), owner.uid, owner.gid);
    }
    const qemu = await QemuProcess.start({
      binary: host.qemu,
      args: commandLine(spec, side),
      runDir: this.runDir,
      shim,
      ...(owner === undefined ? {} : { owner }),
    });
    this.#qemu = qemu;
    this.stands = true;
    qemu.exited.then((exit) => {
      if (this.#qemu !== qemu) return; // we ended it
      this.#qemu = undefined;
      this.onQemuExit(exit);
    });
    const paths = vmPaths(this.runDir);
    await this.engine.qemuAttach({
      pid: qemu.pid,
      qmp: paths.engineQmp,
      fifo: paths.fifo,
      uid: owner?.uid ?? 0,
      tracker: 0,
    });
    this.#attached = qemu;
    if (role === "standby") {
      const monitor = await qemu.monitor();
      await monitor.execute("migrate-incoming", { arguments: { uri: `unix:${paths.incoming}` } });
    }
  }

  /** Loads the copy's device state and RAM blocks into the standby QEMU. The VM still stands still. */
  async restore(): Promise<void> {
    const qmp = await this.qemu.monitor();
    const deadline = performance.now() + RESTORE_MS;
    await this.engine.restore(vmPaths(this.runDir).incoming);
    for (;;) {
      const { status } = await qmp.execute("query-migrate") as { status?: string };
      if (status === "completed") break;
      if (status === "failed" || performance.now() > deadline) {
        throw new EdgeError(`The standby QEMU did not take the device state: ${status ?? "no answer"}`, {
          op: "restore the VM",
          hint: "Both hosts need the same machine type and devices; see QEMU's messages.",
        });
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await this.engine.restoreBlocks();
  }

  /** Lets the VM run. */
  async continue(): Promise<void> {
    const { qemu } = this;
    await (await qemu.monitor()).execute("cont");
    this.stands = false;
    await qemu.releaseMonitor();
  }

  /** Presses the guest's power button: it powers itself off if it heeds that. Throws when no QEMU runs here. */
  async powerButton(): Promise<void> {
    const { qemu } = this;
    await (await qemu.monitor()).execute("system_powerdown");
    await qemu.releaseMonitor();
  }

  /** Ends QEMU at once, if it runs. */
  async kill(): Promise<void> {
    const qemu = this.#qemu;
    this.#qemu = undefined;
    const gone = qemu?.kill();
    await this.engine.qemuDetach(); // also from one that ended by itself
    await gone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await this.engine.close();
    await this.#lease?.[Symbol.asyncDispose]();
  }
}
