import assert from "node:assert/strict";
import { InputError } from "../../lib/errors.ts";
import { parseSpec, servedDisks } from "../../lib/vm/spec.ts";

const GOOD = `name = "demo"
memory = 512
[[disk]]
path = "disk.img"
boot = 0
[[nic]]
mac = "52:54:00:AA:BB:CC"
`;

const parse = (text: string) => parseSpec({ file: "vm.toml", text });

/** The problems of a text as "line key problem". */
function problems(text: string): string[] {
  try {
    parse(text);
  } catch (error) {
    assert.ok(error instanceof InputError, String(error));
    assert.equal(error.exitCode, 2);
    return error.problems.map((p) => `${p.line} ${p.key}: ${p.problem}`);
  }
  return [];
}

Deno.test("a short spec is filled with defaults", () => {
  const spec = parse(GOOD);
  assert.equal(spec.vcpus, 1);
  assert.equal(spec.accel, "auto");
  assert.equal(spec.firmware, "bios");
  assert.equal(spec.nic[0]?.model, "virtio-net");
  assert.equal(spec.nic[0]?.mac, "52:54:00:aa:bb:cc");
});

Deno.test("every error is named by key and line, with the value seen and the values allowed", () => {
  const cases: [string, RegExp][] = [
    ["vcpus = 9", /^8 vcpus: is 9; allowed: 1 to 8$/],
    ["vcpus = 1.5", /^8 vcpus: is 1.5; /],
    ['accel = "xen"', /^8 accel: is "xen"; allowed: "auto", "kvm", "tcg"$/],
    ['machine = "microvm"', /^8 machine: is "microvm"; allowed: "q35", "pc"/],
    ['serial = "usb"', /^8 serial: is "usb"; allowed: "off", "file", "socket"$/],
    ['vga = "yes"', /^8 vga: is "yes"; it must be a boolean$/],
    ['cpu = "host"', /^8 cpu: is "host"; it differs from host to host/],
    ['colour = "blue"', /^8 colour: unknown key/],
    ['initrd = "initrd.img"', /^8 initrd: is "initrd.img"; it needs `kernel`/],
    ['firmware = "coreboot"', /^8 firmware: is "coreboot"; allowed: "bios", or a table/],
    ['devices = ["vfio-pci,host=0:1"]', /^8 devices\[0\]: .*passes a device of the host through/],
    ['devices = ["virtio-9p-pci,fsdev=x"]', /^8 devices\[0\]: .*files of the host/],
    ['devices = ["nvme,serial=1"]', /^8 devices\[0\]: .*cannot save its state/],
    ['devices = ["virtio-serial-pci", "virtserialport,chardev=x"]', /^8 devices\[1\]: .*chardev=/],
    ['devices = ["loader,file=/etc/shadow,addr=0x100000"]', /^8 devices\[0\]: .*reads a file of the host/],
    ['devices = ["e1000,romfile=shadow"]', /^8 devices\[0\]: .*names a file of the host/],
    ['devices = ["usb-tablet,x=/etc/shadow"]', /^8 devices\[0\]: .*names a file of the host/],
    ['devices = ["usb-tablet -S"]', /^8 devices\[0\]: .*must be a QEMU device/],
  ];
  for (const [line, expected] of cases) {
    const [head = "", ...tables] = GOOD.split("\n[[");
    const text = `${head}${"\n".repeat(6)}${line}\n[[${tables.join("\n[[")}`;
    const found = problems(text);
    assert.equal(found.length, 1, `${line}: ${found}`);
    assert.match(found[0] ?? "", expected);
  }
});

Deno.test("errors in tables name the right table", () => {
  const found = problems(
    `${GOOD}[[nic]]\nmac = "53:54:00:00:00:01"\n[[disk]]\npath = "../x"\n[[disk]]\nsize = 1\n`,
  );
  assert.deepEqual(found.map((text) => text.split(":")[0]), [
    "9 nic[1].mac",
    "11 disk[1].path",
    "12 disk[2].path",
    "13 disk[2].size",
  ]);
});

Deno.test("what is missing is named, and what is twice", () => {
  assert.match(problems("memory = 64")[0] ?? "", /name: is missing/);
  const twice = GOOD + '[[nic]]\nmac = "52:54:00:aa:bb:cc"\nboot = 0\n[[disk]]\npath = "disk.img"\n';
  const found = problems(twice);
  assert.ok(found.some((text) => /^9 nic\[1\].mac: .*another NIC has it/.test(text)), `${found}`);
  assert.ok(found.some((text) => /^10 nic\[1\].boot: .*boot order/.test(text)), `${found}`);
  assert.ok(found.some((text) => /^12 disk\[1\].path: .*another disk has it/.test(text)), `${found}`);
});

Deno.test("a path cannot surprise: no way up, no control characters, no directory", () => {
  for (const path of ["../a", "a/../../b", "/var/../etc/x", "a/", "", "a\\u0007b"]) {
    assert.equal(problems(GOOD.replace("disk.img", path)).length, 1, path);
  }
  for (const path of ["a..b", "sub/disk.img", "/dev/vg0/vm", "with space, comma"]) {
    assert.deepEqual(problems(GOOD.replace("disk.img", path)), [], path);
  }
});

Deno.test("text that is no TOML is refused with its line", () => {
  assert.match(problems('name = "x"\nmemory = = 3\n')[0] ?? "", /^2 : is not TOML/);
});

Deno.test("UEFI variables are served and replicated like a disk", () => {
  const spec = parse(`${GOOD}[firmware]\ncode = "/usr/share/OVMF_CODE.fd"\nvars = "vars.fd"\n`);
  const disks = servedDisks(spec, "/data");
  assert.deepEqual(disks.map((d) => [d.name, d.image, d.role]), [
    ["disk0", "/data/disk.img", "disk"],
    ["vars", "/data/vars.fd", "uefi-vars"],
  ]);
});

Deno.test("with a kernel from outside no disk can be the first to boot: QEMU would refuse to start", () => {
  const file = (kernel: string, boot: number) =>
    `name = "x"\nmemory = 64\n${kernel}[[disk]]\npath = "a"\nboot = ${boot}\n[[nic]]\nmac = "52:54:00:00:00:01"\n`;
  const read = (text: string) => parseSpec({ file: "vm.toml", text });
  assert.throws(
    () => read(file('kernel = "k"\n', 0)),
    /vm\.toml:6: disk\[0\]\.boot: is 0; with `kernel` the kernel boots first/,
  );
  assert.equal(read(file('kernel = "k"\n', 1)).disk[0]?.boot, 1);
  assert.equal(read(file("", 0)).disk[0]?.boot, 0);
});
