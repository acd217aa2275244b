/** The QEMU process of one VM: version check, start, watch, end. */

import { EdgeError } from "../errors.ts";
import { boundedLines } from "../../ffi/events.ts";
import { vmPaths } from "./command_line.ts";
import { listedMachines } from "./machine_type.ts";
import { QmpClient } from "./qmp.ts";

/** The oldest QEMU that has what we need (netdev stream). */
const OLDEST = [7, 2] as const;
const STDERR_LINES = 40;
const STDERR_LINE_BYTES = 64 * 1024;
const START_MS = 10_000;
const QUIT_MS = 2_000;

/** QEMU is absent, too old, or ended when it should not have. */
export class QemuError extends EdgeError {
  /** The last lines that QEMU wrote. */
  readonly lastLines: readonly string[];

  constructor(
    message: string,
    details: { op: string; hint: string; lastLines?: readonly string[]; cause?: unknown },
  ) {
    super(message, details);
    this.lastLines = details.lastLines ?? [];
  }
}

/** QEMU's version as [major, minor, micro]. Throws QemuError when it is absent, hangs or is too old. */
export async function qemuVersion(binary: string): Promise<[number, number, number]> {
  const op = `run ${binary} --version`;
  const hint =
    "Install QEMU 7.2 or newer (Debian, Ubuntu: apt install qemu-system-x86), or set `qemu` in the host's file.";
  let text: string;
  try {
    const command = new Deno.Command(binary, {
      args: ["--version"],
      stdin: "null",
      stderr: "null",
      signal: AbortSignal.timeout(START_MS),
    });
    text = new TextDecoder().decode((await command.output()).stdout);
  } catch (cause) {
    throw new QemuError(`QEMU is not there: ${binary} cannot be run`, { op, hint, cause });
  }
  const found = /version (\d+)\.(\d+)(?:\.(\d+))?/.exec(text);
  if (found === null) {
    throw new QemuError(`${binary} does not say a version: "${text.slice(0, 100)}"`, { op, hint });
  }
  const version: [number, number, number] = [Number(found[1]), Number(found[2]), Number(found[3] ?? 0)];
  if (version[0] < OLDEST[0] || (version[0] === OLDEST[0] && version[1] < OLDEST[1])) {
    throw new QemuError(
      `QEMU ${version.join(".")} is too old; ${OLDEST.join(".")} is the oldest that works`,
      { op, hint },
    );
  }
  return version;
}

/** The versioned machine types that this QEMU knows. */
export async function qemuMachines(binary: string): Promise<string[]> {
  const command = new Deno.Command(binary, {
    args: ["-machine", "help"],
    stdin: "null",
    stderr: "null",
    signal: AbortSignal.timeout(START_MS),
  });
  const found = listedMachines(new TextDecoder().decode((await command.output()).stdout));
  if (found.length > 0) return found;
  throw new QemuError(`${binary} does not say which machines it knows`, {
    op: `run ${binary} -machine help`,
    hint: "Set `qemu` in the host's file to a qemu-system-x86_64.",
  });
}

/** What to do about a start that failed, by what QEMU said. */
const HINTS: readonly [RegExp, string][] = [
  [
    /KVM/i,
    'KVM does not work here: set accel = "tcg" in the VM\'s file, or switch virtualization on in the firmware.',
  ],
  [/unable to find CPU model|requested features/i, "Choose a `cpu` that this host and the other have."],
  [
    /unsupported machine type/i,
    "Both hosts need a QEMU that knows this machine: set `machine` to an older version.",
  ],
  [
    /User .* doesn't exist|-runas/i,
    "Create the user that `qemu_user` names, or remove it from the host's file.",
  ],
  [
    /Failed to connect|Connection refused|\.sock/i,
    "The engine's sockets are not there; look at the runner's messages.",
  ],
  [
    /Cannot allocate memory|cannot set up guest memory/i,
    "This host has not enough memory for the VM: lower `memory`.",
  ],
  [
    /is not a valid device model|Device .* not found|Property .* not found/i,
    "Correct `devices` in the VM's file.",
  ],
  [/could not (load|open)|No such file/i, "Check the paths in the VM's file; they must exist on both hosts."],
];

function hintFor(lines: readonly string[]): string {
  const text = lines.join("\n");
  return HINTS.find(([pattern]) => pattern.test(text))?.[1] ?? "See QEMU's last lines above.";
}

/** How a QEMU ended. */
export interface QemuExit {
  code: number;
  signal: string | null;
  lastLines: readonly string[];
}

export interface QemuStart {
  binary: string;
  /** From commandLine(). */
  args: readonly string[];
  /** Run directory of the VM; exists. */
  runDir: string;
  /** The preload shim; undefined: none, for tests. */
  shim?: string;
  /** User and group that QEMU will change to, as numbers: they get the directory for its sockets. */
  owner?: { uid: number; gid: number };
  signal?: AbortSignal;
}

