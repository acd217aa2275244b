import assert from "node:assert/strict";
import { vmCreate } from "../../../lib/model/vm.ts";
import { checkFiles, checkNewFiles } from "../../../lib/node/disks/allowed.ts";
import { parseSpec } from "../../../lib/vm/spec.ts";

const RULES = { directory: "/var/lib/x/vms", images: ["/dev/vg0", "/srv/images/", "/dev/sdz1"] };

function spec(more: string) {
  return parseSpec({ file: "vm.toml", text: `name = "press"\nmemory = 64\n${more}\n` });
}

function refused(more: string, before: string[] = []): boolean {
  try {
    checkFiles(spec(more), { name: "press", rules: RULES, before: before.map(spec) });
    return false;
  } catch (error) {
    assert.equal((error as { code: string }).code, "refused");
    return true;
  }
}

const disk = (path: string) => `[[disk]]\npath = "${path}"`;

Deno.test("a VM's disks are in its own directory or where root of this node said, and nowhere else", () => {
  for (
    const path of [
      "press/disk0.img",
      "/var/lib/x/vms/press/a.raw",
      "press/vars.fd",
      "/dev/vg0/press",
      "/srv/images/a",
      "/dev/sdz1",
    ]
  ) {
    assert.equal(refused(disk(path)), false, path);
  }
  for (
    const path of [
      "other/disk0.img",
      "/var/lib/x/vms/other/disk0.img",
      "press/state.json",
      "press/vm.toml",
      "press/.part-disk0.img",
      "press/disk0.img.journal",
      "/etc/cron.d/evil.img",
      "/dev/sda",
      "/dev/sdz11",
      "/dev/vg01/x",
      "/srv/imagesx/a.img",
      "/var/lib/x/access/access.img",
      "pressing/disk0.img",
    ]
  ) {
    assert.equal(refused(disk(path)), true, path);
  }
});

Deno.test("what a VM had stays allowed, and only for what it was used for", () => {
  assert.equal(refused(disk("/dev/sda"), [disk("/dev/sda")]), false);
  assert.equal(refused(disk("/etc/hostname"), ['kernel = "/etc/hostname"']), true);
});

Deno.test("what QEMU only reads may be what everybody may read, or lies in a place that root named; UEFI code is the distribution's", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.chmod(directory, 0o755);
    await Deno.writeTextFile(`${directory}/open`, "x", { mode: 0o644 });
    await Deno.writeTextFile(`${directory}/secret`, "x", { mode: 0o600 });
    await Deno.symlink(`${directory}/secret`, `${directory}/link`);
    const kernel = (path: string) => refused(`kernel = "${path}"`);
    assert.equal(kernel(`${directory}/open`), false);
    assert.equal(kernel(`${directory}/secret`), true);
    assert.equal(kernel(`${directory}/link`), true);
    assert.equal(kernel("/proc/self/environ"), true);
    assert.equal(kernel(`${directory}/absent`), true);
    assert.equal(kernel("press/vmlinuz"), false);
    await Deno.chmod(directory, 0o700);
    assert.equal(kernel(`${directory}/open`), true, "nobody else can get there");
    const code = (path: string) => refused(`firmware = { code = "${path}", vars = "press/vars.fd" }`);
    assert.equal(code("/usr/share/OVMF/OVMF_CODE_4M.fd"), false);
    assert.equal(code(`${directory}/secret`), true);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a VM that is made from the page reads no secret of the node; root may name any file", () => {
  const vm = (more: Record<string, unknown>) => vmCreate.parse({ name: "press", memory_mib: 64, ...more });
  const check = (more: Record<string, unknown>, actor = "user:ann") => () =>
    checkNewFiles(vm(more), { rules: RULES, actor });
  const bad = [
    { disks: [{ kind: "existing", path: "/dev/sda" }] },
    { disks: [{ kind: "import", path: "/etc/shadow", format: "raw" }] },
    { spec: { kernel: "/etc/shadow" } },
    { spec: { initrd: "/var/lib/x/pair.key" } },
  ];
  for (const more of bad) {
    assert.throws(check(more), { code: "refused" }, JSON.stringify(more));
    assert.doesNotThrow(check(more, "local"));
  }
  assert.doesNotThrow(check({ disks: [{ kind: "existing", path: "/dev/vg0/a" }] }));
  // qemu-img sees one file, which has to be an image of that kind.
  assert.doesNotThrow(check({ disks: [{ kind: "import", path: "/root/a.vmdk", format: "vmdk" }] }));
});
