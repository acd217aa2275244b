import assert from "node:assert/strict";
import { imageProblem, importDisk, inspectImage } from "../../../lib/node/disks/import.ts";
import { PLACE, problem, rawDisk, Scratch, tool } from "./kit.ts";

const FORMATS = ["qcow2", "vmdk", "vhdx", "raw"] as const;

function convert(from: string, to: string, ...options: string[]): string {
  tool("qemu-img", "convert", "-f", "raw", ...options, from, to);
  return to;
}

Deno.test("an image of each format becomes the same disk, sparse, for nobody else to read", async () => {
  using scratch = new Scratch();
  const data = rawDisk(scratch.at("from.raw"), 16 * 2 ** 20);
  for (const format of FORMATS) {
    const path = convert(scratch.at("from.raw"), scratch.at(`image.${format}`), "-O", format);
    Deno.chmodSync(path, 0o600); // root's alone: qemu-img reads it nevertheless
    const image = await inspectImage({ path, format }, { place: PLACE });
    assert.equal(image.bytes, data.length, format);
    const seen: number[] = [];
    const target = scratch.at(`disk-${format}.img`);
    await importDisk({ image, target }, { place: PLACE, progress: (done) => seen.push(done) });
    assert.ok(Deno.readFileSync(target).every((byte, i) => byte === data[i]), format);
    const found = Deno.statSync(target);
    assert.equal(found.mode! & 0o777, 0o600);
    assert.equal(found.uid, Deno.uid());
    assert.ok(found.blocks! * 512 < data.length / 2, `${format}: what is empty takes no space`);
    assert.deepEqual(seen, seen.toSorted((a, b) => a - b));
    assert.equal(seen.at(-1), data.length);
  }
  assert.deepEqual(scratch.names().filter((name) => name.startsWith(".")), []);
});

Deno.test("compressed VMDKs, as OVAs have them, are imported too", async () => {
  using scratch = new Scratch();
  const data = rawDisk(scratch.at("from.raw"));
  const path = convert(
    scratch.at("from.raw"),
    scratch.at("ova.vmdk"),
    "-O",
    "vmdk",
    "-o",
    "subformat=streamOptimized",
  );
  const image = await inspectImage({ path, format: "vmdk" }, { place: PLACE });
  await importDisk({ image, target: scratch.at("disk.img") }, { place: PLACE });
  assert.ok(Deno.readFileSync(scratch.at("disk.img")).every((byte, i) => byte === data[i]));
});

Deno.test("an image that refers to another file is refused, and the file is not read", async () => {
  using scratch = new Scratch();
  Deno.writeTextFileSync(scratch.at("secret"), "root:x:0:0:".padEnd(4096, "s"));
  const secret = scratch.at("secret");
  const at = (name: string) => scratch.at(name);
  tool("qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", at("backing.qcow2"));
  tool(
    "qemu-img",
    "create",
    "-q",
    "-f",
    "qcow2",
    "-o",
    `data_file=${at("data.raw")},data_file_raw=on`,
    at("data.qcow2"),
    "1M",
  );
  rawDisk(at("from.raw"));
  convert(at("from.raw"), at("flat.vmdk"), "-O", "vmdk", "-o", "subformat=monolithicFlat");
  convert(at("from.raw"), at("base.vmdk"), "-O", "vmdk");
  tool("qemu-img", "create", "-q", "-f", "vmdk", "-b", at("base.vmdk"), "-F", "vmdk", at("delta.vmdk"));
  const reject = (name: string, format: "qcow2" | "vmdk", pattern: RegExp) =>
    assert.rejects(
      inspectImage({ path: at(name), format }, { place: PLACE }),
      problem("invalid", pattern),
      name,
    );
  await reject("backing.qcow2", "qcow2", /differs from another image.*secret.*not followed/);
  await reject("data.qcow2", "qcow2", /not followed|cannot be read/);
  await reject("flat.vmdk", "vmdk", /data is in other files.*one file/);
  await reject("delta.vmdk", "vmdk", /not followed|other files/);
});

Deno.test("even if a refusal were forgotten, qemu-img sees nothing of this host but the image", async () => {
  using scratch = new Scratch();
  Deno.writeTextFileSync(scratch.at("secret"), "top secret".repeat(1000).slice(0, 4096));
  tool(
    "qemu-img",
    "create",
    "-q",
    "-f",
    "qcow2",
    "-b",
    scratch.at("secret"),
    "-F",
    "raw",
    scratch.at("evil.qcow2"),
  );
  const image = { path: scratch.at("evil.qcow2"), format: "qcow2", bytes: 4096 } as const;
  await assert.rejects(
    importDisk({ image, target: scratch.at("out.img") }, { place: PLACE }),
    problem("failed", /secret.*No such file|not followed/),
  );
  assert.deepEqual(scratch.names(), ["evil.qcow2", "secret"]);
  // The control: without the jail the file would be read.
  await importDisk({ image, target: scratch.at("out.img") }, { place: { ...PLACE, jail: null } });
  assert.match(Deno.readTextFileSync(scratch.at("out.img")), /top secret/);
});

