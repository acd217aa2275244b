/** Starts runners so that they outlive whoever started them: as units of systemd where it is the init, else as processes in sessions of
 * their own. A lock that the runner itself holds keeps it the only one of its VM on this host, whatever becomes of us. */

import { EdgeError } from "../../errors.ts";

/** What `flock` ends with when another runner has the lock. */
export const LOCKED = 98;
const LOOK_MS = 250;

/** One runner to be started. */
export interface Launch {
  vm: string;
  /** The whole command. */
  words: readonly string[];
  /** Where its output goes, when not to the journal. */
  log: string;
  lock: string;
  pidFile: string;
}

/** A process, told apart from another one that has its number later. */
export interface ProcessId {
  pid: number;
  /** Clock ticks from boot to its start. */
  start: string;
}

/** Reads a process's start from /proc; null: there is none, or it is dead. */
export function processId(pid: number): ProcessId | null {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [state = "X"] = fields;
    return "XZ".includes(state) ? null : { pid, start: fields[19] ?? "" };
  } catch {
    return null;
  }
}

/** A runner that runs, whoever started it. */
export class RunnerProcess {
  readonly id: ProcessId;
  /** Its exit code; null: not known, since it was not we who started it. */
  readonly ended: Promise<number | null>;
  #over = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #letGo: (() => void) | undefined;

  private constructor(id: ProcessId, status: Promise<number | null> | undefined) {
    this.id = id;
    this.ended = (status ?? this.#watch()).then((code) => {
      this.#over = true;
      return code;
    });
  }

  /** One that we started. */
  static child(id: ProcessId, status: Promise<number | null>): RunnerProcess {
    return new RunnerProcess(id, status);
  }

  /** One that runs already. */
  static adopt(id: ProcessId): RunnerProcess {
    return new RunnerProcess(id, undefined);
  }

  get alive(): boolean {
    return !this.#over && processId(this.id.pid)?.start === this.id.start;
  }

  signal(name: Deno.Signal): void {
    try {
      if (this.alive) Deno.kill(this.id.pid, name);
    } catch {
      // it has ended meanwhile
    }
  }

  /** Stops watching it; it goes on. */
  letGo(): void {
    clearTimeout(this.#timer);
    this.#letGo?.();
  }

  #watch(): Promise<null> {
    return new Promise((resolve) => {
      this.#letGo = () => resolve(null);
      const look = () => {
        if (processId(this.id.pid)?.start !== this.id.start) return resolve(null);
        this.#timer = setTimeout(look, LOOK_MS);
      };
      look();
    });
  }
}

export interface Launcher {
  /** Starts a runner. Throws EdgeError when it cannot be started; a runner that ends at once with LOCKED found another one. */
  start(launch: Launch): Promise<RunnerProcess>;
  /** The newest lines that runners of this VM wrote. */
  log(launch: Pick<Launch, "vm" | "log">, lines: number): Promise<string[]>;
}

/** Makes the lock, if it is not there: who may read it may hold it, and would be taken for the runner. */
function makeLock({ lock }: Launch): void {
  Deno.openSync(lock, { write: true, create: true, mode: 0o600 }).close();
  Deno.chmodSync(lock, 0o600);
}

/** The words that hold the lock for as long as the command runs, and whatever it starts. */
function locked({ lock, words }: Launch): string[] {
  return ["flock", "--no-fork", "--nonblock", "--conflict-exit-code", `${LOCKED}`, lock, ...words];
}

/** What is in the pid file; null: nothing that runs. */
export function readPidFile(path: string): ProcessId | null {
  try {
    const [pid = "", start = ""] = Deno.readTextFileSync(path).trim().split(" ");
    const found = processId(Number(pid));
    return found !== null && found.start === start ? found : null;
  } catch {
    return null;
  }
}

/** Who has the lock, by the kernel's own list; null: nobody. */
export function lockHolder(lock: string): ProcessId | null {
  let inode: number | null;
  try {
    inode = Deno.statSync(lock).ino;
  } catch {
    return null;
  }
  for (const line of Deno.readTextFileSync("/proc/locks").split("\n")) {
    const [, kind, , , pid, file] = line.trim().split(/\s+/);
    if (kind !== "FLOCK" || file?.split(":")[2] !== String(inode)) continue;
    const id = processId(Number(pid));
    if (id !== null && holdsOpen(id.pid, lock)) return id;
  }
  return null;
}

/** Inode numbers repeat from one file system to another. */
function holdsOpen(pid: number, path: string): boolean {
  try {
    for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
      if (Deno.readLinkSync(`/proc/${pid}/fd/${name}`) === path) return true;
    }
  } catch {
    // it has ended meanwhile
  }
  return false;
}

function cannot(what: string, cause?: unknown): EdgeError {
  return new EdgeError(what, {
    op: "start a runner",
    hint: "See what it says; is the program still where it was?",
    cause,
  });
}

function writePid(path: string, { pid, start }: ProcessId): void {
  Deno.writeTextFileSync(path, `${pid} ${start}\n`, { mode: 0o600 });
}

/** Runners as processes of their own. */
export class ProcessLauncher implements Launcher {
  start(launch: Launch): Promise<RunnerProcess> {
    const script = 'exec "$@" >>"$0" 2>&1 </dev/null';
    Deno.writeTextFileSync(launch.log, "", { append: true, mode: 0o600 });
    makeLock(launch);
    const child = new Deno.Command("sh", {
      args: ["-c", script, launch.log, ...locked(launch)],
      stdin: "null",
      stdout: "null",
      stderr: "null",
      detached: true,
    }).spawn();
    child.unref();
    const status = child.status.then(({ code }) => code);
    const id = processId(child.pid);
    if (id === null) return Promise.reject(cannot("The runner ended at once"));
    writePid(launch.pidFile, id);
    return Promise.resolve(RunnerProcess.child(id, status));
  }

