import assert from "node:assert/strict";
import { checkExisting, type KernelView } from "../../../lib/node/disks/existing.ts";
import { makeDisk, removeDisk, removeParts } from "../../../lib/node/disks/files.ts";
import { problem, rawDisk, Scratch, tool } from "./kit.ts";

const NONE = { used: [] };

Deno.test("a new disk is sparse, of its size, and for nobody else to read", () => {
  using scratch = new Scratch();
  makeDisk(scratch.at("disk.img"), 1_048_576);
  const found = Deno.statSync(scratch.at("disk.img"));
  assert.deepEqual([found.size, found.blocks, found.mode! & 0o777], [1_048_576, 0, 0o600]);
  assert.throws(() => makeDisk(scratch.at("disk.img"), 512), problem("exists", /there already/));
  assert.throws(() => makeDisk(scratch.at("odd.img"), 1000), problem("invalid", /truncate -s 1024/));
  assert.throws(() => makeDisk(scratch.at("big.img"), 2 ** 45), problem("invalid", /16\.0 TiB/));
  assert.throws(() => makeDisk(scratch.at("none.img"), 0), problem("invalid", /0 bytes/));
  Deno.writeTextFileSync(scratch.at(".part-killed.img-1"), "");
  removeParts(scratch.path);
  assert.deepEqual(scratch.names(), ["disk.img"]);
  removeDisk(scratch.at("disk.img"));
  removeDisk(scratch.at("disk.img"));
  assert.deepEqual(scratch.names(), []);
});

Deno.test("an existing raw image is taken with its size, whole sectors only", () => {
  using scratch = new Scratch();
  rawDisk(scratch.at("disk.raw"), 1_048_576);
  Deno.symlinkSync(scratch.at("disk.raw"), scratch.at("link"));
  const expected = { path: Deno.realPathSync(scratch.at("disk.raw")), bytes: 1_048_576, device: false };
  assert.deepEqual(checkExisting(scratch.at("link"), NONE), expected);
  Deno.truncateSync(scratch.at("disk.raw"), 1_048_575);
  assert.throws(() => checkExisting(scratch.at("disk.raw"), NONE), problem("invalid", /truncate -s 1048576/));
  assert.throws(() => checkExisting(scratch.at("absent"), NONE), problem("not_found", /absent/));
  assert.throws(() => checkExisting(scratch.path, NONE), problem("invalid", /neither a file nor/));
  assert.throws(() => checkExisting("/dev/null", NONE), problem("invalid", /neither a file nor/));
});

Deno.test("an image that is not raw is not served as if it were", () => {
  using scratch = new Scratch();
  tool("qemu-img", "create", "-q", "-f", "qcow2", scratch.at("disk.qcow2"), "1M");
  Deno.truncateSync(scratch.at("disk.qcow2"), 2 ** 20);
  assert.throws(() => checkExisting(scratch.at("disk.qcow2"), NONE), problem("invalid", /qcow2.*Import it/));
});

Deno.test("a disk that another VM or program has is refused", async () => {
  using scratch = new Scratch();
  rawDisk(scratch.at("disk.raw"), 1_048_576);
  Deno.linkSync(scratch.at("disk.raw"), scratch.at("other name"));
  assert.throws(
    () =>
      checkExisting(scratch.at("disk.raw"), { used: [{ vm: "press-1", path: scratch.at("other name") }] }),
    problem("conflict", /a disk of press-1 already/),
  );
  {
    using file = Deno.openSync(scratch.at("disk.raw"), { read: true, write: true });
    await file.lock(true);
    assert.throws(
      () => checkExisting(scratch.at("disk.raw"), NONE),
      problem("conflict", /process \d+ has a lock/),
    );
    await file.unlock();
  }
  checkExisting(scratch.at("disk.raw"), NONE);
});

/** A kernel in which loop0's device, 7:0 of a test, is what a test says. */
function kernel(files: Record<string, string>, lists: Record<string, string[]> = {}): KernelView {
  return { read: (path) => files[path] ?? null, list: (path) => lists[path] ?? [] };
}

Deno.test("a device that is mounted, swap, part of something or read-only is refused, and so are its partitions", () => {
  using scratch = new Scratch();
  rawDisk(scratch.at("back.img"), 1_048_576);
  const loop = tool("losetup", "--find", "--show", scratch.at("back.img")).trim();
  try {
    const number = Deno.statSync(loop).rdev! & 0xff;
    const device = `7:${number}`;
    const top = `/sys/dev/block/${device}`;
    const check = (view: KernelView) => checkExisting(loop, { ...NONE, kernel: view });
    assert.deepEqual(check(kernel({})), { path: loop, bytes: 1_048_576, device: true });
    const mounted = `36 1 ${device} / /srv/data rw - ext4 ${loop} rw\n`;
    assert.throws(
      () => check(kernel({ "/proc/self/mountinfo": mounted })),
      problem("conflict", /mounted at \/srv\/data/),
    );
    const swaps = {
      "/proc/swaps": `Filename Type\n${loop} partition 1 0 -2\n`,
      [`${top}/uevent`]: `DEVNAME=${loop.slice(5)}\n`,
    };
    assert.throws(() => check(kernel(swaps)), problem("conflict", /used as swap/));
    assert.throws(
      () => check(kernel({}, { [`${top}/holders`]: ["dm-3"] })),
      problem("conflict", /part of dm-3/),
    );
    assert.throws(() => check(kernel({ [`${top}/ro`]: "1\n" })), problem("conflict", /read-only/));
    const part = {
      [`${top}/sda1/partition`]: "1\n",
      [`${top}/sda1/dev`]: "8:1\n",
      "/proc/self/mountinfo": "36 1 8:1 / /boot rw - ext4 /dev/sda1 rw\n",
    };
    assert.throws(
      () => check(kernel(part, { [top]: ["sda1", "holders"] })),
      problem("conflict", /partition, sda1, that is mounted at \/boot/),
    );
    // The file behind it, as this host's own kernel tells it.
    assert.throws(
      () => checkExisting(scratch.at("back.img"), NONE),
      problem("conflict", /loop\d+ shows it.*losetup -d/),
    );
  } finally {
    tool("losetup", "-d", loop);
  }
});