Deno.test("an encrypted or damaged image is refused", async () => {
  using scratch = new Scratch();
  const path = scratch.at("locked.qcow2");
  const options = "encrypt.format=aes,encrypt.key-secret=s";
  tool(
    "qemu-img",
    "create",
    "-q",
    "--object",
    "secret,id=s,data=abc",
    "-f",
    "qcow2",
    "-o",
    options,
    path,
    "1M",
  );
  await assert.rejects(
    inspectImage({ path, format: "qcow2" }, { place: PLACE }),
    problem("invalid", /encrypted/),
  );
  const corrupt = { "virtual-size": 512, format: "qcow2", "format-specific": { data: { corrupt: true } } };
  const source = { path: "/old.img", format: "qcow2" } as const;
  assert.match(imageProblem(corrupt, source)?.detail ?? "", /damaged/);
  assert.equal(imageProblem({ "virtual-size": 512, format: "qcow2" }, source), undefined);
  assert.match(imageProblem({ "virtual-size": "512" }, source)?.detail ?? "", /understood/);
});

Deno.test("an image is what it is said to be, or refused: nothing is guessed", async () => {
  using scratch = new Scratch();
  rawDisk(scratch.at("disk.raw"));
  convert(scratch.at("disk.raw"), scratch.at("disk.qcow2"), "-O", "qcow2");
  Deno.writeTextFileSync(
    scratch.at("text.vmdk"),
    '# Disk DescriptorFile\nversion=1\nRW 8 FLAT "/etc/shadow" 0\n',
  );
  Deno.writeFileSync(scratch.at("packed.raw"), Uint8Array.from([0x1f, 0x8b, 8, 0]));
  const inspect = (name: string, format: typeof FORMATS[number]) =>
    inspectImage({ path: scratch.at(name), format }, { place: PLACE });
  await assert.rejects(
    inspect("disk.raw", "qcow2"),
    problem("invalid", /no qcow2 image: it does not begin as one/),
  );
  await assert.rejects(
    inspect("disk.qcow2", "raw"),
    problem("invalid", /no raw image, but a qcow2.*Say format qcow2/),
  );
  await assert.rejects(inspect("disk.qcow2", "vhdx"), problem("invalid", /no vhdx image, but a qcow2/));
  await assert.rejects(inspect("text.vmdk", "vmdk"), problem("invalid", /data is in other files/));
  await assert.rejects(inspect("packed.raw", "raw"), problem("invalid", /gzip.*Unpack/));
  await assert.rejects(inspect("absent", "raw"), problem("not_found", /absent/));
  await assert.rejects(inspect("", "raw"), problem("invalid", /is no file/));
  await assert.rejects(
    inspectImage({ path: "json:{}", format: "raw" }, { place: PLACE }),
    problem("invalid", /absolute/),
  );
});

Deno.test("an image that another program has open for writing is refused", async () => {
  using scratch = new Scratch();
  const path = scratch.at("open.qcow2");
  tool("qemu-img", "create", "-q", "-f", "qcow2", path, "1M");
  await using user = new Deno.Command("qemu-io", {
    args: ["-f", "qcow2", path],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const said = user.stdout.getReader();
  await said.read(); // its prompt: it has the image open
  await assert.rejects(
    inspectImage({ path, format: "qcow2" }, { place: PLACE }),
    problem("invalid", /lock.*shut the VM down/),
  );
  await user.stdin.close();
  while (!(await said.read()).done);
  await user.status;
  await inspectImage({ path, format: "qcow2" }, { place: PLACE });
});

Deno.test("an image whose end was cut off is refused", async () => {
  using scratch = new Scratch();
  rawDisk(scratch.at("from.raw"));
  for (const format of ["qcow2", "vmdk", "vhdx"] as const) {
    const path = convert(scratch.at("from.raw"), scratch.at(`cut.${format}`), "-O", format);
    Deno.truncateSync(path, Math.floor(Deno.statSync(path).size * 0.6));
    await assert.rejects(
      inspectImage({ path, format }, { place: PLACE }),
      problem("invalid", /damaged|cut off|cannot be read/),
      format,
    );
  }
});

Deno.test("an import that is cancelled in its middle leaves nothing behind", async () => {
  using scratch = new Scratch();
  const bytes = 256 * 2 ** 20;
  Deno.createSync(scratch.at("big.raw")).close();
  Deno.truncateSync(scratch.at("big.raw"), bytes);
  const image = { path: scratch.at("big.raw"), format: "raw", bytes } as const;
  const abort = new AbortController();
  const cancelled = new Error("cancelled by a test");
  const running = importDisk({ image, target: scratch.at("disk.img") }, {
    place: PLACE,
    progress: () => abort.abort(cancelled),
    signal: abort.signal,
  });
  await assert.rejects(running, cancelled);
  assert.deepEqual(scratch.names(), ["big.raw"]);
  await importDisk({ image, target: scratch.at("disk.img") }, { place: PLACE });
  assert.deepEqual(scratch.names(), ["big.raw", "disk.img"], "the control: without a cancel it is there");
});

Deno.test("an import never replaces a file, and needs its whole size", async () => {
  using scratch = new Scratch();
  rawDisk(scratch.at("from.raw"));
  Deno.writeTextFileSync(scratch.at("there.img"), "somebody's");
  const image = { path: scratch.at("from.raw"), format: "raw", bytes: 4 * 2 ** 20 } as const;
  await assert.rejects(
    importDisk({ image, target: scratch.at("there.img") }, { place: PLACE }),
    problem("exists", /there already/),
  );
  assert.equal(Deno.readTextFileSync(scratch.at("there.img")), "somebody's");
  await assert.rejects(
    importDisk({ image: { ...image, bytes: 2 ** 44 }, target: scratch.at("huge.img") }, { place: PLACE }),
    problem("refused", /16\.0 TiB do not fit/),
  );
});
