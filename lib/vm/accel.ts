/** Which accelerator QEMU can really use here. /dev/kvm alone proves nothing: some offer it and cannot run 64-bit code,
 * or lack features of the guest's CPU model. So a guest of a few instructions (kvm_probe.S) is run, for at most 2 s. */

import { QemuError } from "./qemu.ts";

/** kvm_probe.S up to its last byte that is not zero, and the jump at its reset vector. */
const PROBE_CODE =
  "fa31c08ec0bf00106631c0b9000cfc66f3ab2666c7060010032000002666c7060020033000002666c7060030830000008cc8" +
  "8ed8660f0116b80066b8200000000f22e066b8001000000f22d866b9800000c00f32660d000100000f300f20c0660d01000080" +
  "0f22c066ea70000f000800b8100000008ed88ed0bc0090000048b8f0debc9a78563412505b4839c3750d31c00fa20f3166baf4" +
  "00b010eef4ebfd900000000000000000ffff0000009aaf00ffff00000092cf001700a0000f";
const PROBE_RESET = "ea000000f0";
const PROBE_BYTES = 65536;
const RESET_OFFSET = 0xfff0;
/** What QEMU ends with when the guest got to its last instruction. */
const PROBE_EXIT = 0x10 * 2 + 1;
const PROBE_MS = 2000;

/** What a probe found. */
export interface KvmFinding {
  works: boolean;
  /** Why not, or "". */
  reason: string;
}

/** The probe's firmware image. */
export function probeImage(): Uint8Array<ArrayBuffer> {
  const image = new Uint8Array(PROBE_BYTES);
  image.set(Uint8Array.fromHex(PROBE_CODE), 0);
  image.set(Uint8Array.fromHex(PROBE_RESET), RESET_OFFSET);
  return image;
}

/** Runs the probe under `accel` with CPU model `cpu`, in at most 2 s. */
export async function probe(
  options: { binary: string; cpu: string; accel: "kvm" | "tcg" },
): Promise<KvmFinding> {
  const { binary, cpu, accel } = options;
  const image = Deno.makeTempFileSync({ prefix: "iservft-probe-" });
  try {
    Deno.writeFileSync(image, probeImage());
    const model = accel === "kvm" ? `${cpu},enforce` : cpu;
    const exit = "isa-debug-exit,iobase=0xf4,iosize=1";
    const child = new Deno.Command(binary, {
      args: [
        ...["-accel", accel, "-cpu", model, "-machine", "q35", "-m", "16", "-nodefaults", "-no-user-config"],
        ...["-display", "none", "-bios", image, "-device", exit],
      ],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    let late = false;
    // A guest that hangs in KVM is killed, not asked.
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, PROBE_MS);
    const output = await child.output().finally(() => clearTimeout(timer));
    if (output.code === PROBE_EXIT) return { works: true, reason: "" };
    if (late) return { works: false, reason: `64-bit guest code did not run within ${PROBE_MS} ms` };
    const said = new TextDecoder().decode(output.stderr).trim().split("\n").at(-1) ?? "";
    return { works: false, reason: said === "" ? `QEMU ended with code ${output.code}` : said };
  } catch (cause) {
    throw new QemuError(`${binary} cannot be run`, {
      op: `try ${accel}`,
      hint: "Install QEMU 7.2 or newer (Debian, Ubuntu: apt install qemu-system-x86).",
      cause,
    });
  } finally {
    Deno.removeSync(image);
  }
}

/** Where answers are kept, so that a host probes once per boot, QEMU and CPU model. */
export interface ProbeCache {
  /** A file; need not exist. */
  file: string;
  /** Changes with each boot: /proc/sys/kernel/random/boot_id. */
  bootId: string;
}

function cached(cache: ProbeCache | undefined): Record<string, KvmFinding> {
  if (cache === undefined) return {};
  try {
    const known = JSON.parse(Deno.readTextFileSync(cache.file));
    return known?.bootId === cache.bootId && typeof known.findings === "object" ? known.findings : {};
  } catch {
    return {}; // Absent or damaged: it is only a cache.
  }
}

/** The accelerator for a VM: what the spec says, or for "auto" KVM if a guest of this CPU model runs under it. */
export async function chooseAccel(
  wanted: { accel: "auto" | "kvm" | "tcg"; cpu: string; binary: string },
  cache?: ProbeCache,
): Promise<{ accel: "kvm" | "tcg"; reason: string }> {
  if (wanted.accel !== "auto") return { accel: wanted.accel, reason: "the VM's file says so" };
  try {
    Deno.openSync("/dev/kvm", { read: true, write: true }).close();
  } catch {
    return { accel: "tcg", reason: "/dev/kvm is not there, or may not be opened" };
  }
  const key = `${wanted.binary} ${wanted.cpu}`;
  const findings = cached(cache);
  const finding = findings[key] ?? await probe({ binary: wanted.binary, cpu: wanted.cpu, accel: "kvm" });
  if (cache !== undefined && findings[key] === undefined) {
    const text = JSON.stringify({ bootId: cache.bootId, findings: { ...findings, [key]: finding } });
    Deno.writeTextFileSync(cache.file, text, { mode: 0o600 });
  }
  return finding.works
    ? { accel: "kvm", reason: "a guest runs under it" }
    : { accel: "tcg", reason: `KVM cannot run this guest: ${finding.reason}` };
}
