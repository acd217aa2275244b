/** A host of the lab that boots: a small root of its own with this machine's /usr in it, and systemd as its first process, in namespaces (mount,
 * process, cgroup, host name) of its own. What is installed there is installed nowhere else. */

import { NodeApi } from "../../lib/lab/node_api.ts";
import type { Lab } from "../../lib/lab/lab.ts";
import type { Host } from "../../lib/lab/places.ts";
import { cgroupRoot } from "../../lib/lab/processes.ts";

const BOOT_MS = 60_000;
const END_MS = 60_000;
const COMMAND_MS = 120_000;
const LOOK_MS = 50;

/** Of this machine's /etc: what programs need to start, and the users that Debian's packages have. */
const ETC = [
  "ld.so.cache",
  "ld.so.conf",
  "ld.so.conf.d",
  "alternatives",
  "ssl",
  "passwd",
  "group",
  "shadow",
  "nsswitch.conf",
];
/** Units that a machine for one purpose does without. */
const MASKED = [
  ...["getty.target", "systemd-logind.service", "dbus.service", "dbus.socket", "systemd-binfmt.service"],
  ...["systemd-journald-audit.socket", "systemd-firstboot.service", "systemd-tmpfiles-clean.timer"],
  ...["dev-hugepages.mount", "proc-sys-fs-binfmt_misc.automount", "systemd-ask-password-wall.path"],
  ...["sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-fs-fuse-connections.mount"],
];
/** What is in /dev: name, numbers, mode. */
const DEVICES = [
  ...["null 1 3 666", "zero 1 5 666", "full 1 7 666", "random 1 8 666", "urandom 1 9 666"],
  ...["tty 5 0 666", "net/tun 10 200 666", "kvm 10 232 600"],
];

/** In the new namespaces, as process 1: the root is put together, everything else is let go of, and systemd begins. */
const BOOT = `set -eu
root=$1 name=$2 given=$3
mount --make-rprivate /
mount --bind "$root" "$root"
mount --bind /usr "$root/usr"
mount -o remount,bind,ro "$root/usr"
mount --bind "$root/../local" "$root/usr/local"
mount --bind "$given" "$root/srv"
mount -o remount,bind,ro "$root/srv"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount --bind "$root/proc/sys/net" "$root/proc/sys/net"
mount -o remount,bind,rw "$root/proc/sys/net"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -o remount,bind,ro "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/net" "$root/dev/pts" "$root/dev/shm"
while read -r device major minor mode; do
  mknod -m "$mode" "$root/dev/$device" c "$major" "$minor"
done <"$root/../devices"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
hostname "$name"
cd "$root"
pivot_root . .old
umount -l /.old
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin container=iservft-lab \\
  /usr/lib/systemd/systemd --log-target=journal --show-status=no --default-standard-output=journal
`;

/** What a command in the machine gave. */
export interface Said {
  code: number;
  out: string;
  err: string;
}

export interface BootingHostOptions {
  lab: Lab;
  host: Host;
  /** A directory for all that it has; made, not removed. */
  directory: string;
  /** Its name. */
  name: string;
  /** The directory that is /srv in it, not to be written there. */
  given: string;
}

/** One machine. */
export class BootingHost implements AsyncDisposable {
  readonly #options: BootingHostOptions;
  #outer: Deno.ChildProcess | null = null;
  #ended: Promise<unknown> = Promise.resolve();
  #pid = 0;
  /** What was said outside of its journal. */
  #last = "";
  #api: NodeApi | null = null;

  private constructor(options: BootingHostOptions) {
    this.#options = options;
  }

  /** Writes its disk. It is off. */
  static async create(options: BootingHostOptions): Promise<BootingHost> {
    const { directory, name } = options;
    const root = `${directory}/root`;
    const made = [
      "dev",
      "proc",
      "sys",
      "run",
      "tmp",
      "srv",
      "usr",
      "root",
      "home",
      ".old",
      "etc/systemd/system",
    ];
    made.push("var/log/journal", "var/lib", "var/cache", "var/tmp", "../local/bin");
    for (const path of made) await Deno.mkdir(`${root}/${path}`, { recursive: true });
    for (const path of ["bin", "sbin", "lib", "lib64", "lib32"]) {
      await Deno.symlink(`usr/${path}`, `${root}/${path}`);
    }
    await Deno.symlink("/run", `${root}/var/run`);
    await Deno.chmod(`${root}/tmp`, 0o1777);
    const copied = ETC.filter((path) => there(`/etc/${path}`)).map((path) => `/etc/${path}`);
    await done(["cp", "-a", ...copied, `${root}/etc/`]);
    for (const unit of MASKED) await Deno.symlink("/dev/null", `${root}/etc/systemd/system/${unit}`);
    await Deno.symlink(
      "/usr/lib/systemd/system/multi-user.target",
      `${root}/etc/systemd/system/default.target`,
    );
    const id = crypto.randomUUID().replaceAll("-", "");
    const texts = {
      "etc/machine-id": `${id}\n`,
      "etc/hostname": `${name}\n`,
      "etc/hosts": `127.0.0.1 localhost ${name}\n`,
      "etc/fstab": "",
      "etc/os-release": 'ID=debian\nPRETTY_NAME="a machine of the lab"\n',
      "../devices": DEVICES.map((line) => `${line}\n`).join(""),
      // What was made for this /usr needs no making again.
      "etc/.updated": "",
      "var/.updated": "",
    };
    for (const [path, text] of Object.entries(texts)) await Deno.writeTextFile(`${root}/${path}`, text);
    return new BootingHost(options);
  }

