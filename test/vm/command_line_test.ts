import assert from "node:assert/strict";
import { commandLine, type HostSide, option } from "../../lib/vm/command_line.ts";
import { parseSpec, type VmSpec } from "../../lib/vm/spec.ts";

const SPEC = `name = "demo"
memory = 512
vcpus = 2
vga = true
devices = ["virtio-rng-pci", "qemu-xhci,id=xhci", "usb-tablet,bus=xhci.0"]
[[disk]]
path = "a.img"
boot = 0
[[disk]]
path = "/b, with comma.img"
[[nic]]
mac = "52:54:00:00:00:01"
[[nic]]
mac = "52:54:00:00:00:02"
model = "e1000e"
`;

const spec = (text = SPEC): VmSpec => parseSpec({ file: "vm.toml", text });
const host = (fields: Partial<HostSide> = {}): HostSide => ({
  role: "primary",
  runDir: "/run/vm",
  dataDir: "/data",
  memoryPath: "/proc/7/fd/9",
  accel: "tcg",
  ...fields,
});

/** The values of an option. */
function values(args: readonly string[], name: string): string[] {
  return args.flatMap((arg, index) => arg === name ? [args[index + 1] ?? ""] : []);
}

Deno.test("primary and standby differ in -incoming defer alone", () => {
  for (const firmware of ["", '[firmware]\ncode = "/ovmf"\nvars = "vars.fd"\n']) {
    const primary = commandLine(spec(SPEC + firmware), host());
    const standby = commandLine(spec(SPEC + firmware), host({ role: "standby" }));
    const at = standby.indexOf("-incoming");
    assert.equal(standby[at + 1], "defer");
    assert.deepEqual(standby.toSpliced(at, 2), primary);
    assert.ok(primary.includes("-S"), "the runner continues the VM, not QEMU's start");
  }
});

Deno.test("the memory is the engine's, shared, and the machine has a version", () => {
  const args = commandLine(spec(), host());
  assert.match(values(args, "-object")[0] ?? "", /mem-path=\/proc\/7\/fd\/9,size=512M,share=on/);
  assert.match(values(args, "-machine")[0] ?? "", /^pc-q35-7\.2,memory-backend=ram,suppress-vmdesc=on/);
  assert.ok(values(args, "-global").includes("migration.send-configuration=off"));
});

Deno.test("every PCI device has an address of its own, and keeps it when others are added", () => {
  const addresses = (text: string) =>
    new Map(
      values(commandLine(spec(text), host()), "-device").filter((device) => device.includes("bus=pci"))
        .map((
          device,
        ) => [device.split(",")[0] + (/id=(\w+)/.exec(device)?.[1] ?? ""), /addr=(\w+)/.exec(device)?.[1]]),
    );
  const before = addresses(SPEC);
  assert.equal(new Set(before.values()).size, before.size);
  assert.ok(![...before.values()].includes(undefined));
  const after = addresses(`${SPEC}[[disk]]\npath = "c.img"\n[[nic]]\nmac = "52:54:00:00:00:03"\n`);
  for (const [device, address] of before) assert.equal(after.get(device), address, device);
  assert.equal(after.size, before.size + 2);
});

Deno.test("a device on another bus is left where it is", () => {
  const devices = values(commandLine(spec(), host()), "-device");
  assert.ok(devices.includes("usb-tablet,bus=xhci.0"));
});

Deno.test("disks go through the engine alone, and UEFI variables too", () => {
  const args = commandLine(spec(`${SPEC}[firmware]\ncode = "/ovmf"\nvars = "vars.fd"\n`), host());
  const nodes = values(args, "-blockdev");
  assert.equal(nodes.filter((node) => node.startsWith("driver=nbd,")).length, 3);
  assert.deepEqual(nodes.filter((node) => node.startsWith("driver=file,")), [
    "driver=file,node-name=firmware,filename=/ovmf,read-only=on",
  ]);
  assert.ok(!args.some((arg) => arg.includes("a.img") || arg.includes("b, with")));
  assert.match(values(args, "-machine")[0] ?? "", /pflash0=firmware,pflash1=vars/);
});

Deno.test("QEMU is sandboxed, and gives up root where a user is named", () => {
  assert.match(values(commandLine(spec(), host()), "-sandbox")[0] ?? "", /^on,.*spawn=deny/);
  assert.deepEqual(values(commandLine(spec(), host({ user: "vmuser" })), "-runas"), ["vmuser"]);
});

Deno.test("KVM insists on every feature of the model, TCG's memory is bounded", () => {
  assert.match(values(commandLine(spec(), host({ accel: "kvm" })), "-cpu")[0] ?? "", /,enforce$/);
  assert.match(values(commandLine(spec(), host()), "-accel")[0] ?? "", /^tcg,thread=multi,tb-size=\d+$/);
});

Deno.test("a kernel comes from the spec; relative paths are below the data directory", () => {
  const args = commandLine(
    spec(
      `kernel = "vmlinuz"\ninitrd = "/boot/i"\ncmdline = "console=ttyS0 a,b"\n${
        SPEC.replace("boot = 0\n", "")
      }`,
    ),
    host(),
  );
  assert.deepEqual(values(args, "-kernel"), ["/data/vmlinuz"]);
  assert.deepEqual(values(args, "-initrd"), ["/boot/i"]);
  assert.deepEqual(values(args, "-append"), ["console=ttyS0 a,b"]);
});

Deno.test("option() doubles commas, and leaves out what is undefined", () => {
  assert.equal(option("m", { a: "x,y", b: undefined, c: true, d: false, e: 3 }), "m,a=x,,y,c=on,d=off,e=3");
  assert.equal(option("", { a: 1 }), "a=1");
});
