import assert from "node:assert/strict";
import { makeDisk } from "../../../lib/node/disks/files.ts";
import { importDisk } from "../../../lib/node/disks/import.ts";
import { PLACE, problem, rawDisk, Scratch, tool } from "./kit.ts";

/** A small file system. */
function mounted(path: string, size: string): Disposable {
  Deno.mkdirSync(path);
  tool("mount", "-t", "tmpfs", "-o", `size=${size}`, "small", path);
  return { [Symbol.dispose]: () => void tool("umount", path) };
}

Deno.test("a disk that its file system cannot hold in full is refused", () => {
  using scratch = new Scratch();
  using _small = mounted(scratch.at("small"), "300m");
  makeDisk(scratch.at("small/fits.img"), 16 * 2 ** 20);
  assert.throws(
    () => makeDisk(scratch.at("small/disk.img"), 64 * 2 ** 20),
    problem("refused", /64\.0 MiB do not fit.*300\.0 MiB are free.*256\.0 MiB must be left/),
  );
  assert.deepEqual(scratch.names("small"), ["fits.img"]);
});

Deno.test("an import that runs out of space, since somebody else took it, says so and leaves nothing behind", async () => {
  using scratch = new Scratch();
  using _small = mounted(scratch.at("small"), "20m");
  const bytes = 40 * 2 ** 20;
  Deno.writeFileSync(scratch.at("full.raw"), new Uint8Array(bytes).fill(7));
  const image = { path: scratch.at("full.raw"), format: "raw", bytes } as const;
  await assert.rejects(
    importDisk({ image, target: scratch.at("small/disk.img") }, { place: PLACE, free: 2 ** 40 }),
    problem("failed", /No space.*Free some space/),
  );
  assert.deepEqual(scratch.names("small"), []);
});

Deno.test("what is imported is not bigger than what was looked at, whatever the image becomes meanwhile", async () => {
  using scratch = new Scratch();
  rawDisk(scratch.at("grown.raw"), 8 * 2 ** 20);
  const image = { path: scratch.at("grown.raw"), format: "raw", bytes: 2 ** 20 } as const;
  await assert.rejects(
    importDisk({ image, target: scratch.at("disk.img") }, { place: PLACE }),
    problem("failed", /could not be converted/),
  );
  assert.deepEqual(scratch.names(), ["grown.raw"]);
});