  /** Process 1, as this machine numbers it. */
  get pid(): number {
    if (this.#outer === null) throw new Error(`host ${this.#options.host} is off`);
    return this.#pid;
  }

  /** A path of the machine, as this one sees it while that one is on. */
  path(path: string): string {
    return `/proc/${this.pid}/root${path}`;
  }

  /** The API of the node in it. */
  get api(): NodeApi {
    return this.#api ??= new NodeApi(this.path("/run/iservft-edge/serve.sock"));
  }

  /** Switches it on; resolves when systemd has started everything. */
  async boot(): Promise<void> {
    const { lab, host, directory, name, given } = this.#options;
    // Of its own: systemd wants to be at the root of what it sees.
    const words = [
      "unshare",
      "--mount",
      "--uts",
      "--ipc",
      "--pid",
      "--cgroup",
      "--fork",
      "--kill-child",
      "--",
    ];
    const outer = lab.exec(host, [...words, "sh", "-c", BOOT, "boot", `${directory}/root`, name, given], {
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    });
    const said = new Response(outer.stderr).text();
    this.#outer = outer;
    this.#ended = Promise.all([outer.status, said]).then(([, text]) => {
      this.#outer = null;
      this.#last = text.trim();
    });
    await this.#until(() => {
      const child = childOf(outer.pid);
      const isInit = child !== null && commOf(child) === "systemd";
      if (isInit) this.#pid = child;
      return Promise.resolve(isInit);
    }, "systemd to be process 1");
    await this.#until(async () => {
      const { out } = await this.run(["systemctl", "is-system-running"]);
      return /^(running|degraded)$/.test(out.trim());
    }, "the machine to be up");
  }

  /** As its power button does; resolves when nothing of it runs. */
  async poweroff(): Promise<void> {
    await this.run(["systemctl", "poweroff"]);
    await this.ended(END_MS);
  }

  /** Resolves when it is off. */
  async ended(bound_ms: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) =>
      timer = setTimeout(() => reject(new Error(`host ${this.#options.host} does not switch off`)), bound_ms)
    );
    await Promise.race([this.#ended, late]).finally(() => clearTimeout(timer));
    this.#forget();
  }

  /** Runs a command in it, as root, beside what systemd runs. */
  async run(words: readonly string[], input = ""): Promise<Said> {
    const into = ["nsenter", "--target", `${this.pid}`, "--all", "--"];
    const environment = ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "HOME=/root"];
    const child = new Deno.Command(into[0]!, {
      args: [...into.slice(1), ...environment, ...words],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      signal: AbortSignal.timeout(COMMAND_MS),
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(input)).catch(() => {});
    await writer.close().catch(() => {});
    const { code, stdout, stderr } = await child.output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, out: text(stdout), err: text(stderr) };
  }

  /** Runs a command in it. Throws when it fails. */
  async must(words: readonly string[]): Promise<string> {
    const { code, out, err } = await this.run(words);
    if (code === 0) return out;
    throw new Error(`${words.join(" ")} ended with code ${code}: ${out}${err}`);
  }

  /** Kills what is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#outer !== null) {
      try {
        Deno.kill(this.#pid === 0 ? this.#outer.pid : this.#pid, "SIGKILL");
      } catch {
        // It has ended.
      }
      await this.ended(END_MS);
    }
    this.#forget();
    const { lab, host } = this.#options;
    const root = cgroupRoot();
    if (root !== undefined) removeBelow(`${root}/isf${lab.id}/${host}`);
  }

  #forget(): void {
    this.#api?.[Symbol.dispose]();
    this.#api = null;
    this.#pid = 0;
  }

  async #until(ready: () => Promise<boolean>, what: string): Promise<void> {
    const end = performance.now() + BOOT_MS;
    while (!await ready()) {
      if (this.#outer === null) {
        throw new Error(`host ${this.#options.host} ended before ${what}: ${this.#last}`);
      }
      if (performance.now() > end) throw new Error(`host ${this.#options.host}: waited in vain for ${what}`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }
}

function there(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

async function done([program = "", ...args]: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args, stdin: "null" }).output();
  if (!success) throw new Error(`${program}: ${new TextDecoder().decode(stderr)}`);
}

function childOf(pid: number): number | null {
  try {
    const [child] = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim().split(" ");
    return child ? Number(child) : null;
  } catch {
    return null;
  }
}

function commOf(pid: number): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/comm`).trim();
  } catch {
    return "";
  }
}

/** Removes the cgroups that systemd made; nobody is in them any more. */
function removeBelow(path: string): void {
  if (!there(path)) return;
  for (const entry of Deno.readDirSync(path)) {
    if (!entry.isDirectory) continue;
    removeBelow(`${path}/${entry.name}`);
    try {
      Deno.removeSync(`${path}/${entry.name}`);
    } catch {
      // The lab says so when it is still there.
    }
  }
}