/** A running QEMU. Start it by `QemuProcess.start`. */
export class QemuProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #stderr: Promise<void>;
  readonly #lines: string[] = [];
  readonly exited: Promise<QemuExit>;
  #qmp: QmpClient | undefined;
  #over = false;

  readonly #monitorPath: string;

  private constructor(child: Deno.ChildProcess, monitorPath: string) {
    this.#child = child;
    this.#monitorPath = monitorPath;
    this.#stderr = this.#collect(child.stderr);
    this.exited = this.#watch();
  }

  /** Starts QEMU and connects to its monitor. Throws QemuError with QEMU's last lines when it ends before that. */
  static async start(options: QemuStart): Promise<QemuProcess> {
    const paths = vmPaths(options.runDir);
    prepare(paths, options.owner);
    const env: Record<string, string> = {
      PATH: Deno.env.get("PATH") ?? "/usr/sbin:/usr/bin:/sbin:/bin",
      ISERVFT_RUNNER_PID: String(Deno.pid),
    };
    if (options.shim !== undefined) env["LD_PRELOAD"] = options.shim;
    let child: Deno.ChildProcess;
    try {
      child = new Deno.Command(options.binary, {
        args: [...options.args],
        // The checkpointer then names its FIFO by a short name: QEMU's monitor reads byte by byte.
        cwd: options.runDir,
        clearEnv: true,
        env,
        stdin: "null",
        stdout: "null",
        stderr: "piped",
      }).spawn();
    } catch (cause) {
      throw new QemuError(`${options.binary} cannot be started`, {
        op: "start QEMU",
        hint: "Install QEMU 7.2 or newer (Debian, Ubuntu: apt install qemu-system-x86).",
        cause,
      });
    }
    const qemu = new QemuProcess(child, paths.qmp);
    try {
      qemu.#qmp = await qemu.#monitor(paths.qmp, options.signal);
      return qemu;
    } catch (error) {
      await qemu.kill();
      throw error;
    }
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** QEMU's monitor, connected anew when it was released. */
  async monitor(): Promise<QmpClient> {
    this.#qmp ??= await QmpClient.connect(this.#monitorPath, { timeoutMs: START_MS });
    return this.#qmp;
  }

  /** Leaves the monitor: QEMU then need not report each checkpoint's stop and resume there, within the pause. */
  async releaseMonitor(): Promise<void> {
    const qmp = this.#qmp;
    this.#qmp = undefined;
    await qmp?.close();
  }

  /** What QEMU wrote last, at most 40 lines. */
  get lastLines(): readonly string[] {
    return [...this.#lines];
  }

  /** Asks QEMU to quit, and kills it when it does not within 2 s. */
  async stop(): Promise<QemuExit> {
    if (!this.#over) {
      await this.monitor().then((qmp) => qmp.execute("quit", { timeoutMs: QUIT_MS })).catch(() => {});
      const timer = setTimeout(() => this.#kill(), QUIT_MS);
      await this.exited;
      clearTimeout(timer);
    }
    return this.kill();
  }

  /** Kills QEMU at once. Returns when it is gone. */
  async kill(): Promise<QemuExit> {
    this.#kill();
    const exit = await this.exited;
    await this.#qmp?.close();
    return exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #kill(): void {
    if (!this.#over) this.#child.kill("SIGKILL");
  }

  async #watch(): Promise<QemuExit> {
    const status = await this.#child.status;
    this.#over = true;
    await this.#stderr;
    return { code: status.code, signal: status.signal, lastLines: this.lastLines };
  }

  async #collect(stderr: ReadableStream<Uint8Array>): Promise<void> {
    try {
      for await (const line of boundedLines(stderr, STDERR_LINE_BYTES)) {
        this.#lines.push(line.slice(0, 1000));
        if (this.#lines.length > STDERR_LINES) this.#lines.shift();
      }
    } catch {
      this.#lines.push("(a line that is too long; no more is read)");
    }
  }

  /** Connects as soon as the socket is there. */
  async #monitor(path: string, signal: AbortSignal | undefined): Promise<QmpClient> {
    const deadline = Date.now() + START_MS;
    const ended = this.exited.then((exit) => exit);
    for (;;) {
      signal?.throwIfAborted();
      try {
        return await QmpClient.connect(path, { ...(signal ? { signal } : {}), timeoutMs: START_MS });
      } catch (error) {
        if (this.#over) throw this.#startError(await ended);
        if (Date.now() > deadline) {
          throw new QemuError(`QEMU's monitor did not answer within ${START_MS} ms`, {
            op: "start QEMU",
            hint: hintFor(this.#lines),
            lastLines: this.lastLines,
            cause: error,
          });
        }
      }
      const pause = Promise.withResolvers<void>();
      const timer = setTimeout(pause.resolve, 10);
      await Promise.race([pause.promise, ended]);
      clearTimeout(timer);
    }
  }

  #startError(exit: QemuExit): QemuError {
    const how = exit.signal === null ? `with code ${exit.code}` : `by ${exit.signal}`;
    const said = exit.lastLines.length === 0 ? "it said nothing" : `it said:\n${exit.lastLines.join("\n")}`;
    return new QemuError(`QEMU ended at its start ${how}; ${said}`, {
      op: "start QEMU",
      hint: hintFor(exit.lastLines),
      lastLines: exit.lastLines,
    });
  }
}

/** Removes what an earlier QEMU left, and makes the directory where QEMU's user may make sockets. */
function prepare(paths: ReturnType<typeof vmPaths>, owner: { uid: number; gid: number } | undefined): void {
  for (const path of [paths.engineQmp, paths.qmp, paths.vnc, paths.serialSocket, paths.incoming]) {
    try {
      Deno.removeSync(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  Deno.mkdirSync(paths.qemuDir, { recursive: true, mode: 0o700 });
  if (owner !== undefined) Deno.chownSync(paths.qemuDir, owner.uid, owner.gid);
}

/** The ids of a user of this host. Throws EdgeError when there is none of that name. */
export function userIds(
  name: string,
  passwd = Deno.readTextFileSync("/etc/passwd"),
): { uid: number; gid: number } {
  for (const line of passwd.split("\n")) {
    const fields = line.split(":");
    if (fields[0] === name) return { uid: Number(fields[2]), gid: Number(fields[3]) };
  }
  throw new EdgeError(`There is no user ${name}`, {
    op: "find QEMU's user",
    hint:
      `Create it (useradd --system --no-create-home ${name}), or remove \`qemu_user\` from the host's file.`,
  });
}
