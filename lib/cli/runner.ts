/** `iservft-edge runner`: one VM's member on this host, in the foreground. */

import { parseArgs } from "node:util";
import { EngineLibrary } from "../../ffi/engine.ts";
import { makeDurableDirectory } from "../durable_directory.ts";
import { EdgeError } from "../errors.ts";
import { arbiterOf } from "../group/arbiter.ts";
import { ControlServer } from "../group/control_socket.ts";
import { LastRun } from "../group/last_run.ts";
import { metadataFile, MetadataStore } from "../group/metadata.ts";
import { Pacing } from "../group/pacing.ts";
import { checkRelink, yieldsTies } from "../group/relink.ts";
import { Runner } from "../group/runner.ts";
import type { HostFacts } from "../replication/compatibility.ts";
import { chooseAccel } from "../vm/accel.ts";
import { type HostConfig, readHostConfig, readKey, rhythmOf } from "../vm/host_config.ts";
import { Machine } from "../vm/machine.ts";
import { sayState } from "../vm/nft_lease.ts";
import { qemuMachines, qemuVersion } from "../vm/qemu.ts";
import { readSpec, servedDisks, type VmSpec } from "../vm/spec.ts";
import { specKeys } from "../vm/spec_keys.ts";
import { logForm } from "../observe/log.ts";
import { arbiterKey, openArbiter } from "./arbiters.ts";
import { assets } from "./assets.ts";
import type { CommandIo } from "./command.ts";
import { spokenProtocol, VERSION } from "./version.ts";
import { openWatchdog, watchdogState, watchWatchdog } from "./watchdog.ts";

/** How often the kernel's lease is looked at: a firewall that is reloaded may remove it. */
const FENCING_LOOK_MS = 5000;
const USAGE = `usage: iservft-edge runner --vm VM.toml --host HOST.toml [--start] [--json]

Runs this host's part of one protected VM: start one on each of the two hosts. On the host where the VM is to
begin the first time give --start; afterwards the pair knows by itself. Ends with the VM, by SIGTERM or Ctrl-C.

  --vm FILE      the VM, the same file on both hosts
  --host FILE    this host
  --start        start the VM here, if it was never started
  --no-protect   the VM stays alone where it runs, until somebody says protect
  --json         events as lines of JSON on standard output
  --times        each line with the time of day
  --no-output-commit   for demonstrations only: releases output before it is safe
  --no-term-check      for tests only: the VM goes on here although the other host has it in a newer term`;

interface Arguments {
  vm: string;
  host: string;
  start: boolean;
  protect: boolean;
  json: boolean;
  times: boolean;
  unsafe: boolean;
  zombie: boolean;
}

