import assert from "node:assert/strict";
import { chooseAccel, probe, probeImage } from "../../lib/vm/accel.ts";

const QEMU = "qemu-system-x86_64";

Deno.test("the probe's bytes are its source, assembled", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const source = new URL("../../lib/vm/kvm_probe.S", import.meta.url).pathname;
    const run = async (command: string, args: string[]) => {
      const { code, stderr } = await new Deno.Command(command, { args }).output();
      assert.equal(code, 0, new TextDecoder().decode(stderr));
    };
    await run("gcc", ["-c", source, "-o", `${dir}/probe.o`]);
    await run("objcopy", ["-O", "binary", "-j", ".text", `${dir}/probe.o`, `${dir}/probe.bin`]);
    assert.deepEqual(await Deno.readFile(`${dir}/probe.bin`), probeImage());
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("the probe's guest runs to its end under TCG", async () => {
  assert.deepEqual(await probe({ binary: QEMU, cpu: "qemu64", accel: "tcg" }), { works: true, reason: "" });
});

Deno.test("a model that QEMU does not know does not work, with QEMU's reason", async () => {
  const finding = await probe({ binary: QEMU, cpu: "NoSuchModel", accel: "tcg" });
  assert.equal(finding.works, false);
  assert.match(finding.reason, /NoSuchModel/);
});

Deno.test("a guest that never ends is killed and counts as not working", async () => {
  const hung = await Deno.makeTempFile();
  await Deno.writeTextFile(hung, "#!/bin/sh\nexec sleep 60\n");
  await Deno.chmod(hung, 0o755);
  const finding = await probe({ binary: hung, cpu: "qemu64", accel: "kvm" });
  assert.match(finding.reason, /did not run within 2000 ms/);
  await Deno.remove(hung);
});

Deno.test("auto takes what the probe says, and asks once per boot", async () => {
  const file = await Deno.makeTempFile();
  try {
    const wanted = { accel: "auto" as const, cpu: "qemu64", binary: QEMU };
    const first = await chooseAccel(wanted, { file, bootId: "one" });
    assert.deepEqual(await chooseAccel(wanted, { file, bootId: "one" }), first);
    const kvm = await Deno.stat("/dev/kvm").then(() => true, () => false);
    if (kvm) {
      // The answer is taken from the file: one that says the opposite is believed until the next boot.
      const known = {
        bootId: "one",
        findings: { [`${QEMU} qemu64`]: { works: first.accel !== "kvm", reason: "x" } },
      };
      await Deno.writeTextFile(file, JSON.stringify(known));
      assert.notEqual((await chooseAccel(wanted, { file, bootId: "one" })).accel, first.accel);
      assert.equal((await chooseAccel(wanted, { file, bootId: "two" })).accel, first.accel);
    } else {
      assert.equal(first.accel, "tcg");
    }
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("what the file says is not questioned", async () => {
  for (const accel of ["kvm", "tcg"] as const) {
    assert.equal((await chooseAccel({ accel, cpu: "qemu64", binary: "/nowhere" })).accel, accel);
  }
});