  log({ log }: Pick<Launch, "vm" | "log">, lines: number): Promise<string[]> {
    return Promise.resolve(tail(log, lines));
  }
}

/** The unit of a VM's runner. */
export function unitOf(vm: string): string {
  return `iservft-edge-vm-${vm}`;
}

/** What a runner's unit has. QEMU and what else it started end with it, and it has time to end them itself. At the machine's end it is ended after
 * the service, which would start it again, and before the network and the firewall. What it may not do is what neither it nor QEMU
 * ever does; it makes interfaces, sets their sysctls, reads QEMU's memory, and may have its images anywhere. */
const UNIT_PROPERTIES = [
  ...["KillMode=mixed", "TimeoutStopSec=30", "OOMScoreAdjust=-900", "LimitNOFILE=65536"],
  ...["Before=iservft-edge.service", "After=network.target nftables.service"],
  ...["NoNewPrivileges=yes", "ProtectSystem=full", "ProtectKernelModules=yes", "ProtectKernelLogs=yes"],
  ...["ProtectControlGroups=yes", "ProtectHostname=yes", "RestrictNamespaces=yes", "RestrictRealtime=yes"],
  ...["RestrictSUIDSGID=yes", "LockPersonality=yes", "SystemCallArchitectures=native"],
  "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET",
  "CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_KILL CAP_SETUID CAP_SETGID CAP_SETPCAP " +
  "CAP_SYS_ADMIN CAP_SYS_PTRACE CAP_SYS_RESOURCE CAP_SYS_NICE CAP_NET_ADMIN CAP_NET_RAW CAP_NET_BIND_SERVICE CAP_IPC_LOCK",
];

/** The words that keep the unpacked program where it is for as long as the command runs: an upgrade removes what nobody holds
 * (build/launcher/leftovers.c), and a unit inherits no lock of ours. */
function held(assets: string | undefined): string[] {
  return assets === undefined || assets === ""
    ? []
    : ["flock", "--no-fork", "--nonblock", "--shared", `${assets}/in-use`];
}

/** The words that start a runner as a transient unit. It has our environment where that says which program we are. */
export function unitWords(launch: Launch, environment: Readonly<Record<string, string>>): string[] {
  const kept = Object.entries(environment).filter(([name]) => /^(ISERVFT|DENO)_|^(PATH|HOME)$/.test(name));
  return [
    ...["systemd-run", "--quiet", "--collect", `--unit=${unitOf(launch.vm)}`],
    `--description=iservft-edge: VM ${launch.vm}`,
    ...[...UNIT_PROPERTIES, `SyslogIdentifier=${unitOf(launch.vm)}`].map((one) => `--property=${one}`),
    ...kept.map(([name, value]) => `--setenv=${name}=${value}`),
    ...held(environment["ISERVFT_ASSETS"]),
    ...locked(launch),
  ];
}

/** Runners as units of systemd. */
export class SystemdLauncher implements Launcher {
  async start(launch: Launch): Promise<RunnerProcess> {
    makeLock(launch);
    await run(unitWords(launch, Deno.env.toObject()));
    const shown = await run(["systemctl", "show", "--property=MainPID", "--value", unitOf(launch.vm)]);
    const id = processId(Number(shown.trim()));
    if (id === null) throw cannot(`The runner of ${launch.vm} ended at once`);
    writePid(launch.pidFile, id);
    return RunnerProcess.adopt(id);
  }

  async log({ vm }: Pick<Launch, "vm" | "log">, lines: number): Promise<string[]> {
    const text = await run([
      // Its own lines: what systemd says of a unit that failed would push out the one that says why.
      ...[
        "journalctl",
        `_SYSTEMD_UNIT=${unitOf(vm)}.service`,
        `--lines=${lines}`,
        "--output=cat",
        "--no-pager",
      ],
    ]);
    return text.split("\n").filter((line) => line !== "");
  }
}

async function run(words: readonly string[]): Promise<string> {
  const [command = "", ...args] = words;
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(10_000),
  }).output();
  if (!success) throw cannot(`${command}: ${new TextDecoder().decode(stderr).trim()}`);
  return new TextDecoder().decode(stdout);
}

/** True when systemd is this machine's init, we are root under it, and not in a network of our own (where its units would not be). */
export function underSystemd(): boolean {
  try {
    const same = Deno.readLinkSync("/proc/1/ns/net") === Deno.readLinkSync("/proc/self/ns/net");
    return Deno.uid() === 0 && same && Deno.statSync("/run/systemd/system").isDirectory;
  } catch {
    return false;
  }
}

/** How much of a log is looked at for its newest lines. */
const TAIL_BYTES = 256 * 1024;

/** The newest lines of a file; none when it is not there. */
export function tail(path: string, lines: number): string[] {
  try {
    using file = Deno.openSync(path);
    const { size } = file.statSync();
    const from = Math.max(0, size - TAIL_BYTES);
    file.seekSync(from, Deno.SeekMode.Start);
    const bytes = new Uint8Array(size - from);
    let read = 0;
    while (read < bytes.length) {
      const got = file.readSync(bytes.subarray(read));
      if (got === null) break;
      read += got;
    }
    const all = new TextDecoder().decode(bytes.subarray(0, read)).split("\n");
    if (from > 0) all.shift(); // cut in the middle
    return all.filter((line) => line !== "").slice(-lines);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Keeps a log that somebody appends to within a bound: what it holds becomes PATH.1, and it begins anew. */
export function rotate(path: string, bytes: number): void {
  try {
    if (Deno.statSync(path).size <= bytes) return;
    Deno.copyFileSync(path, `${path}.1`);
    Deno.truncateSync(path, 0);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