function readArguments(args: string[], io: CommandIo): Arguments | number {
  try {
    const { values } = parseArgs({
      args,
      options: {
        vm: { type: "string" },
        host: { type: "string" },
        start: { type: "boolean", default: false },
        "no-protect": { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        times: { type: "boolean", default: false },
        "no-output-commit": { type: "boolean", default: false },
        "no-term-check": { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      io.out(USAGE);
      return 0;
    }
    if (values.vm === undefined || values.host === undefined) throw new Error("--vm and --host are needed");
    const { vm, host, start, json, times } = values;
    return {
      ...{ vm, host, start, json, times },
      protect: !values["no-protect"],
      unsafe: values["no-output-commit"],
      zombie: values["no-term-check"],
    };
  } catch (error) {
    io.err(`error: ${error instanceof Error ? error.message : error}`);
    io.err(USAGE);
    return 2;
  }
}

/** What the other host's must go together with. */
async function hostFacts(spec: VmSpec, host: HostConfig, machine: Machine): Promise<HostFacts> {
  const { version, machines } = machine.qemuKind;
  const protocol = spokenProtocol(machine.protocol);
  return {
    versions: { program: VERSION, protocol, qemu: version, machines },
    node: host.node,
    spec: await specKeys(spec),
    specMachine: spec.machine,
    identity: {
      // Each host's lease is made for the other's waiting: host_config.ts, leaseProblem.
      "heartbeat.takeover_ms": `${host.heartbeat.takeover_ms}`,
      "heartbeat.interval_ms": `${host.heartbeat.interval_ms}`,
      // Two arbiters would grant two terms.
      arbiter: arbiterKey(spec, host),
      // What "auto" became: one accelerator's device state is nothing to the other.
      "the accelerator (accel in the VM's file)": machine.accel,
    },
  };
}

function needRoot(): void {
  if (Deno.uid() === 0) return;
  throw new EdgeError("A runner needs root: it makes network interfaces and watches QEMU's memory", {
    op: "start the runner",
    hint: "Run it as root, e.g. with sudo.",
  });
}

async function openMachine(spec: VmSpec, host: HostConfig): Promise<Machine> {
  const found = assets();
  const version = (await qemuVersion(host.qemu)).join("."); // one that is missing or too old is named as such
  const machines = await qemuMachines(host.qemu);
  const cache = {
    file: `${host.data_dir}/kvm.json`,
    bootId: Deno.readTextFileSync("/proc/sys/kernel/random/boot_id"),
  };
  const { accel } = await chooseAccel({ accel: spec.accel, cpu: spec.cpu, binary: host.qemu }, cache);
  return await Machine.open({
    library: EngineLibrary.open(host.library ?? found.library),
    spec,
    host,
    secret: readKey(host.key_file),
    shim: host.shim ?? found.shim,
    accel,
    qemu: { version, machines },
  });
}

/** Commands of the control socket. */
function controls(runner: Runner, machine: Machine, { host, file }: { host: HostConfig; file: string }) {
  const { engine } = machine;
  return (command: string, options: Record<string, unknown>): Promise<unknown> => {
    switch (command) {
      case "status":
        return Promise.resolve({
          ...runner.status(),
          pid: Deno.pid,
          ...machine.fencing,
          watchdog: watchdogState(engine, host.fencing),
          machine_type: machine.machineType,
        });
      case "start":
      case "switchover":
      case "stop":
      case "protect":
      case "unprotect":
      case "yield":
      case "confirm_peer_off":
      case "promote":
      case "discard":
        return Promise.resolve(runner.command(command));
      case "power_button":
        return machine.powerButton();
      case "verify":
        return Promise.resolve(engine.verify());
      case "relink": {
        const next = readHostConfig(file);
        checkRelink(host, next);
        return Promise.resolve(runner.relink({ host: next, secret: readKey(next.key_file) }));
      }
      case "failpoint":
        return Promise.resolve(
          engine.failpoint(
            String(options["name"]),
            ([0, 2, 3, 4] as const).find((action) => action === options["action"]) ?? 1,
          ),
        );
    }
    throw new EdgeError(`There is no command ${JSON.stringify(command)}`, {
      op: "ask the runner",
      hint:
        "Commands: status, start, protect, unprotect, switchover, stop, power_button, yield, confirm_peer_off, promote, discard, relink, verify.",
    });
  };
}

function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => resolve());
  });
}

/** True of the change by which the VM is down although nobody stopped it: it did not start, or ended with no backup. */
function endsInFailure(event: Record<string, unknown>): boolean {
  return event["event"] === "state" && event["to"] === "stopped" && event["from"] !== "stopping" &&
    event["from"] !== "stopped";
}

