/** Runs qemu-img on an image that may be hostile: with limits, and as root in a jail of its own. There it is nobody, has no network, and sees
 * the image (read-only), the new disk and the programs of this host, nothing else; so whatever an image refers to is not there. */

import { ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";

/** Runs one qemu-img. `args` are made from the names that image and target have for it. */
export interface QemuImgRun {
  /** Absolute paths, without links. */
  source: string;
  target?: string;
  args: (names: { source: string; target: string }) => string[];
  /** Seconds of processor that it may use; it may take ten times as long. */
  cpu_s: number;
  /** What it may write to one file. */
  write_bytes: number;
  signal?: AbortSignal;
  /** Percent, from its -p. */
  progress?: (percent: number) => void;
}

export interface QemuImgResult {
  code: number;
  stdout: string;
  /** Its complaints, without its name and with the image's own name. */
  complaints: string;
}

/** How it is run here. */
export interface QemuImgPlace {
  /** Its name or path. */
  binary: string;
  /** Who it is in its jail; null: as we are, without a jail (for users other than root, who cannot make one). */
  jail: { uid: number; gid: number } | null;
}

const ADDRESS_SPACE = 2 ** 30;
const OPEN_FILES = 64;
const STDOUT_MAX = 2 ** 20;
const STDERR_MAX = 2 ** 14;
const WALL_FACTOR = 10;

/** Makes the jail in a mount namespace that ends with it, and becomes qemu-img there. */
const JAIL = `set -eu
root=$1 source=$2 target=$3 uid=$4 gid=$5 limits=$6
shift 6
mount -t tmpfs -o size=256k,mode=755,nosuid,nodev jail "$root"
for name in usr bin lib lib64 opt; do
  if [ -L "/$name" ]; then ln -s "$(readlink "/$name")" "$root/$name"
  elif [ -d "/$name" ]; then
    mkdir "$root/$name"
    mount --bind "/$name" "$root/$name"
    mount -o remount,bind,ro,nosuid,nodev "$root/$name"
  fi
done
mkdir "$root/etc" "$root/dev"
touch "$root/dev/null"
mount --bind /dev/null "$root/dev/null"
if [ -f /etc/ld.so.cache ]; then cp /etc/ld.so.cache "$root/etc/" 2>/dev/null || true; fi
touch "$root/image"
mount --bind "$source" "$root/image"
mount -o remount,bind,ro,nosuid,nodev,noexec "$root/image"
if [ -n "$target" ]; then
  touch "$root/disk"
  mount --bind "$target" "$root/disk"
fi
mount -o remount,ro "$root"
exec prlimit $limits -- chroot "$root" setpriv --reuid "$uid" --regid "$gid" --clear-groups \\
  --inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search \\
  --bounding-set=-all,+dac_read_search --no-new-privs --pdeathsig KILL -- "$@"`;

function limits(run: QemuImgRun): string[] {
  return [
    `--as=${ADDRESS_SPACE}`,
    `--cpu=${Math.ceil(run.cpu_s)}`,
    `--fsize=${run.write_bytes}`,
    `--nofile=${OPEN_FILES}`,
    "--core=0",
  ];
}

function command(run: QemuImgRun, place: QemuImgPlace, root: string): string[] {
  const end = ["setpriv", "--pdeathsig", "KILL", "--"];
  if (place.jail === null) {
    const names = { source: run.source, target: run.target ?? "" };
    return [...end, "prlimit", ...limits(run), "--", place.binary, ...run.args(names)];
  }
  const { uid, gid } = place.jail;
  return [
    ...end,
    ...["unshare", "--mount", "--net", "--ipc", "--pid", "--fork", "--kill-child=KILL", "--"],
    ...[
      "sh",
      "-c",
      JAIL,
      "sh",
      root,
      run.source,
      run.target ?? "",
      `${uid}`,
      `${gid}`,
      limits(run).join(" "),
    ],
    place.binary,
    ...run.args({ source: "/image", target: "/disk" }),
  ];
}

/** Reads to the end; keeps the first `max` characters. */
async function readBounded(stream: ReadableStream<Uint8Array>, max: number): Promise<string> {
  let text = "";
  for await (
    const piece of stream.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
  ) {
    if (text.length < max) text += piece.slice(0, max - text.length);
  }
  return text;
}

async function readProgress(
  stream: ReadableStream<Uint8Array>,
  progress: (percent: number) => void,
): Promise<string> {
  let rest = "";
  for await (
    const piece of stream.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
  ) {
    const text = (rest + piece).slice(-200);
    const last = [...text.matchAll(/\((\d{1,3}\.\d+)\/100%\)/g)].at(-1);
    if (last !== undefined) progress(Math.min(100, Number(last[1])));
    rest = text.slice(last === undefined ? 0 : last.index + last[0].length);
  }
  return "";
}

/** Runs it. Throws ProblemError when it cannot be run, and what `signal` says when that ends it; how it judges an image is its result. When
 * this returns or throws, it is gone. */
export async function runQemuImg(run: QemuImgRun, place: QemuImgPlace): Promise<QemuImgResult> {
  run.signal?.throwIfAborted();
  const root = place.jail === null ? "" : await Deno.makeTempDir({ prefix: "iservft-jail-" });
  const wall = AbortSignal.timeout(run.cpu_s * WALL_FACTOR * 1000);
  const signal = run.signal === undefined ? wall : AbortSignal.any([wall, run.signal]);
  const [program = "", ...args] = command(run, place, root);
  try {
    const child = new Deno.Command(program, {
      args,
      clearEnv: true,
      env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
      cwd: "/",
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    let over = false;
    const kill = () => {
      if (!over) child.kill("SIGKILL");
    };
    signal.addEventListener("abort", kill);
    // Its pipes end when it has ended itself, not only what started it.
    const [stdout, stderr, status] = await Promise.all([
      run.progress === undefined
        ? readBounded(child.stdout, STDOUT_MAX)
        : readProgress(child.stdout, run.progress),
      readBounded(child.stderr, STDERR_MAX),
      child.status.finally(() => over = true),
    ]).catch(async (error) => {
      kill();
      await child.status;
      throw error;
    }).finally(() => signal.removeEventListener("abort", kill));
    run.signal?.throwIfAborted();
    // When what it runs is killed, some versions of unshare stumble over ending in the same way.
    const killed = status.signal !== null || status.code > 128 || /^unshare: sigprocmask/m.test(stderr);
    if (wall.aborted || killed) throw usedUp(run);
    const jail = /^(?:unshare|mount|chroot|setpriv|prlimit): .*$/m.exec(stderr)?.[0];
    if (jail !== undefined && status.code !== 0) throw noJail(jail);
    if (status.code === 126 || status.code === 127) throw cannotRun(stderr);
    const complaints = stderr.replaceAll("qemu-img: ", "").replaceAll(/'?\/image'?/g, "the image")
      .replaceAll(/'?\/disk'?/g, "the new disk").trim().replaceAll("\n", "; ");
    return { code: status.code, stdout, complaints };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw cannotRun(error.message);
    throw error;
  } finally {
    if (root !== "") await Deno.remove(root);
  }
}

function usedUp(run: QemuImgRun): ProblemError {
  return new ProblemError("invalid", explained("import.limits", { seconds: Math.ceil(run.cpu_s) }));
}

function noJail(said: string): ProblemError {
  return new ProblemError("failed", explained("import.no_jail", { said }));
}

function cannotRun(said: string): ProblemError {
  return new ProblemError(
    "failed",
    explained("import.no_qemu_img", { said: said.trim().split("\n").at(-1) ?? "" }),
  );
}
