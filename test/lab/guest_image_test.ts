import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { EdgeError } from "../../lib/errors.ts";
import {
  checkDisk,
  cpioArchive,
  createDisk,
  guestCommandLine,
  writeInitramfs,
} from "../../lib/lab/guest_image.ts";

/** The entries of a newc archive, read by the format's description alone. */
function entriesOf(archive: Uint8Array): { name: string; mode: number; data: string }[] {
  const text = (from: number, length: number) =>
    new TextDecoder().decode(archive.subarray(from, from + length));
  const entries = [];
  for (let at = 0;;) {
    equal(text(at, 6), "070701");
    const field = (index: number) => parseInt(text(at + 6 + index * 8, 8), 16);
    const [mode, size, nameSize] = [field(1), field(6), field(11)];
    const name = text(at + 110, nameSize - 1);
    const data = Math.ceil((at + 110 + nameSize) / 4) * 4;
    if (name === "TRAILER!!!") return entries;
    entries.push({ name, mode, data: text(data, size) });
    at = Math.ceil((data + size) / 4) * 4;
  }
}

Deno.test("an archive holds names, modes and contents of any length, and ends as the kernel expects", () => {
  const encode = (text: string) => new TextEncoder().encode(text);
  const entries = ["", "a", "ab", "abc", "abcd"].map((text, i) => ({
    name: `file${"x".repeat(i)}`,
    mode: 0o100644,
    data: encode(text),
  }));
  const archive = cpioArchive(entries);
  equal(archive.length % 4, 0);
  deepEqual(
    entriesOf(archive),
    entries.map(({ name, mode, data }) => ({ name, mode, data: new TextDecoder().decode(data) })),
  );
});

Deno.test("the initramfs has init, a console, and the modules in the order of loading", async () => {
  const directory = await Deno.makeTempDir();
  try {
    for (const name of ["init", "two.ko", "one.ko"]) await Deno.writeTextFile(`${directory}/${name}`, name);
    const output = `${directory}/initrd`;
    const modules = [`${directory}/two.ko`, `${directory}/one.ko`];
    await writeInitramfs({ init: `${directory}/init`, modules, output });
    const entries = entriesOf(await Deno.readFile(output));
    const names = entries.map(({ name }) => name);
    for (const name of ["init", "dev/console", "modules/one.ko"]) ok(names.includes(name), name);
    equal(entries.find(({ name }) => name === "modules/modules.order")?.data, "two.ko\none.ko\n");
    equal(entries.find(({ name }) => name === "init")?.mode, 0o100755);
    await rejects(writeInitramfs({ init: `${directory}/none`, modules, output }), /cannot read .*none/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a disk is as large as asked, sparse, and its file system is clean; a spoilt one is not", async () => {
  const path = await Deno.makeTempFile();
  try {
    await createDisk({ path, megabytes: 64 });
    const { size, blocks } = await Deno.stat(path);
    equal(size, 64 * 1024 * 1024);
    ok((blocks ?? 0) * 512 < 8 * 1024 * 1024, `${blocks} blocks are allocated`);
    ok((await checkDisk(path)).clean);
    // The controls: group descriptors, which a repair would take from their copy, and inodes.
    for (const offset of [4096, 5 * 4096]) {
      await createDisk({ path, megabytes: 64 });
      const file = await Deno.open(path, { write: true });
      await file.seek(offset, Deno.SeekMode.Start);
      await file.write(new Uint8Array(512).fill(0x5a));
      file.close();
      equal((await checkDisk(path)).clean, false, `spoilt at ${offset}`);
    }
    await rejects(createDisk({ path, megabytes: 1 }), EdgeError);
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("the guest's command line carries its address, gateway and pool", () => {
  const words = guestCommandLine({ ip: "10.0.0.2/24", gateway: "10.0.0.1", poolMegabytes: 8 }).split(" ");
  for (const word of ["iservft.ip=10.0.0.2/24", "iservft.gw=10.0.0.1", "iservft.pool_mb=8"]) {
    ok(words.includes(word));
  }
});
