import assert from "node:assert/strict";
import { cpioArchive } from "../../lib/lab/guest_image.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const KERNEL = `${ROOT}.cache/guest/vmlinuz`;
const BOUND_MS = 300_000;

async function run(command: string, args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args: [...args],
    stdin: "null",
    signal: AbortSignal.timeout(BOUND_MS),
  }).output();
  const decoder = new TextDecoder();
  assert.ok(success, `${command} failed: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}

/** The tracker's own test program, which knows that it is the first process of a machine. */
async function buildInit(path: string): Promise<void> {
  const sources = [...Deno.readDirSync(`${ROOT}ffi/src`)]
    .filter(({ name }) => /^(tracker.*|base)\.c$/.test(name))
    .map(({ name }) => `${ROOT}ffi/src/${name}`);
  const options = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-static", "-s", "-pthread"];
  await run("gcc", [...options, `${ROOT}ffi/test/tracker_test.c`, ...sources, "-o", path]);
}

/** Boots the guest's kernel with one program as its init; returns what it printed before it powered off. */
async function boot(init: string, directory: string): Promise<string> {
  const initramfs = `${directory}/initramfs`;
  const data = await Deno.readFile(init);
  await Deno.writeFile(initramfs, cpioArchive([{ name: "init", mode: 0o100755, data }]));
  return await run("qemu-system-x86_64", [
    ...["-nodefaults", "-M", "q35", "-accel", "tcg", "-smp", "2", "-m", "512", "-display", "none"],
    ...["-no-reboot", "-serial", "stdio", "-kernel", KERNEL, "-initrd", initramfs],
    ...["-append", "console=ttyS0 quiet panic=-1"],
  ]);
}

Deno.test("soft-dirty bits find every write, on a kernel that has them, and pagescan is refused there", async () => {
  assert.ok(
    await Deno.stat(KERNEL).then(() => true, () => false),
    `there is no guest kernel at ${KERNEL}: run build/setup.sh first`,
  );
  const directory = await Deno.makeTempDir();
  try {
    await buildInit(`${directory}/init`);
    const said = await boot(`${directory}/init`, directory);
    const lines = said.split(/\r?\n/).map((line) => line.trim());
    assert.deepEqual(lines.filter((line) => line.startsWith("FAIL")), [], said);
    assert.ok(lines.includes("kinds: softdirty compare"), said);
    for (
      const promise of [
        "ok    pagescan is there exactly where the kernel's userfaultfd can do it",
        "ok    softdirty is there exactly where the kernel's bit follows writes",
        "ok    auto takes the best kind that works",
        "ok    each kind finds exactly the pages that were written",
        "ok    softdirty loses no write of a running process",
        "ok    negative control: softdirty, one round left out, and the copy differs",
        "ok    softdirty: a process that has ended is an error, not clean",
      ]
    ) assert.ok(lines.includes(promise), `the guest did not say "${promise}":\n${said}`);
    assert.match(said, /[1-9]\d* passed, 0 failed/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