/** Says what keeps this host silent once it was taken over, and looks after it. */
function watchFencing(machine: Machine, report: (event: Record<string, unknown>) => void): Disposable {
  const say = (text: string) =>
    report({ event: "alarm", t_us: machine.engine.clockUs(), code: "fencing", text, ...machine.fencing });
  if (machine.fencing.fencing === "gate only") say(sayState(machine.fencing));
  let looking = false;
  const timer = setInterval(async () => {
    if (looking) return;
    looking = true;
    const text = await machine.checkFencing();
    looking = false;
    if (text !== undefined) say(text);
  }, FENCING_LOOK_MS);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** A line for a person; undefined for what only a program wants. */
function line(event: Record<string, unknown>): string | undefined {
  switch (event["event"]) {
    case "state":
      return String(event["sentence"]);
    case "alarm":
      return `alarm: ${event["text"]}`;
    case "problem":
      return `error: ${event["text"]}`;
    case "link":
      return `link ${event["link"] === 0 ? "A" : "B"} is ${event["up"] ? "up" : `lost: ${event["reason"]}`}`;
    case "refused":
      return `refused: ${event["what"]}`;
    case "promoted":
      return `the VM goes on here, from epoch ${event["epoch"]}`;
    case "watchdog":
      return ["absent", "unfit", "busy"].includes(String(event["state"]))
        ? `no watchdog: ${event["why"]}`
        : undefined;
    case "recovered":
    case "versions":
      return String(event["text"]);
    case "verified":
      return verdict(event);
  }
  return undefined;
}

function verdict(event: Record<string, unknown>): string {
  const wrong = ["memory", "blocks", "device", "disk"].filter((part) => event[part] !== true);
  return wrong.length === 0
    ? `verified: at epoch ${event["epoch"]} the backup is byte for byte the primary`
    : `error: at epoch ${event["epoch"]} the backup differs from the primary in: ${wrong.join(", ")}`;
}

/** The line as journald wants it: one, with its priority before it (sd-daemon(3)). */
function journalLine(event: Record<string, unknown>, text: string): string {
  const kind = event["event"];
  const wrong = kind === "problem" || (kind === "verified" && line(event)?.startsWith("error"));
  const odd = kind === "alarm" || kind === "refused" || (kind === "link" && !event["up"]);
  return `<${wrong ? 3 : odd ? 4 : 6}>${text.replace(/\s*\n\s*/g, " ")}`;
}

/** Runs the command. */
export async function run(args: string[], io: CommandIo): Promise<number> {
  const given = readArguments(args, io);
  if (typeof given === "number") return given;
  const spec = readSpec(given.vm);
  const host = readHostConfig(given.host);
  needRoot();
  makeDurableDirectory(host.data_dir, 0o700);
  Deno.mkdirSync(host.run_dir, { recursive: true, mode: 0o711 });
  // Sockets of QEMU and of the engine are as good as root, and as the disks: nobody else's, whatever whoever starts this has set.
  Deno.umask(0o077);
  // Read first: what a newer program wrote there ends this one before it has changed anything.
  const store = new MetadataStore(metadataFile(`${host.data_dir}/${spec.name}/group.meta`));
  const machine = await openMachine(spec, host);
  openWatchdog(machine.engine, host.fencing);
  if (given.unsafe) machine.engine.noOutputCommit();
  const signalled = untilSignal();
  const servers: ControlServer[] = [];
  let failed = false;
  let said: string | undefined;
  const journal = !given.json && logForm(undefined) === "journal";
  const report = (event: Record<string, unknown>) => {
    for (const server of servers) server.broadcast(event);
    failed ||= endsInFailure(event);
    const text = given.json ? JSON.stringify(event) : line(event);
    const at = given.times ? `${new Date().toISOString()} ` : "";
    if (text !== undefined && text !== said) io.out(journal ? journalLine(event, at + text) : at + text); // a state's steps have one sentence
    if (text !== undefined) said = text;
  };
  await using runner = new Runner({
    machine,
    store,
    settings: {
      arbiter: arbiterOf(host.arbiter),
      peerName: "the other host",
      onStall: "wait",
      autoProtect: given.protect,
      yieldsTies: yieldsTies(host),
      ...(given.zombie ? { termCheck: false } : {}),
    },
    facts: await hostFacts(spec, host, machine),
    takeoverMs: host.heartbeat.takeover_ms,
    heartbeatMs: host.heartbeat.interval_ms,
    disks: servedDisks(spec, host.data_dir),
    restorePoints: `${host.data_dir}/${spec.name}/restore-points`,
    remote: openArbiter(spec, host),
    lastRun: new LastRun({
      file: `${host.data_dir}/${spec.name}/last-run.json`,
      disks: servedDisks(spec, host.data_dir),
      problem: (text) => report({ event: "problem", text }),
    }),
    start: given.start,
    report,
    pace: new Pacing({
      engine: machine.engine,
      policy: spec.degradation,
      rhythm: rhythmOf(host),
      report,
      dispatch: (event) => runner.dispatch(event),
    }),
  });
  await using control = new ControlServer(
    `${machine.runDir}/runner.sock`,
    controls(runner, machine, { host, file: given.host }),
  );
  servers.push(control);
  runner.begin();
  using _fencing = watchFencing(machine, report);
  using _watchdog = watchWatchdog(machine.engine, { fencing: host.fencing, report });
  await Promise.race([signalled, runner.ended]);
  return failed ? 1 : 0;
}
